//! Another component for a package that runs: prepared on the thread that loads packages, taken between two scrapes.

use super::{Described, RunError, describe::sources_of};
use ebhost_kernel::{KernelContext, Source, UnreadMaps};

/// A described component, with the readers of those maps that no version before it read. Taking it cannot fail.
pub(crate) struct Exchange {
    pub(crate) described: Described,
    pub(super) opened: Vec<Source>,
}

impl Exchange {
    /// Opens what the component reads; `unread` are the maps of the package that runs.
    ///
    /// # Errors
    /// A map that cannot be read. The package that runs is not touched, and may be exchanged later.
    pub(crate) fn prepare(described: Described, unread: &UnreadMaps, types: &KernelContext) -> Result<Self, RunError> {
        let schema = described.plugin.schema().clone();
        let (wanted, _) = sources_of(&schema, described.plugin.spans());
        let opened = match described.object.as_ref().zip(described.package.bpf.as_ref()) {
            Some((object, bpf)) => unread.open(object, bpf, &wanted, types)?,
            None => Vec::new(),
        };
        Ok(Self { described, opened })
    }

    /// Takes what it reads out of the unread maps: the exchange will take place.
    pub(crate) fn claim(&self, unread: &UnreadMaps) {
        unread.mark_read(&self.opened);
    }
}
