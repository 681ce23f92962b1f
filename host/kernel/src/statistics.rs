//! The kernel's statistics of BPF programs: run time and count, of all programs on the machine, while somebody holds them on.

use std::{io, os::fd::OwnedFd};

/// Statistics are on while this is held. Each run of any program then costs two clock reads more.
#[derive(Debug)]
pub struct StatisticsOn {
    _held: OwnedFd,
}

/// Switches them on, by a descriptor: when the process ends, however it does, they are off again.
pub fn switch_on_statistics() -> io::Result<StatisticsOn> {
    let held = aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|error| error.io_error)?;
    Ok(StatisticsOn { _held: held })
}
