//! The bytes of requests equal the sectors that the kernel counts.

use std::fs;

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, alone, needs, reported_as_lost};

use crate::counts::{RUNS, load};

/// Bytes of a disk: read, written, discarded.
type Bytes = [u64; 3];

/// Sectors are of 512 bytes, whatever the disk's are.
fn kernel(disk: &Disk) -> Bytes {
    let file = format!("/sys/block/{}/stat", disk.name());
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let fields: Vec<u64> = text.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    [fields[2], fields[6], fields[13]].map(|sectors| sectors * 512)
}

fn served(served: &Exposition, disk: &Disk) -> Bytes {
    let of_disk = |sample: &&ebhost_tests::Sample| {
        sample.name == "ebhost_bio_size_bytes_sum" && sample.labels["device"] == disk.name()
    };
    served.samples().filter(of_disk).fold([0; 3], |mut bytes, sample| {
        let at = match sample.labels["operation"].as_str() {
            "read" => 0,
            "discard" => 2,
            "write" | "write_zeroes" => 1,
            other => panic!("`{other}` has no bytes: {sample:?}"),
        };
        bytes[at] += sample.value as u64;
        bytes
    })
}

#[test]
fn bytes_equal_the_kernels_sectors() {
    needs!(Root, Tool("fio"), Tool("mkfs.ext4"));
    let _alone = alone();
    let folder = Folder::with_biolatency();
    folder.set("plugins: { biolatency: { sizes: true } }");
    let (disk, host) = (Disk::in_memory(), Ebhost::start(folder.path()));
    // A run in which the kernel hid requests from programs is repeated; see counts.rs.
    let exact = (0..RUNS).find_map(|_| {
        let ((first, kernel_first), _) = disk.at_rest(|| (host.scrape(), kernel(&disk)));
        load(&disk);
        let ((last, kernel_last), _) = disk.at_rest(|| (host.scrape(), kernel(&disk)));
        let grown = |last: Bytes, first: Bytes| [0, 1, 2].map(|at| last[at] - first[at]);
        let (ours, theirs) = (grown(served(&last, &disk), served(&first, &disk)), grown(kernel_last, kernel_first));
        assert!(theirs.iter().all(|bytes| *bytes > 1 << 20), "{theirs:?} bytes");
        eprintln!("{ours:?} bytes served, {theirs:?} transferred");
        assert!(ours.iter().zip(&theirs).all(|(ours, theirs)| ours <= theirs), "more than the kernel has");
        if ours != theirs {
            assert!(reported_as_lost(&last) > reported_as_lost(&first), "missing, and not reported as lost");
        }
        (ours == theirs).then_some(last)
    });
    let last = exact.expect("one run in which the kernel hid nothing");
    let labels = [("device", disk.name()), ("operation", "read")];
    let sizes = last.histogram("ebhost_bio_size_bytes", &labels).expect("a histogram");
    let latencies = last.histogram("ebhost_bio_latency_seconds", &labels).expect("a histogram");
    assert_eq!(sizes.count, latencies.count, "both have each request once");
    host.stop();
}
