//! Latency of block requests, by disk and operation: labels for the banks in which `bpf/biolatency.bpf.c` counts. A bank is a histogram
//! of one disk and operation on one CPU.
//!
//! Each bank carries its disk and operation in its value; the host looks up the disk's name. A disk without a name (unplugged, or not
//! yet seen) is skipped until it has one: its counts stay in the bank and are not lost.

mod names;

use ebhost_plugin::table::BLOCK_DEVICE;
use ebhost_plugin::{
    Answer, Family, FamilyId, LabelledView, Layout, LookupName, LookupNames, Manifest, Plugin, Refusal, View, exp2,
    key, layout, member, native_slots, number, row, slots, value_at,
};

/// Exponents of the bounds, in powers of two of a microsecond: 1 µs to 134 s. The BPF program has one more slot, for +Inf.
const BOUNDS: core::ops::RangeInclusive<i32> = 0..=27;

/// Exponents of the classic bounds next to native buckets, in powers of two of a second: 0.95 µs to 128 s. Powers of two of a second
/// are bounds of native buckets too; powers of two of a microsecond would miss the nearest one by 4.9 %.
const NATIVE_BOUNDS: core::ops::RangeInclusive<i32> = -20..=7;

/// The native buckets of `bpf/native.h`: 2^3 = 8 for each power of two; the first one ends at 2^(-20 + 1/8) s.
const NATIVE_SCHEMA: i8 = 3;
const NATIVE_FIRST: i32 = -159;

layout! {
    /// The disk, operation and flags of a bank: `union identity` in biolatency.bpf.c.
    struct Owner: 8 bytes {
        device: u32,
        operation: u8,
        used: u8,
        flags: u16,
    }
}

layout! {
    /// `struct bank` in biolatency.bpf.c.
    struct Bank: 256 bytes {
        owner: Owner,
        sum_ns: u64,
        slots: [u64; 29],
        claims: u32,
        unused: u32,
    }
}

layout! {
    /// `struct native_bank` in biolatency.bpf.c.
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
    /// Adds the label `flags`. The BPF program needs `targ_per_flag: true` as well.
    per_flag: bool,
    /// Exposes native buckets with schema 3, and classic bounds at powers of two of a second. The BPF program needs `targ_native: true` as
    /// well.
    native: bool,
    /// Names of the disks to expose, such as `sda`. Empty: all disks.
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
                .help("Time from a block request's issue to the driver to its completion.")
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
    fn banks(&self, latency: FamilyId) -> LabelledView<Self> {
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

    fn labelled<B: Layout>(&self, view: View<u32, B, Owner>) -> LabelledView<Self> {
        if self.config.per_flag { view.rows(Self::by_flags) } else { view.rows(Self::by_operation) }
    }

    fn by_operation<'a>(&'a self, owner: &'a Owner, [disk]: LookupNames<'a, 1>) -> Answer<'a, 2> {
        let disk = self.disk(owner, disk)?;
        row![disk, names::operation(owner.operation)]
    }

    fn by_flags<'a>(&'a self, owner: &'a Owner, [disk]: LookupNames<'a, 1>) -> Answer<'a, 3> {
        let disk = self.disk(owner, disk)?;
        row![disk, names::operation(owner.operation), names::flags(owner.flags)]
    }

    fn lost_reason<'a>(&'a self, reason: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![names::lost(*reason)]
    }

    /// The disk's name; skips unused banks, disks without a name and disks that are not configured.
    fn disk<'a>(&self, owner: &Owner, found: Option<LookupName<'a>>) -> Result<LookupName<'a>, Refusal> {
        let wanted = |name: LookupName<'_>| {
            self.config.disks.is_empty() || self.config.disks.iter().any(|disk| disk == name.as_str())
        };
        found.filter(|name| owner.used == 1 && wanted(*name)).ok_or(Refusal::Skip)
    }
}
