//! The kernel stage: a package's BPF object and perf events in, snapshots out.
//!
//! It loads, attaches and reads; it never interprets a byte of a key or a value. aya parses objects, fits them to the kernel's
//! types and knows maps; what it lacks (sections and externs that it refuses an object for, one program's failure as that
//! program's, links, batched reads, mapped arrays, run statistics) is beside it here, in small files: `object` reads an ELF,
//! `prepare` makes it fit for aya, `load` takes it through `maps`, `program` and `link`, `probe` finds places in files.

mod btf;
mod cgroup_map;
mod elf;
mod events;
mod externs;
mod link;
mod load;
mod load_error;
mod loaded;
mod maps;
mod object;
mod perf;
mod prepare;
mod probe;
mod program;
mod read;
mod section;
mod source;
mod statistics;
mod syscall;
mod tracefs;
mod types;

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    sync::{Arc, OnceLock},
};

use ebhost_confine::{Abandon, Capabilities, NONE};
pub use load::load;
pub use load_error::LoadError;
pub use loaded::{LeftOut, Loaded, Program, UnreadMaps, Wanted};
pub use object::{MapShape, ObjectError, ObjectFile};
pub use perf::{EventState, PerfReader};
use perf::{Opener, Start};
pub use probe::probed_files;
pub use read::MapReader;
pub use source::Source;
pub use statistics::{StatisticsOn, switch_on_statistics};
pub use syscall::RunStatistics;

/// What the running kernel says of itself, read once and when first needed, and what is started for all packages together.
#[derive(Debug)]
pub struct KernelTypes {
    /// Possible CPUs: a per-CPU map has a value for each.
    pub cpus: usize,
    aya: OnceLock<Option<aya::Btf>>,
    /// Capabilities that threads which are started here keep beside those that they need.
    keep: Capabilities,
    start: Start,
    opener: OnceLock<Opener>,
}

impl KernelTypes {
    pub fn new() -> Self {
        Self::keeping(NONE)
    }

    /// With threads that keep these capabilities beside what they need.
    pub fn keeping(keep: Capabilities) -> Self {
        let cpus = aya::util::nr_cpus().unwrap_or(1);
        Self { cpus, aya: OnceLock::new(), keep, start: Start::default(), opener: OnceLock::new() }
    }

    /// Opens perf events. Started by the first source that needs it, whose thread must have the capabilities for it.
    fn opener(&self) -> Opener {
        self.opener.get_or_init(|| Opener::start(self.keep, self.start.clone())).clone()
    }

    /// Call when the packages of the start are loaded, before privileges are dropped: perf events that are opened from now on (for CPUs
    /// that come online, and for packages that are loaded later) are opened by a thread that keeps only what that needs.
    pub fn end_start(&self) {
        self.start.end();
    }

    /// Begins to read the kernel's types, beside what else there is to do before the first program is loaded. Without a thread
    /// for it they are read when they are asked for.
    pub fn read_ahead(self: &Arc<Self>) {
        let types = self.clone();
        let _ = ebhost_confine::spawn("types", NONE, Abandon, move || _ = types.aya());
    }

    fn aya(&self) -> Option<&aya::Btf> {
        self.aya.get_or_init(read_types).as_ref()
    }
}

/// The kernel's types. Reading takes a call for each 4 KiB of some megabytes; since Linux 6.16 they can be mapped.
fn read_types() -> Option<aya::Btf> {
    const TYPES: &str = "/sys/kernel/btf/vmlinux";
    let parse = |types: &[u8]| aya::Btf::parse(types, ::object::Endianness::default()).ok();
    let file = File::open(TYPES).ok()?;
    let bytes = usize::try_from(file.metadata().ok()?.len()).ok()?;
    syscall::lend(file.as_fd(), bytes, parse).or_else(|_| fs::read(TYPES).map(|types| parse(&types))).ok()?
}

impl Default for KernelTypes {
    fn default() -> Self {
        Self::new()
    }
}
