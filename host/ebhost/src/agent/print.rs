//! The last stage: the series and the host's own metrics as the text that was asked for.

use std::io;

use tracing::{debug, error};

use super::Agent;
use ebhost_metrics::{Format, Integers, Messages, Pieces, Style, Syntax, Writer};
use ebhost_package::Compat;
use ebhost_series::Table;
use ebhost_server::Reply;
use ebhost_telemetry::Stage;

impl Agent {
    /// Prints for all who asked for this format.
    pub(super) fn print(&mut self, format: Format, readers: Vec<Reply>) {
        self.clock.start();
        let mut chunks = self.chunks.begin(readers);
        self.own.tell(self.report());
        let printed = match format {
            Format::Protobuf => self.encode(&mut chunks),
            Format::Text004 => self.write(Syntax::Text004, self.own.text004(), &mut chunks),
            Format::OpenMetrics100 | Format::OpenMetrics001 => {
                self.write(Syntax::OpenMetrics, self.own.openmetrics(), &mut chunks)
            }
        };
        // What follows wakes the connections.
        self.clock.lap(Stage::Print);
        match printed {
            Ok(()) => self.exposition_bytes = chunks.finish(),
            Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => debug!("nobody waits for the answer any more"),
            Err(fault) => error!("printing into memory failed: {fault}"),
        }
    }

    /// The packages' families, then the host's own, as text.
    fn write(&self, syntax: Syntax, own: [&str; 2], out: &mut dyn Pieces) -> io::Result<()> {
        let mut writer = Writer::new(Style { syntax, integers: Integers::Exact, created: self.created }, out);
        self.tables().try_for_each(|(compat, table)| {
            writer.set_integers(match compat {
                Compat::Native => Integers::Exact,
                Compat::EbpfExporter => Integers::AsGoFloat,
            });
            writer.families(compat.namespace(&self.namespace), table.families())
        })?;
        own.iter().try_for_each(|part| writer.verbatim(part.as_bytes()))?;
        writer.finish()
    }

    /// The same as protobuf.
    fn encode(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut messages = Messages::new(out);
        let namespace = |compat: Compat| compat.namespace(&self.namespace);
        self.tables().try_for_each(|(compat, table)| messages.families(namespace(compat), table.families()))?;
        self.own.openmetrics().iter().try_for_each(|part| messages.openmetrics(part))
    }

    fn tables(&self) -> impl Iterator<Item = (Compat, &Table)> {
        self.running.iter().filter_map(|running| Some((running.compat, running.ready_table()?)))
    }
}
