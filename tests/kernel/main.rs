//! What is served equals what the kernel did: counts and latencies are compared with the kernel's own counts and with
//! fio.
//!
//! Every test has disks of its own, so I/O by others does not matter. Load would change latencies, so these tests run
//! one at a time.

mod attach;
mod counts;
mod latencies;
mod many_disks;
mod sizes;

use std::collections::BTreeMap;

use ebhost_tests::{Exposition, Folder, Stat};

/// biolatency, measuring from insertion into the scheduler instead of from issue to the driver.
fn from_insertion() -> Folder {
    let folder = Folder::with_biolatency();
    folder.set("plugins: { biolatency: { queued: true } }");
    folder
}

/// The served counts of each disk, summed up in the way of `stat`.
fn counted(served: &Exposition) -> BTreeMap<String, Stat> {
    let mut disks: BTreeMap<String, Stat> = BTreeMap::new();
    for sample in served.samples().filter(|sample| sample.name == "ebhost_bio_latency_seconds_count") {
        let counted = disks.entry(sample.labels["device"].clone()).or_default();
        let field = match sample.labels["operation"].as_str() {
            "read" => &mut counted.reads,
            "discard" => &mut counted.discards,
            "flush" => &mut counted.flushes,
            // `stat` counts an empty write that only requests a flush as a write.
            "write" | "preflush" | "write_zeroes" => &mut counted.writes,
            other => panic!("no test makes {other}: {sample:?}"),
        };
        *field += sample.value as u64;
    }
    disks
}
