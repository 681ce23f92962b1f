//! Counts equal the kernel's: over mixed I/O of every kind, `_count` by device and operation grows by exactly what
//! `/sys/block/DEV/stat` says was completed.
//!
//! The disk belongs to the test, and both sides are read when nothing is in flight on it. So no tolerance is needed for
//! I/O by others, or for requests that one side has seen and the other has not yet.
//!
//! One thing the host cannot do: count requests that the kernel shows to no program at all. The kernel skips a run that
//! would nest in another run of the same program, and on virtual machines whose hypervisor agent is hidden from
//! tracing, everything that interrupts the agent is hidden too. Of such a request biolatency sees one end, and reports it as
//! lost once the other end's place is used again. So a run that misses requests is repeated only if as many are reported
//! as lost; a request that is missing without that was lost by ebhost, and the test fails at the first one. No run may
//! count a request too many, or miss more than a few.

use std::{fs, path::Path, process::Command};

use ebhost_tests::{
    Disk, Ebhost, Exposition, Fio, Folder, Stat, alone, assert_reported_as_lost, committed, needs, output,
    reported_as_lost,
};

use crate::{counted, from_insertion};

pub(crate) const RUNS: usize = 10;

#[test]
fn counts_equal_the_kernels() {
    needs!(Root, Tool("fio"), Tool("mkfs.ext4"));
    let _alone = alone();
    assert_matches_kernel(&committed(), &Disk::in_memory());
}

#[test]
fn counts_by_flags_add_up_to_the_kernels() {
    needs!(Root, Tool("fio"), Tool("mkfs.ext4"));
    let _alone = alone();
    let folder = Folder::with_biolatency();
    folder.set("plugins: { biolatency: { per_flag: true } }");
    let served = assert_matches_kernel(folder.path(), &Disk::in_memory());
    let flags: Vec<_> = served.samples().filter_map(|sample| sample.labels.get("flags")).collect();
    assert!(flags.iter().any(|flags| flags.contains("Sync")), "{flags:?}");
}

/// From insertion into the I/O scheduler: requests are inserted, merged and requeued before they are issued.
#[test]
fn counts_from_insertion_equal_the_kernels() {
    needs!(Root, Tool("fio"), Tool("mkfs.ext4"));
    let _alone = alone();
    let folder = from_insertion();
    let disk = Disk::in_memory();
    disk.set("queue/scheduler", "mq-deadline");
    assert_matches_kernel(folder.path(), &disk);
}

/// Requests that completed while no host ran are never counted, not even by the next host.
#[test]
fn counts_begin_when_the_host_does() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let disk = Disk::in_memory();
    Fio::run(&disk.device(), &["--rw=read", "--bs=4k", "--number_ios=100"]);
    let host = Ebhost::start(&committed());
    let (served, stat) = disk.at_rest(|| host.scrape());
    assert!(stat.reads >= 100, "{stat:?}");
    assert_eq!(
        served.value("ebhost_bio_latency_seconds_count", &[("device", disk.name()), ("operation", "read")]),
        None
    );
    host.stop();
}

/// Asserts that both counts grow by the same amount under load; returns the last scrape.
fn assert_matches_kernel(plugins: &Path, disk: &Disk) -> Exposition {
    let host = Ebhost::start(plugins);
    let exact = (0..RUNS).find_map(|_| {
        let (first, kernel_first) = disk.at_rest(|| host.scrape());
        let fio = load(disk);
        let (last, kernel_last) = disk.at_rest(|| host.scrape());

        let kernel = kernel_last - kernel_first;
        assert!(kernel.reads >= fio.reads.count && fio.reads.count > 500, "{kernel:?}, {fio:?}");
        assert!(kernel.writes >= fio.writes.count && fio.writes.count > 500, "{kernel:?}, {fio:?}");
        assert!(kernel.discards >= 200 && kernel.flushes >= 100, "{kernel:?}");
        let of_disk = |served| counted(served).remove(disk.name()).unwrap_or_default();
        let served = of_disk(&last) - of_disk(&first);
        let missing = missing(&served, &kernel);
        if missing > 0 {
            assert_reported_as_lost(disk, missing, reported_as_lost(&first), || host.scrape());
        }
        (missing == 0).then_some(last)
    });
    host.stop();
    exact.unwrap_or_else(|| panic!("in {RUNS} runs never all that the kernel counted; the last ones are above"))
}

/// The requests that the kernel counted and ebhost did not.
fn missing(served: &Stat, kernel: &Stat) -> u64 {
    let pairs = [
        (served.reads, kernel.reads),
        (served.writes, kernel.writes),
        (served.discards, kernel.discards),
        (served.flushes, kernel.flushes),
    ];
    let too_few: u64 = pairs
        .map(|(served, kernel)| {
            kernel.checked_sub(served).unwrap_or_else(|| panic!("{served} served, {kernel} completed"))
        })
        .iter()
        .sum();
    let all: u64 = pairs.iter().map(|(_, kernel)| kernel).sum();
    assert!(too_few * 100 <= all, "{served:?} served, {kernel:?} completed");
    if too_few > 0 {
        eprintln!("{served:?} served, {kernel:?} completed: to be repeated");
    }
    too_few
}

/// Reads, writes and fsyncs that overlap; discards; write-zeroes; writes that are flushed one by one; a file system.
pub(crate) fn load(disk: &Disk) -> Fio {
    let device = disk.device();
    let mixed =
        ["--rw=randrw", "--bsrange=4k-64k", "--ioengine=libaio", "--iodepth=8", "--fsync=16", "--number_ios=4000"];
    let fio = Fio::run(&device, &mixed);
    Fio::run(&device, &["--rw=write", "--bs=4k", "--direct=0", "--size=16m", "--fsync=64"]);
    Fio::run(&device, &["--rw=randtrim", "--bs=64k", "--number_ios=200"]);
    Fio::run(
        &device,
        &["--rw=randwrite", "--bs=4k", "--sync=dsync", "--numjobs=4", "--group_reporting", "--number_ios=100"],
    );
    output(Command::new("blkdiscard").args(["--zeroout", "--length", "8MiB"]).arg(&device));
    file_system(disk);
    fio
}

fn file_system(disk: &Disk) {
    output(Command::new("mkfs.ext4").args(["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(disk.device()));
    let mounted = disk.mount();
    for round in 0..5 {
        let file = mounted.path().join(round.to_string());
        fs::write(&file, vec![7; 1 << 20]).and_then(|()| fs::File::open(&file)?.sync_all()).expect("a file is written");
        fs::remove_file(&file).expect("our own file");
    }
    output(Command::new("fstrim").arg(mounted.path()));
}
