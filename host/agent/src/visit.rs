//! The last stage: every family, shown to the visitors that wait.
//!
//! The visitor decides what to do with the families and in which format; nothing of that is known here.

use std::time::Instant;

use ebhost_handle::{Collection, FamilyVisitor, NamedFamily, Origin};
use ebhost_package::Compat;
use ebhost_telemetry::Stage;

use super::Agent;

impl Agent {
    /// Shows the families of the last collection to a visitor.
    pub(super) fn visit(&mut self, mut visitor: Box<dyn FamilyVisitor>) {
        self.clock.start();
        let report = self.report();
        self.history.note(Instant::now(), &report);
        self.own.update(report);
        visitor.visit(&self.families());
        // Handing the result over wakes whoever waits for it, which is not this stage's work.
        self.clock.lap(Stage::Print);
        if let Some(bytes) = visitor.finish() {
            self.exposition_bytes = bytes;
        }
    }

    /// The families of the packages whose maps were read in time, and the host's own. Small packages come first, so that a large one makes
    /// no other late; sizes are compared by their powers of two, so that the order is mostly the same.
    pub(super) fn families(&self) -> Collection<'_> {
        let ready = self.running.iter().filter_map(|running| Some((running, running.ready_table()?)));
        let mut ready: Vec<_> = ready.collect();
        ready.sort_by_key(|(_, table)| table.exposition_bytes().checked_ilog2());
        let packages = ready.into_iter().flat_map(|(running, table)| {
            let (origin, namespace) = (origin(running.compat), running.compat.namespace(&self.namespace));
            let package = running.name.as_str();
            table.families().map(move |series| NamedFamily { origin, package, namespace, series })
        });
        Collection { packages: packages.collect(), own: &self.own }
    }
}

fn origin(compat: Compat) -> Origin {
    match compat {
        Compat::Native => Origin::Package,
        Compat::EbpfExporter => Origin::DropIn,
    }
}
