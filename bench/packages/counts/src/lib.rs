//! Labels for what `counts.bpf.c` counts in banks, for the benchmark and the tests of counts.h.

use ebhost_plugin::{
    Answer, Banks, Family, LookupNames, Manifest, NoConfig, Plugin, View, key, layout, member, number, row,
};

layout! {
    /// `struct key` in counts.bpf.c.
    struct Key: 16 bytes {
        id: u64,
        group: u32,
        kind: u32,
    }
}

/// Names for `Key.kind`, as in the package `maps`.
const KINDS: [&str; 8] = ["read", "write", "open", "close", "sync", "lock", "poll", "other"];

/// The plugin.
pub struct Counts;

ebhost_plugin::export!(Counts);

impl Plugin for Counts {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let calls =
            manifest.family(Family::counter("calls_total").help("Made-up calls.").labels(["id", "group", "kind"]));
        let times = manifest.family(Family::latency("times_seconds").help("Made-up times.").labels(["id"]));
        let truth = manifest
            .family(Family::counter("true_calls_total").help("The same calls, counted independently.").labels(["id"]));
        let independent = View::table::<u32, u64>("truth").identity(key()).feed(truth, number(member!(u64)));
        manifest.view(independent.rows(Self::index));
        manifest.banks("calls", Banks::counts::<Key, 1>("calls").feed(calls, 0).rows(Self::call));
        manifest.banks("times", Banks::latencies::<u64>("times").feed(times).rows(Self::id));
        manifest
    }
}

impl Counts {
    fn call<'a>(&'a self, key: &'a Key, _: LookupNames<'a, 0>) -> Answer<'a, 3> {
        row![key.id, key.group, KINDS[key.kind as usize % KINDS.len()]]
    }

    fn index<'a>(&'a self, id: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![*id]
    }

    fn id<'a>(&'a self, id: &'a u64, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![*id]
    }
}
