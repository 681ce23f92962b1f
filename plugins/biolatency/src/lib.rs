//! Latency of block requests, by disk and operation: names for the banks that `bpf/biolatency.bpf.c` counts in.
//!
//! A bank says itself whose it is; its disk's name is the host's to find. A disk without a name (unplugged, or not yet seen) is
//! skipped until it has one: its counts wait in the bank and are not lost.

mod names;

use ebhost_plugin::table::BLOCK_DEVICE;
use ebhost_plugin::{
    Answer, Family, FamilyId, Layout, Manifest, Name, Names, Plugin, Reading, Refusal, View, exp2, key, layout, member,
    native_slots, number, row, slots, value_at,
};

/// Bounds from 1 µs to 134 s; BPF has one slot more.
const BOUNDS: core::ops::RangeInclusive<i32> = 0..=27;

/// The classic bounds beside native buckets: powers of two of a second, for those are ends of native buckets, where powers of
/// two of a microsecond are 4.9 % beside them. From 0.95 µs, as long as the others.
const NATIVE_BOUNDS: core::ops::RangeInclusive<i32> = -20..=7;

/// As `bpf/native.h` has them: eight to an octave, the first one ends 2^(1/8) above 2^-20 s.
const NATIVE_SCHEMA: i8 = 3;
const NATIVE_FIRST: i32 = -159;

layout! {
    /// Whose a bank is: `union identity`.
    struct Owner: 8 bytes {
        device: u32,
        operation: u8,
        used: u8,
        flags: u16,
    }
}

layout! {
    /// `struct bank`.
    struct Bank: 256 bytes {
        owner: Owner,
        sum_ns: u64,
        slots: [u64; 29],
        claims: u32,
        unused: u32,
    }
}

layout! {
    /// `struct native_bank`.
    struct NativeBank: 1960 bytes {
        owner: Owner,
        sum_ns: u64,
        slots: [u64; 242],
        claims: u32,
        unused: u32,
    }
}

/// The package's `config`.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Adds the label `flags`. The BPF side needs its global `targ_per_flag` as well.
    per_flag: bool,
    /// Native buckets, schema 3, and classic bounds at powers of two of a second. The BPF side needs its global `targ_native`
    /// as well.
    native: bool,
    /// Only disks of these names; empty: all.
    disks: Vec<String>,
}

/// The plugin.
pub struct Biolatency {
    config: Config,
}

ebhost_plugin::export!(Biolatency);

impl Plugin for Biolatency {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let bounds = if self.config.native { exp2(NATIVE_BOUNDS) } else { exp2(BOUNDS).per(1e6) };
        let latency = manifest.family(
            Family::histogram("bio_latency_seconds", bounds)
                .help("Time that block requests took, from their issue to the driver to their completion.")
                .unit("seconds")
                .per(1e9)
                .labels(["device", "operation", "flags"].into_iter().take(if self.config.per_flag { 3 } else { 2 })),
        );
        let lost = manifest.family(
            Family::counter("bio_latency_lost_total")
                .help("Block requests that were not counted, by reason.")
                .labels(["reason"]),
        );
        manifest.view(self.banks(latency));
        manifest.view(
            View::table::<u32, u64>("lost").identity(key()).feed(lost, number(member!(u64))).rows(Self::lost_reason),
        );
        manifest
    }
}

impl Biolatency {
    fn banks(&self, latency: FamilyId) -> Reading<Self> {
        if self.config.native {
            let slots = native_slots(member!(NativeBank.slots), NATIVE_SCHEMA, NATIVE_FIRST);
            let view = View::table::<u32, NativeBank>("native_banks")
                .identity(value_at(member!(NativeBank.owner)))
                .lookup(BLOCK_DEVICE, value_at(member!(NativeBank.owner.device)))
                .feed(latency, slots.sum(member!(NativeBank.sum_ns)));
            self.labelled(view)
        } else {
            let view = View::table::<u32, Bank>("banks")
                .identity(value_at(member!(Bank.owner)))
                .lookup(BLOCK_DEVICE, value_at(member!(Bank.owner.device)))
                .feed(latency, slots(member!(Bank.slots)).sum(member!(Bank.sum_ns)));
            self.labelled(view)
        }
    }

    fn labelled<B: Layout>(&self, view: View<u32, B, Owner>) -> Reading<Self> {
        if self.config.per_flag { view.rows(Self::by_flags) } else { view.rows(Self::by_operation) }
    }

    fn by_operation<'a>(&'a self, owner: &'a Owner, [disk]: Names<'a, 1>) -> Answer<'a, 2> {
        let disk = self.disk(owner, disk)?;
        row![disk, names::operation(owner.operation)]
    }

    fn by_flags<'a>(&'a self, owner: &'a Owner, [disk]: Names<'a, 1>) -> Answer<'a, 3> {
        let disk = self.disk(owner, disk)?;
        row![disk, names::operation(owner.operation), names::flags(owner.flags)]
    }

    fn lost_reason<'a>(&'a self, reason: &'a u32, _: Names<'a, 0>) -> Answer<'a, 1> {
        row![names::lost(*reason)]
    }

    fn disk<'a>(&self, owner: &Owner, found: Option<Name<'a>>) -> Result<Name<'a>, Refusal> {
        let wanted =
            |name: Name<'_>| self.config.disks.is_empty() || self.config.disks.iter().any(|disk| disk == name.as_str());
        found.filter(|name| owner.used == 1 && wanted(*name)).ok_or(Refusal::Skip)
    }
}
