//! The memory that a manifest alone can make the host use.

use std::fmt::Write as _;

use ebhost_tests::{Folder, KernelMap, Start, alone, key, needs, workspace};

use crate::rig::{resident, scrape};

/// Each of 256 counters has a baseline for each of 20 000 entries. With ten series the package may not make the host remember them all.
#[test]
fn many_counters_over_one_map_do_not_fill_the_memory() {
    needs!(Root);
    const ENTRIES: u64 = 20_000;
    let _alone = alone();
    let folder = Folder::with_biolatency();
    folder.copy(&workspace().join("bench/packages/maps"));
    folder.amend("maps", "component: maps.wasm", "component: builtin");
    folder.amend("maps", " hash: 1", &format!(" hash: {ENTRIES}"));
    folder.amend("maps", "series: 1000", "series: 10");
    folder.amend("maps", "read: [hash]   # any of the maps above", &counters(256));
    let host = Start::with(folder.path()).listening();
    let map = KernelMap::of(host.pid(), "hash");
    for id in 0..ENTRIES {
        assert!(map.update(&key(id), &1u64.to_le_bytes()), "there is room");
    }
    for _ in 0..5 {
        let served = scrape(&host);
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    }
    let served = scrape(&host);
    let used = served.value("ebhost_plugin_limit_used_ratio", &[("plugin", "maps"), ("limit", "series_memory")]);
    assert!(used.is_some_and(|used| used > 0.9), "the metric shows that the limit is reached: {used:?}");
    assert!(resident(&host) < 256 << 20, "{} bytes resident", resident(&host));
    let log = host.stop();
    assert!(log.text().contains("limits.series"), "the log says what to raise: {}", log.text());
}

fn counters(number: usize) -> String {
    let mut metrics = "metrics:\n    counters:".to_owned();
    for counter in 0..number {
        let _ = write!(
            metrics,
            "\n      - {{ name: calls_{counter}_total, help: Calls., map: hash, labels: [{{ name: id, size: 8, decoders: [{{ name: uint }}] }}, \
             {{ name: rest, size: 8, decoders: [{{ name: uint }}] }}] }}"
        );
    }
    metrics
}
