//! The page cache's lookups and misses against the pages of a file that is read from the disk, from memory, and written.

use std::{fs, path::Path, process::Command};

use ebhost_tests::{Cgroup, Disk, Ebhost, Exposition, Folder, alone, committed, needs, output};

const PAGES: f64 = 8192.0;
/// Pages of the programs that read, and of what they load.
const OTHERS: f64 = 400.0;

/// Pages looked up by reads, missed and dirtied in a cgroup.
#[derive(Debug, Clone, Copy)]
struct Pages {
    read: f64,
    missed: f64,
    dirtied: f64,
}

impl Pages {
    fn of(served: &Exposition, cgroup: &Cgroup) -> Self {
        let value = |name: &str, labels: &[(&str, &str)]| {
            let labels = [&[("cgroup", cgroup.path())], labels].concat();
            served.value(name, &labels).unwrap_or_default()
        };
        Self {
            read: value("ebhost_page_cache_lookups_total", &[("access", "read")]),
            missed: value("ebhost_page_cache_misses_total", &[]),
            dirtied: value("ebhost_page_cache_dirtied_total", &[]),
        }
    }
}

/// The pages of a file that are in memory.
fn cached(file: &Path) -> f64 {
    let pages = output(Command::new("fincore").args(["--noheadings", "--output", "PAGES"]).arg(file));
    pages.trim().parse().expect("a number")
}

fn about(found: f64, expected: f64) -> bool {
    (expected..=expected + OTHERS).contains(&found)
}

#[test]
fn a_file_misses_the_cache_when_it_is_read_first_and_not_when_it_is_read_again() {
    needs!(Root, Cgroup2, Tool("mkfs.ext4"), Tool("fincore"), Tool("dd"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("cachestat"));
    folder.set("plugins: { cachestat: { cg: cgroup } }\n");
    let disk = Disk::in_memory();
    output(Command::new("mkfs.ext4").arg("-q").arg(disk.device()));
    let mounted = disk.mount();
    let file = mounted.path().join("file");
    fs::write(&file, vec![1; 4096 * PAGES as usize]).expect("a disk with room");
    output(Command::new("sync").arg(&file));
    output(Command::new("dd").arg(format!("if={}", file.display())).args(["iflag=nocache", "count=0", "status=none"]));
    assert_eq!(cached(&file), 0.0, "the kernel keeps pages of a clean file that nobody uses");

    let host = Ebhost::start(folder.path());
    let cgroup = Cgroup::new(&format!("ebhost-cache-{}", std::process::id()));
    let mut last = Pages::of(&host.scrape(), &cgroup);
    let mut grown = |from: &Path, to: &Path, size: &str| {
        let arguments = [format!("if={}", from.display()), format!("of={}", to.display()), format!("bs={size}")];
        output(cgroup.starter().arg("dd").args(arguments).args([
            "count=32M",
            "iflag=count_bytes",
            "conv=notrunc",
            "status=none",
        ]));
        let (now, before) = (Pages::of(&host.scrape(), &cgroup), last);
        last = now;
        Pages {
            read: now.read - before.read,
            missed: now.missed - before.missed,
            dirtied: now.dirtied - before.dirtied,
        }
    };
    let null = Path::new("/dev/null");
    let cold = grown(&file, null, "4k");
    assert_eq!(cached(&file), PAGES);
    assert!(about(cold.read, PAGES) && about(cold.missed, PAGES) && about(cold.dirtied, 0.0), "{cold:?}");
    // The kernel looks the pages of a large read up in batches.
    for size in ["4k", "64k", "1M", "32M"] {
        let warm = grown(&file, null, size);
        assert!(about(warm.read, PAGES) && about(warm.missed, 0.0), "{size}: {warm:?}");
    }
    // Pages that a write creates have not been missed.
    let written = grown(Path::new("/dev/zero"), &mounted.path().join("new"), "64k");
    assert!(about(written.dirtied, PAGES) && about(written.missed, 0.0), "{written:?}");
    host.stop();
}
