//! Disks with as many hardware queues and tags as the largest NVMe machines have.

use std::env;

use ebhost_tests::needs;

use crate::{
    disk::{put_biolatency, stat},
    guest::Guest,
};

/// 8 disks with two hardware queues of 1 024 tags each, and an eighth of the parts that are shipped. EBHOST_DISKS=64 makes it 128 hardware
/// queues and the package as it is.
#[test]
fn requests_of_128_hardware_queues_with_1024_tags_are_counted() {
    needs!(Guest, Tool("fio"));
    let asked = env::var("EBHOST_DISKS").ok().map(|number| number.parse().expect("EBHOST_DISKS is a number"));
    let disks: u32 = asked.unwrap_or(8);
    let guest = Guest::x86("6.1", "queues-init");
    guest.put_modules(&["null_blk"]);
    guest.put_tool("fio");
    guest.put_ebhost();
    put_biolatency(&guest);
    guest.write("number_of_disks", disks.to_string().as_bytes());
    if asked.is_none() {
        guest.amend("plugins/disk/biolatency/plugin.yaml", "default: 2048", "default: 256");
    }
    let console = guest.boot();
    let served = console.served("metrics");
    for name in (0..disks).map(|number| format!("nullb{number}")) {
        let completed = stat(&console, &format!("after {name}"))[0] - stat(&console, &format!("before {name}"))[0];
        assert!(completed >= 4000, "the kernel completed {completed} of 4000");
        let labels = [("device", name.as_str()), ("operation", "read")];
        let count = served.histogram("ebhost_bio_latency_seconds", &labels).map(|histogram| histogram.count);
        assert_eq!(count, Some(completed), "{name}");
    }
    // Not every tag finds a part at once: a hash table is not filled to the last entry.
    assert!(
        served.value("ebhost_bio_latency_slow_total", &[("reason", "starts_full")]) > Some(0.0),
        "were all tags in use?"
    );
    for reason in ["banks_full", "starts_full", "no_start", "no_end"] {
        let lost = served.value("ebhost_bio_latency_lost_total", &[("reason", reason)]);
        assert_eq!(lost, Some(0.0), "{reason}");
    }
}
