//! A host in a container with a small CPU quota: the kernel stops it for most of each tenth of a second, in the middle of any call.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{
    CpuQuota, Ebhost, Exposition, Folder, Format, KernelMap, alone, get, key, needs, wait_until, workspace,
};

use crate::rig::start;

/// EBHOST_QUOTA_SECONDS, or by default long enough for hundreds of stops.
fn duration() -> Duration {
    let seconds = env::var("EBHOST_QUOTA_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// New keys, each tenth of a second.
const KEYS: u64 = 3;

/// A decode of 20 µs that was stopped for 95 ms exceeded its limit of 50 ms: its entry was set aside for ever, and after five such
/// scrapes the plugin was quarantined.
#[test]
fn a_cpu_quota_makes_no_entry_and_no_plugin_look_slow() {
    needs!(Root, CpuQuota);
    let _alone = alone();
    let most = (duration().as_secs() + 60) * 10 * KEYS;
    let folder = Folder::with_biolatency();
    folder.copy(&workspace().join("bench/packages/maps"));
    folder.amend("maps", " hash: 1", &format!(" hash: {most}"));
    folder.amend("maps", "series: 1000", &format!("series: {most}"));
    folder.amend("maps", "decode: 500ms", "decode: 50ms");
    let quota = CpuQuota::percent(5); // dropped after the host
    let host = start(&folder, &[]);
    let map = KernelMap::of(host.pid(), "hash");
    quota.take(host.pid());

    let is_over = AtomicBool::new(false);
    let keys = thread::scope(|scope| {
        // Scrapes without a pause: the host always has something to do, and is stopped whenever its part is spent.
        let scraper = scope.spawn(|| {
            let mut answers = 0;
            while !is_over.load(Ordering::Relaxed) {
                answers += u32::from(scrape(&host).is_some_and(|served| is_innocent(&served)));
            }
            answers
        });
        let (mut keys, end) = (0, Instant::now() + duration());
        while Instant::now() < end {
            (0..KEYS).for_each(|_| {
                assert!(map.update(&key(keys), &(keys + 1).to_le_bytes()), "there is room");
                keys += 1;
            });
            thread::sleep(Duration::from_millis(100));
        }
        is_over.store(true, Ordering::Relaxed);
        let answers = scraper.join().expect("no scrape fails");
        assert!(answers >= 3, "{answers} complete answers");
        keys
    });
    let throttled = quota.throttled();
    assert!(u128::from(throttled) >= duration().as_millis() / 1_000, "it was stopped {throttled} times");

    // With a whole CPU again every key has its series, and its own number.
    quota.release(host.pid());
    let served = wait_until("a series of each key", Duration::from_secs(60), || {
        let served = scrape(&host)?;
        let series = served.samples().filter(|sample| sample.name == "ebhost_hash_calls_total").count();
        (is_innocent(&served) && series as u64 == keys).then_some(served)
    });
    let sum: f64 = served.samples().filter(|s| s.name == "ebhost_hash_calls_total").map(|s| s.value).sum();
    assert_eq!(sum, (keys * (keys + 1) / 2) as f64);
    host.stop();
}

/// A scrape by a patient client; `None` if the host did not manage to answer in time.
fn scrape(host: &Ebhost) -> Option<Exposition> {
    let response = get(host.address(), "/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "10")]).ok()?;
    (response.status == 200).then(|| Exposition::parse(response.text(), Format::Text).expect("sound text"))
}

/// Whether the package is there: its maps may have been read too late. Panics if anything was held against the plugins.
fn is_innocent(served: &Exposition) -> bool {
    for plugin in ["maps", "biolatency"] {
        let value = |name: &str, label, which| served.value(name, &[("plugin", plugin), (label, which)]);
        for reason in ["trap", "deadline", "stack", "memory", "copied", "answer", "start"] {
            assert_eq!(value("ebhost_plugin_failures_total", "reason", reason), Some(0.0), "{plugin}: {reason}");
        }
        for reason in ["set_aside", "unsound", "unknown"] {
            assert_eq!(value("ebhost_plugin_entries_dropped_total", "reason", reason), Some(0.0), "{plugin}: {reason}");
        }
        for state in ["backing_off", "quarantined"] {
            assert_eq!(value("ebhost_plugin_state", "state", state), Some(0.0), "{plugin} is {state}");
        }
    }
    served.samples().any(|sample| sample.name == "ebhost_hash_calls_total")
}
