//! The last stage: the families of all packages and the host's own metrics, in the format that was asked for.

use std::io;

use tracing::{debug, error};

use super::Agent;
use ebhost_metrics::{ChunkSink, Format, Integers, Presentation, encoder};
use ebhost_package::Compat;
use ebhost_series::Table;
use ebhost_server::Reply;
use ebhost_telemetry::{OwnMetrics, Stage};

impl Agent {
    /// Encodes the answer for all who asked for this format.
    pub(super) fn print(&mut self, format: Format, readers: Vec<Reply>) {
        self.clock.start();
        let mut chunks = self.chunks.begin(readers);
        self.own.update(self.report());
        let mut own = std::mem::take(&mut self.own);
        let encoded = self.encode(format, &mut own, &mut chunks);
        self.own = own;
        // Sending the last chunk wakes the connections, which is not this stage's work.
        self.clock.lap(Stage::Print);
        match encoded {
            Ok(()) => self.exposition_bytes = chunks.finish(),
            Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => debug!("nobody waits for the answer any more"),
            Err(fault) => error!("encoding into memory failed: {fault}"),
        }
    }

    /// The packages' families, then the host's own.
    fn encode(&self, format: Format, own: &mut OwnMetrics, out: &mut dyn ChunkSink) -> io::Result<()> {
        let mut encoder = encoder(format, self.created, out);
        for (compat, table) in self.tables() {
            let integers = match compat {
                Compat::Native => Integers::Exact,
                Compat::EbpfExporter => Integers::AsGoFloat,
            };
            let presentation = Presentation { namespace: compat.namespace(&self.namespace), integers };
            table.families().try_for_each(|series| encoder.family(presentation, series))?;
        }
        own.encode(format, &mut *encoder)?;
        encoder.finish()
    }

    fn tables(&self) -> impl Iterator<Item = (Compat, &Table)> {
        self.running.iter().filter_map(|running| Some((running.compat, running.ready_table()?)))
    }
}
