//! Labels for what `runqlat.bpf.c` counts: how long tasks waited for a CPU, by cgroup.

use ebhost_plugin::table::CGROUP;
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
        let banks = Banks::latencies::<u64>("waits").lookup(CGROUP, key()).feed(waits).rows(Self::cgroup);
        manifest.banks("runqueue", banks);
        manifest
    }
}

impl Runqlat {
    /// Counts of a cgroup wait until the host knows its path.
    fn cgroup<'a>(&'a self, _: &'a u64, [path]: LookupNames<'a, 1>) -> Answer<'a, 1> {
        row![path.ok_or(Refusal::Skip)?]
    }
}
