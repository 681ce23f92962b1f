//! Peaks of memory: the host's, and that of the processes that compile for it.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Bytes of resident memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peak {
    pub(super) host: u64,
    pub(super) compiler: u64,
}

/// A host that is watched.
pub(super) struct Watched {
    pid: u32,
    is_over: Arc<AtomicBool>,
    compiler: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Watched {
    /// Forgets the host's peak so far, and looks at its children.
    pub(super) fn begin(pid: u32) -> Self {
        // 5: the peak becomes what is resident now.
        fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("root may reset a peak");
        let (is_over, compiler) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (over, most) = (is_over.clone(), compiler.clone());
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for child in descendants(pid) {
                    most.fetch_max(field(child, "VmHWM:").unwrap_or(0), Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self { pid, is_over, compiler, thread }
    }

    pub(super) fn end(self) -> Peak {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only reads");
        let host = field(self.pid, "VmHWM:").expect("the host runs");
        Peak { host, compiler: self.compiler.load(Ordering::Relaxed) }
    }
}

/// The process' children and theirs.
fn descendants(pid: u32) -> Vec<u32> {
    let children = |pid: u32| -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        tasks
            .flat_map(|task| {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                children.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<u32>>()
            })
            .collect()
    };
    let own = children(pid);
    own.iter().copied().chain(own.iter().flat_map(|child| children(*child))).collect()
}

/// A size of a process, in bytes.
fn field(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}
