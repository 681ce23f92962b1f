//! Labels for what `runqlat.bpf.c` counts: how long tasks waited for a CPU, by cgroup.

use ebhost_plugin::table::LIVE_CGROUP;
use ebhost_plugin::{Answer, Banks, Family, LookupNames, Manifest, NoConfig, Plugin, Refusal, key, row};

/// The plugin.
pub struct Runqlat;

ebhost_plugin::export!(Runqlat);

impl Plugin for Runqlat {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let waits = manifest.family(
            Family::latency("runqueue_latency_seconds")
                .help("Time that tasks waited for a CPU, from being runnable to running.")
                .labels(["cgroup"]),
        );
        let banks = Banks::latencies::<u64>("waits").lookup(LIVE_CGROUP, key()).feed(waits).rows(Self::cgroup);
        manifest.banks("runqueue", banks);
        manifest
    }
}

impl Runqlat {
    /// Counts of a cgroup wait until the host knows its path, and end after it is gone, when it has none.
    fn cgroup<'a>(&'a self, _: &'a u64, [path]: LookupNames<'a, 1>) -> Answer<'a, 1> {
        row![path.filter(|path| !path.as_str().is_empty()).ok_or(Refusal::Skip)?]
    }
}
