//! The kernel's run statistics of BPF programs: switched on if that was asked for, and whether they are on.

use std::{fs::File, os::unix::fs::FileExt as _};

use tracing::warn;

use super::Statistics;
use ebhost_kernel as kernel;
use ebhost_kernel::StatisticsOn;

/// Where the kernel says whether statistics are on for everybody.
const SETTING: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel's run statistics, as far as this process knows of them.
#[derive(Debug)]
pub(super) struct RunStatistics {
    /// Switched on by this process; off again when it is dropped.
    held: Option<StatisticsOn>,
    /// Kept open, since files cannot be opened after the start.
    setting: Option<File>,
}

impl RunStatistics {
    /// Switches the statistics on if they are wanted. Without the right to do so the host warns and serves all the same: only the time
    /// and number of runs are missing, and `ebhost_bpf_stats_enabled` says so.
    pub(super) fn new(wanted: Statistics) -> Self {
        let held = match wanted {
            Statistics::On => kernel::switch_on_statistics()
                .inspect_err(|error| {
                    warn!(
                        "--bpf.stats: the kernel's statistics of BPF programs cannot be switched on: {error}; found no CAP_SYS_ADMIN? Try \
                         `sysctl kernel.bpf_stats_enabled=1`, or leave the option out"
                    );
                })
                .ok(),
            Statistics::AsTheyAre => None,
        };
        Self { held, setting: File::open(SETTING).ok() }
    }

    /// Whether they are on now. A descriptor by which another process holds them on does not show.
    pub(super) fn are_on(&self) -> bool {
        let mut setting = [0];
        let is_set = |file: &File| file.read_at(&mut setting, 0).is_ok_and(|length| length == 1 && setting[0] != b'0');
        self.held.is_some() || self.setting.as_ref().is_some_and(is_set)
    }
}
