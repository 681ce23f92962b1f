//! Waits for memory at a cgroup's limit, against perf's count of the waiting task's reclaims, and how often the kernel counts that the limit
//! was hit. That is at least as often: a batch of pages that does not fit is charged page by page first.

use std::{fs, process::Command, time::Instant};

use ebhost_tests::{Cgroup, Disk, Ebhost, Folder, MemoryLimit, alone, committed, needs, output};

/// Runs a command, and counts an event in it and its children by perf(1).
fn perf_count(event: &str, command: &Command) -> u64 {
    let folder = Folder::new();
    let report = folder.path().join("perf");
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", event, "-o"]).arg(&report).arg("--");
    output(perf.arg(command.get_program()).args(command.get_args()));
    let text = fs::read_to_string(&report).expect("perf wrote its report");
    let line = text.lines().find(|line| line.contains(event)).unwrap_or_else(|| panic!("no `{event}` in {text}"));
    line.split(',').next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no number in {line}"))
}

#[test]
fn a_task_that_reads_a_file_larger_than_its_cgroups_limit_waits_as_often_as_the_limit_is_hit() {
    needs!(Root, Cgroup2, MemoryLimit, Tool("mkfs.ext4"), Tool("perf"));
    let _alone = alone();
    for histograms in ["classic", "native"] {
        let folder = Folder::new();
        folder.copy(&committed().join("reclaim"));
        folder.set(&format!("plugins: {{ reclaim: {{ cg: cgroup, histograms: {histograms} }} }}\n"));
        let disk = Disk::in_memory();
        output(Command::new("mkfs.ext4").arg("-q").arg(disk.device()));
        let mounted = disk.mount();
        let file = mounted.path().join("file");
        fs::write(&file, vec![1; 96 << 20]).expect("a disk with room");
        output(Command::new("sync").arg(&file));
        output(Command::new("dd").arg(format!("if={}", file.display())).args([
            "iflag=nocache",
            "count=0",
            "status=none",
        ]));
        let host = Ebhost::start(folder.path());
        let cgroup = Cgroup::new(&format!("ebhost-reclaim-{}", std::process::id()));
        let limit = MemoryLimit::below(&cgroup, 24 << 20);
        let began = Instant::now();
        let reclaims = perf_count("vmscan:mm_vmscan_memcg_reclaim_begin", limit.starter().arg("cat").arg(&file));
        let took = began.elapsed().as_secs_f64();
        let labels = [("cgroup", limit.path()), ("scope", "cgroup")];
        let waits = host.scrape().histogram("ebhost_direct_reclaim_seconds", &labels).expect("it was at its limit");
        let hit = limit.hit();
        eprintln!("{} waits of {} s in {took} s; the limit was hit {hit} times", waits.count, waits.sum);
        assert!(hit >= 5, "96 MiB do not fit into 24");
        assert_eq!(waits.count, reclaims);
        assert!(waits.count <= hit, "{} waits, and the limit was hit {hit} times", waits.count);
        assert!(waits.sum > 0.0 && waits.sum < took, "{} of {took} s", waits.sum);
        host.stop();
    }
}
