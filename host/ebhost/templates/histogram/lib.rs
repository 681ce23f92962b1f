//! Labels for the histograms that `__NAME__.bpf.c` counts in: how long softirq handlers ran, by vector.

use std::borrow::Cow;

use ebhost_plugin::{Answer, Banks, Family, LookupNames, Manifest, NoConfig, Plugin, row};

/// The kernel's names for the vectors, from 0, as in /proc/softirqs.
const VECTORS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu"];

/// The plugin.
pub struct Softirqs;

ebhost_plugin::export!(Softirqs);

impl Plugin for Softirqs {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let times = manifest.family(
            Family::latency("__NAME___seconds").help("Time that softirq handlers ran, by vector.").labels(["vector"]),
        );
        manifest.banks("__NAME__", Banks::latencies::<u32>("times").feed(times).rows(Self::vector));
        manifest
    }
}

impl Softirqs {
    /// The labels of one vector. The host calls this once for each key and counts by itself.
    fn vector<'a>(&'a self, vector: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        let name = VECTORS.get(*vector as usize);
        row![name.map_or_else(|| Cow::Owned(format!("vector_{vector}")), |name| Cow::Borrowed(*name))]
    }
}

#[cfg(test)]
mod tests {
    use ebhost_plugin::testing::{Harness, bank_identity};

    use super::*;

    #[test]
    fn a_vector_has_its_name_in_both_maps() {
        let plugin = Harness::<Softirqs>::new("{}").expect("it has no configuration");
        let key = 3u32.to_le_bytes();
        let labels = Ok((vec!["net_rx".to_owned()], None));
        assert_eq!(plugin.decode(plugin.view("times"), &[(&bank_identity(&key), &[])]), [labels.clone()]);
        assert_eq!(plugin.decode(plugin.view("times_spill"), &[(&key, &[])]), [labels]);
    }
}
