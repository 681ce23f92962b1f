//! The process itself, from /proc: the metrics that every Prometheus client library has, under their usual names.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    sync::LazyLock,
};

use rustix::{
    param::page_size,
    process::{Resource, getrlimit},
};
use serde::Serialize;

/// What the kernel says of this process; 0 where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    pub open_fds: u64,
    pub max_fds: u64,
    /// Since 1970.
    pub start_seconds: f64,
    pub threads: u64,
}

/// Clock ticks a second in /proc, of every architecture that Linux' BPF runs on.
const TICKS: f64 = 100.0;

/// Longer than /proc/self/stat ever is: 52 numbers and a name of 64 bytes.
const STAT_BYTES: usize = 2048;

/// Kept open, for opening costs more than reading; a process that forked would read its parent's.
static STAT: LazyLock<Option<File>> = LazyLock::new(|| File::open("/proc/self/stat").ok());
static FDS: LazyLock<Option<File>> = LazyLock::new(|| File::open(FDS_FOLDER).ok());
const FDS_FOLDER: &str = "/proc/self/fd";

/// Never changes.
static BOOT_SECONDS: LazyLock<f64> = LazyLock::new(boot_seconds);

impl Process {
    pub fn now() -> Self {
        let mut stat = [0; STAT_BYTES];
        let length = STAT.as_ref().and_then(|file| file.read_at(&mut stat, 0).ok()).unwrap_or_default();
        let fields = fields(str::from_utf8(&stat[..length]).unwrap_or_default());
        let field =
            |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        Self {
            cpu_seconds: (field(14) + field(15)) as f64 / TICKS,
            resident_bytes: field(24) * page_size() as u64,
            virtual_bytes: field(23),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            start_seconds: *BOOT_SECONDS + field(22) as f64 / TICKS,
            threads: field(20),
        }
    }
}

/// Linux says the number as the folder's size since 6.2; before, it has to be counted.
fn open_fds() -> u64 {
    match FDS.as_ref().and_then(|folder| folder.metadata().ok()) {
        Some(folder) if folder.size() > 0 => folder.size(),
        // One of them is the folder that is being read.
        _ => fs::read_dir(FDS_FOLDER).map_or(0, |all| all.count() as u64).saturating_sub(1),
    }
}

/// The fields of /proc/self/stat from the third on: the second, a name in brackets, may have anything in it.
fn fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect())
}

fn boot_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn it_tells_of_this_process() {
        let process = Process::now();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(process.start_seconds > now - 3600.0 && process.start_seconds < now + 2.0, "{process:?}");
        assert!(process.resident_bytes > 1 << 20 && process.virtual_bytes > process.resident_bytes, "{process:?}");
        assert!(process.open_fds >= 3 && process.max_fds > process.open_fds && process.threads >= 1, "{process:?}");
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10;
        // Other tests of this process run meanwhile, and the kernel counts pages by CPU.
        assert!(process.resident_bytes.abs_diff(resident) < resident / 2, "{process:?}, {resident} by status");
    }

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        assert_eq!(fields("1 (a) b)) R 2 3"), ["R", "2", "3"]);
    }
}
