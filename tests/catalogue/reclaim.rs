//! Waits for memory at a cgroup's limit, against how often the kernel counts that the limit was hit.

use std::{fs, process::Command, time::Instant};

use ebhost_tests::{Cgroup, Disk, Ebhost, Folder, MemoryLimit, alone, committed, needs, output};

#[test]
fn a_task_that_reads_a_file_larger_than_its_cgroups_limit_waits_as_often_as_the_limit_is_hit() {
    needs!(Root, Cgroup2, MemoryLimit, Tool("mkfs.ext4"));
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
        output(limit.starter().arg("cat").arg(&file));
        let took = began.elapsed().as_secs_f64();
        let labels = [("cgroup", limit.path()), ("scope", "cgroup")];
        let waits = host.scrape().histogram("ebhost_direct_reclaim_seconds", &labels).expect("it was at its limit");
        let hit = limit.hit();
        eprintln!("{} waits of {} s in {took} s; the limit was hit {hit} times", waits.count, waits.sum);
        assert!(hit >= 5, "96 MiB do not fit into 24");
        assert_eq!(waits.count, hit);
        assert!(waits.sum > 0.0 && waits.sum < took, "{} of {took} s", waits.sum);
        host.stop();
    }
}
