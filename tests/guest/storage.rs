//! The packages that count memory, files, writeback, system calls and NVMe commands, on kernels that have what this machine's lacks: entries and
//! exits of kernel functions, NVMe disks, and so little memory that tasks wait for it.

use std::{fs, process::Command};

use ebhost_tests::{Exposition, Folder, committed, copy_package, needs, output};

use crate::{
    guest::{Console, Guest},
    scheduler::Hooks,
};

const PACKAGES: [&str; 8] = ["cachestat", "fslatency", "nvme", "oom", "pagefaults", "reclaim", "syscalls", "writeback"];
const SETTINGS: &str = "plugins: { fslatency: on, nvme: on, syscalls: on, oom: { cg: cgroup } }\n";

/// Makes every read of one block of the disk fail.
const BAD_BLOCK: &str = "[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\nsector = \"3276800\"\n";

/// An ext4 file system of 8 MiB with a file of 1 MiB.
fn file_system(folder: &Folder) -> Vec<u8> {
    let (content, image) = (folder.path().join("content"), folder.path().join("image"));
    fs::create_dir(&content).and_then(|()| fs::write(content.join("file"), vec![1; 1 << 20])).expect("our own folder");
    output(Command::new("mkfs.ext4").args(["-q", "-O", "^has_journal", "-d"]).arg(&content).arg(&image).arg("8M"));
    fs::read(&image).expect("mkfs has written it")
}

/// The counts of the kernel and the host between two moments.
struct Grown<'a> {
    console: &'a Console,
    from: Exposition,
    to: Exposition,
    moments: (&'a str, &'a str),
}

impl<'a> Grown<'a> {
    fn between(console: &'a Console, from: &'a str, to: &'a str) -> Self {
        let served = |moment| console.served(&format!("metrics {moment}"));
        Self { console, from: served(from), to: served(to), moments: (from, to) }
    }

    /// The growth of a family in all series with these labels.
    fn served(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        total(&self.to, name, labels) - total(&self.from, name, labels)
    }

    /// The growth of the kernel's counters whose names begin with this.
    fn vmstat(&self, prefix: &str) -> f64 {
        let total = |moment| {
            let lines = self.console.section(&format!("vmstat {moment}")).lines();
            let values = lines.filter(|line| line.starts_with(prefix)).filter_map(|line| line.split(' ').nth(1));
            values.map(|value| value.parse::<f64>().expect("a number")).sum::<f64>()
        };
        total(self.moments.1) - total(self.moments.0)
    }

    /// The growth of a number of the NVMe disk's `stat`.
    fn disk(&self, field: usize) -> f64 {
        let number = |moment| self.console.numbers(&format!("nvme {moment}"))[field];
        number(self.moments.1) - number(self.moments.0)
    }
}

fn total(served: &Exposition, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&ebhost_tests::Sample| {
        sample.name == name
            && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|own| own == value))
    };
    served.samples().filter(fits).map(|sample| sample.value).sum()
}

/// The programs of `fslatency` and `cachestat`, and those of them that are on kprobes.
const PROBED: [(&str, &str, &str); 7] = [
    ("fslatency", "[vfs_read_end, vfs_read_probe_end]", "vfs_read_probe_end"),
    ("fslatency", "[vfs_read, vfs_read_probe]", "vfs_read_probe"),
    ("fslatency", "[vfs_write_end, vfs_write_probe_end]", "vfs_write_probe_end"),
    ("fslatency", "[vfs_write, vfs_write_probe]", "vfs_write_probe"),
    ("fslatency", "[vfs_open_end, vfs_open_probe_end]", "vfs_open_probe_end"),
    ("fslatency", "[vfs_open, vfs_open_probe]", "vfs_open_probe"),
    ("cachestat", "[mm_filemap_fault, filemap_fault, filemap_fault_probe]", "filemap_fault_probe"),
];
const PROBED_SYNCS: [(&str, &str, &str); 5] = [
    ("fslatency", "[vfs_fsync_range_end, vfs_fsync_range_probe_end]", "vfs_fsync_range_probe_end"),
    ("fslatency", "[vfs_fsync_range, vfs_fsync_range_probe]", "vfs_fsync_range_probe"),
    (
        "fslatency",
        "[do_fsync_end, vfs_fsync_end, do_fsync_probe_end, vfs_fsync_probe_end]",
        "[do_fsync_probe_end, vfs_fsync_probe_end]",
    ),
    ("fslatency", "[do_fsync, vfs_fsync, do_fsync_probe, vfs_fsync_probe]", "[do_fsync_probe, vfs_fsync_probe]"),
    (
        "cachestat",
        "[mm_filemap_get_pages, filemap_read, generic_file_buffered_read, filemap_read_probe, generic_file_buffered_read_probe]",
        "[filemap_read_probe, generic_file_buffered_read_probe]",
    ),
];

fn counts_on(line: &str, hooks: Hooks) {
    let guest = Guest::x86(line, "storage-init").with_cpus("1");
    guest.put_ebhost();
    guest.put_modules(&["configfs", "null_blk", "nvme", "ext4"]);
    let folder = Folder::new();
    for name in PACKAGES {
        copy_package(&committed().join(name), &folder.path().join(name));
    }
    if hooks == Hooks::Kprobes {
        let all = PROBED.iter().chain(&PROBED_SYNCS);
        all.for_each(|(package, best, probed)| folder.amend(package, best, probed));
    }
    guest.put(folder.path(), "plugins/storage");
    guest.put(&folder.path().join("oom"), "plugins/first/oom");
    guest.write("settings.yaml", SETTINGS.as_bytes());
    let work = Folder::new();
    guest.write("image", &file_system(&work));
    let (disk, errors) = (guest.disk_image(1 << 31), work.path().join("bad-block"));
    fs::write(&errors, BAD_BLOCK).expect("our own folder");
    let drive = format!("file=blkdebug:{}:{},if=none,id=n,format=raw", errors.display(), disk.display());
    let guest = guest.with_devices(&format!("-device nvme,serial=a,drive=n -drive {drive}"));
    let console = guest.boot();
    assert!(console.section("release").starts_with(line), "{}", console.section("release"));
    let log = console.section("log storage");
    for package in PACKAGES {
        assert!(log.lines().any(|line| line.contains("package runs") && line.contains(package)), "{package}:\n{log}");
    }
    let first = Grown::between(&console, "before", "between");
    file_operations(&first);
    system_calls(&first);
    nvme_commands(&first);
    page_cache(&console);
    memory(&Grown::between(&console, "between", "after"));
}

fn file_operations(grown: &Grown<'_>) {
    let count = |fstype, operation| {
        grown.served("ebhost_fs_operation_seconds_count", &[("fstype", fstype), ("operation", operation)])
    };
    let ramfs = ["read", "write", "open", "fsync"].map(|operation| count("ramfs", operation));
    assert_eq!(ramfs, [1000.0, 1000.0, 2.0, 1.0], "reads, writes, opens, fsyncs");
    let labels = [("fstype", "ext4"), ("operation", "read")];
    let slow = grown.to.histogram("ebhost_fs_operation_seconds", &labels).expect("the disk's file was read");
    assert_eq!((slow.count, slow.at_most(0.008192)), (40, 0), "each waited 10 ms for the disk: {slow:?}");
}

fn system_calls(grown: &Grown<'_>) {
    assert_eq!(grown.served("ebhost_syscalls_total", &[("syscall", "sync")]), 10.0);
    let unmounted = [("syscall", "umount2")];
    assert_eq!(grown.served("ebhost_syscalls_total", &unmounted), 10.0);
    assert_eq!(grown.served("ebhost_syscall_errors_total", &unmounted), 10.0);
}

fn nvme_commands(grown: &Grown<'_>) {
    let count = |opcode, status| {
        grown.served("ebhost_nvme_commands_total", &[("device", "nvme0"), ("opcode", opcode), ("status", status)])
    };
    assert_eq!(count("write", "success"), grown.disk(4), "writes");
    assert_eq!(count("write", "success"), 200.0);
    assert!(count("read", "unrecovered_read_error") >= 1.0, "the read of the bad block");
    // The kernel counts a request that failed as well.
    assert_eq!(count("read", "success") + 1.0, grown.disk(0), "reads");
}

fn page_cache(console: &Console) {
    let (before, after) = (console.served("cache before"), console.served("cache after"));
    let grown = |name, labels: &[_]| total(&after, name, labels) - total(&before, name, labels);
    let read = grown("ebhost_page_cache_lookups_total", &[("access", "read")]);
    let missed = grown("ebhost_page_cache_misses_total", &[]);
    assert!((2000.0..2400.0).contains(&read) && (2000.0..2400.0).contains(&missed), "{read} read, {missed} missed");
    let written = console.served("writeback");
    let pages = total(&written, "ebhost_writeback_pages_total", &[("device", "nullb0"), ("reason", "sync")])
        - total(&after, "ebhost_writeback_pages_total", &[("device", "nullb0"), ("reason", "sync")]);
    assert!((200.0..250.0).contains(&pages), "{pages} pages written");
    let passes = written.histogram("ebhost_writeback_seconds", &[("device", "nullb0")]).expect("there was one");
    // The slowest waits about as long as a request to the disk, which is 10 ms; a pass that finds little to write waits for none.
    assert!(passes.sum >= 0.005 && passes.at_most(0.004096) < passes.count, "one waits for the disk: {passes:?}");
}

fn memory(grown: &Grown<'_>) {
    assert_eq!(grown.served("ebhost_kswapd_wakes_total", &[]), grown.vmstat("pageoutrun"));
    assert!(grown.vmstat("pageoutrun") > 0.0, "the disk is larger than the memory");
    let waits = grown.served("ebhost_direct_reclaim_seconds_count", &[("scope", "machine")]);
    // The kernel counts again when it tries again.
    assert!(waits <= grown.vmstat("allocstall"), "{waits} waits, {} in vmstat", grown.vmstat("allocstall"));
    assert!(grown.served("ebhost_direct_reclaim_seconds_count", &[("scope", "cgroup")]) > 0.0, "a cgroup at its limit");
    assert!(grown.served("ebhost_compaction_stall_seconds_count", &[]) > 0.0);
    let killed = grown.served("ebhost_oom_kills_total", &[("cgroup", "/small")]);
    assert_eq!((killed, grown.vmstat("oom_kill")), (1.0, 1.0));
    let events = grown.console.section("memory events");
    assert!(events.lines().any(|line| line == "oom_kill 1"), "{events}");
    let faults = grown.served("ebhost_page_faults_total", &[]);
    // vmstat also counts pages that the kernel faults in for system calls.
    assert!(
        faults > 0.0 && faults <= grown.vmstat("pgfault"),
        "{faults} faults, {} in vmstat",
        grown.vmstat("pgfault")
    );
}

#[test]
fn memory_and_files_are_counted_on_5_10() {
    needs!(Guest, Tool("mkfs.ext4"));
    counts_on("5.10", Hooks::Best);
}

#[test]
fn memory_and_files_are_counted_on_6_1() {
    needs!(Guest, Tool("mkfs.ext4"));
    counts_on("6.1", Hooks::Best);
}

#[test]
fn memory_and_files_are_counted_on_6_12() {
    needs!(Guest, Tool("mkfs.ext4"));
    counts_on("6.12", Hooks::Best);
}

#[test]
fn memory_and_files_are_counted_on_7_3() {
    needs!(Guest, Tool("mkfs.ext4"));
    counts_on("7.3", Hooks::Best);
}

#[test]
fn files_are_timed_where_functions_have_kprobes_alone() {
    needs!(Guest, Tool("mkfs.ext4"));
    counts_on("6.1", Hooks::Kprobes);
}
