//! The metrics of the process that every Prometheus client library has, read from /proc.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    sync::LazyLock,
};

use rustix::{
    param::page_size,
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};
use serde::Serialize;

/// Resource use of this process; 0 where the kernel does not tell.
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

/// Longer than /proc/self/statm ever is: 7 numbers.
const STATM_BYTES: usize = 256;

// Kept open, for opening costs more than reading; a process that forked would read its parent's.
static STATM: LazyLock<Option<File>> = LazyLock::new(|| File::open("/proc/self/statm").ok());
static FDS: LazyLock<Option<File>> = LazyLock::new(|| File::open(FDS_FOLDER).ok());
static THREADS: LazyLock<Option<File>> = LazyLock::new(|| File::open("/proc/self/task").ok());
const FDS_FOLDER: &str = "/proc/self/fd";

/// The start time never changes, so it is read once.
static START_SECONDS: LazyLock<f64> = LazyLock::new(start_seconds);

impl Process {
    pub fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let mut statm = [0; STATM_BYTES];
        let length = STATM.as_ref().and_then(|file| file.read_at(&mut statm, 0).ok()).unwrap_or_default();
        let mut pages = str::from_utf8(&statm[..length]).unwrap_or_default().split_ascii_whitespace();
        let mut bytes = || pages.next().and_then(|pages| pages.parse().ok()).unwrap_or(0) * page_size() as u64;
        Self {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            virtual_bytes: bytes(),
            resident_bytes: bytes(),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            start_seconds: *START_SECONDS,
            threads: threads(),
        }
    }
}

/// The number of threads: each is a folder, and so a link of the folder that it is in, besides the two that every folder has.
fn threads() -> u64 {
    let folder = THREADS.as_ref().and_then(|folder| folder.metadata().ok());
    folder.map_or(0, |folder| folder.nlink().saturating_sub(2))
}

/// The number of open file descriptors: the folder's size since Linux 6.2; before, they have to be counted.
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

fn start_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse::<f64>().ok());
    let ours = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = fields(&ours).get(22 - 3).and_then(|ticks| ticks.parse::<f64>().ok());
    boot.unwrap_or_default() + ticks.unwrap_or_default() / TICKS
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
        assert!(process.open_fds >= 3 && process.max_fds > process.open_fds, "{process:?}");
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10;
        let threads =
            status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse::<u64>().unwrap();
        assert!(process.threads >= 1 && process.threads.abs_diff(threads) <= 8, "{process:?}, {threads} by status");
        // Other tests of this process run meanwhile, and the kernel counts pages by CPU.
        assert!(process.resident_bytes.abs_diff(resident) < resident / 2, "{process:?}, {resident} by status");
    }

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        assert_eq!(fields("1 (a) b)) R 2 3"), ["R", "2", "3"]);
    }
}
