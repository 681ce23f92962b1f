//! State of the running kernel that all packages share: its BTF, and the thread that opens perf events.

use std::sync::{Arc, OnceLock};

use crate::{
    perf::{Opener, Start},
    types::{self, KernelBtf},
};
use ebhost_confine::{Abandon, Capabilities, NONE};
use ebhost_object::Btf;

/// The running kernel as packages are loaded into it. Its BTF is read once, when it is first needed.
#[derive(Debug)]
pub struct KernelContext {
    btf: OnceLock<Result<Arc<Btf>, String>>,
    /// For threads that are started here, beside what they need.
    keep: Capabilities,
    start: Start,
    opener: OnceLock<Opener>,
}

impl KernelContext {
    /// A context whose threads keep only the capabilities that they need.
    pub fn new() -> Self {
        Self::keeping(NONE)
    }

    /// A context whose threads keep these capabilities beside those that they need.
    pub fn keeping(keep: Capabilities) -> Self {
        Self { btf: OnceLock::new(), keep, start: Start::default(), opener: OnceLock::new() }
    }

    /// Opens perf events. Started by the first source that needs it, whose thread must have the capabilities for it.
    pub(crate) fn opener(&self) -> Opener {
        self.opener.get_or_init(|| Opener::start(self.keep, self.start.clone())).clone()
    }

    /// Call when the packages of the start are loaded, before privileges are dropped: perf events that are opened from now on (for CPUs
    /// that come online, and for packages that are loaded later) are opened by a thread that keeps only what that needs.
    pub fn end_start(&self) {
        self.start.end();
    }

    /// Reads the kernel's BTF in a thread, beside other work before the first program is loaded. Without that thread it is read when
    /// it is needed.
    pub fn read_ahead(self: &Arc<Self>) {
        let context = self.clone();
        let _ = ebhost_confine::spawn("types", NONE, Abandon, move || _ = context.kernel_btf());
    }

    /// The types of the kernel, with its modules as they are now, for one object.
    ///
    /// # Errors
    /// The kernel shows none; the text says why.
    pub(crate) fn types(&self) -> Result<KernelBtf, String> {
        self.kernel_btf().clone().map(KernelBtf::running)
    }

    fn kernel_btf(&self) -> &Result<Arc<Btf>, String> {
        self.btf.get_or_init(types::read_kernel)
    }
}

impl Default for KernelContext {
    fn default() -> Self {
        Self::new()
    }
}
