//! State of the running kernel that all packages share: its BTF, and the thread that opens perf events.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    sync::{Arc, OnceLock},
};

use crate::{
    perf::{Opener, Start},
    sys,
};
use ebhost_confine::{Abandon, Capabilities, NONE};

/// The running kernel as packages are loaded into it. Its BTF is read once, when it is first needed.
#[derive(Debug)]
pub struct KernelContext {
    btf: OnceLock<Option<aya::Btf>>,
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
        let _ = ebhost_confine::spawn("types", NONE, Abandon, move || _ = context.btf());
    }

    /// The kernel's BTF; `None`: it shows none.
    pub(crate) fn btf(&self) -> Option<&aya::Btf> {
        self.btf.get_or_init(read_btf).as_ref()
    }
}

impl Default for KernelContext {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the kernel's BTF. That takes a system call for each 4 KiB of some megabytes; since Linux 6.16 the file can be mapped.
fn read_btf() -> Option<aya::Btf> {
    const FILE: &str = "/sys/kernel/btf/vmlinux";
    let parse = |btf: &[u8]| aya::Btf::parse(btf, object::Endianness::default()).ok();
    let file = File::open(FILE).ok()?;
    let bytes = usize::try_from(file.metadata().ok()?.len()).ok()?;
    sys::with_mapped(file.as_fd(), bytes, parse).or_else(|_| fs::read(FILE).map(|btf| parse(&btf))).ok()?
}
