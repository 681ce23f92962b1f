//! The kernel stage: a package's BPF object and perf events in, snapshots out.
//!
//! It loads, attaches and reads; it never interprets a byte of a key or a value. What aya offers is used through aya; what
//! it lacks (batched reads, mapped arrays, run statistics, the types in BTF) is beside it here, in small files.

mod attach;
mod btf;
mod events;
mod load;
mod object;
mod perf;
mod read;
mod source;
mod statistics;
mod syscall;

use std::sync::OnceLock;

pub use load::{LoadError, Loaded, Wanted, load};
pub use object::{MapShape, ObjectError, ObjectFile};
pub use perf::{EventState, PerfReader};
pub use read::MapReader;
pub use source::Source;
pub use statistics::{StatisticsOn, switch_on_statistics};
pub use syscall::RunStatistics;

/// What the running kernel says of itself, read once and when first needed.
#[derive(Debug)]
pub struct KernelTypes {
    /// Possible CPUs: a per-CPU map has a value for each.
    pub cpus: usize,
    aya: OnceLock<Option<aya::Btf>>,
}

impl KernelTypes {
    pub fn new() -> Self {
        Self { cpus: aya::util::nr_cpus().unwrap_or(1), aya: OnceLock::new() }
    }

    fn aya(&self) -> Option<&aya::Btf> {
        self.aya.get_or_init(|| aya::Btf::from_sys_fs().ok()).as_ref()
    }
}

impl Default for KernelTypes {
    fn default() -> Self {
        Self::new()
    }
}
