//! The kernel's run statistics of BPF programs (`BPF_ENABLE_STATS`): run time and count of every program on the machine.

use std::{io, os::fd::OwnedFd};

/// Statistics are on while this is held. Each run of any program then costs two more clock reads.
#[derive(Debug)]
pub struct StatisticsOn {
    _held: OwnedFd,
}

/// Switches run statistics on. They are held on by a descriptor, so they are off again when the process ends, however it ends.
///
/// # Errors
/// The kernel refuses: it takes CAP_SYS_ADMIN.
pub fn switch_on_statistics() -> io::Result<StatisticsOn> {
    let held = aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|error| error.io_error)?;
    Ok(StatisticsOn { _held: held })
}
