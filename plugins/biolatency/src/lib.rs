//! Latency of block requests, by disk and operation: labels for the banks in which `bpf/biolatency.bpf.c` counts. A bank is a histogram
//! of one disk and operation, on one CPU (`banks`) or on all that had no free bank (`spill`).
//!
//! Each bank carries its owner in its value: the disk's name as the kernel has it, and the operation. The host looks up the name under
//! which the disk is shown: for a path below NVMe multipath, that of the multipath disk. The host returns an empty name after it has
//! taken the last counts of a disk that is gone; then the series end.

mod names;
mod owner;

use std::borrow::Cow;

use ebhost_plugin::table::DISK;
use ebhost_plugin::{
    Answer, Family, FamilyId, LabelledView, Layout, LookupName, LookupNames, Manifest, Member, Plugin, Refusal, Value,
    View, exp2, key, layout, member, native_slots, number, row, slots, value_at,
};
use owner::{Disk, Owner};

/// Exponents of the bounds, in powers of two of a microsecond: 1 µs to 134 s. The BPF program has one more slot, for +Inf.
const BOUNDS: core::ops::RangeInclusive<i32> = 0..=27;

/// Exponents of the classic bounds next to native buckets, in powers of two of a second: 0.95 µs to 128 s. Powers of two of a second
/// are bounds of native buckets too; powers of two of a microsecond would miss the nearest one by 4.9 %.
const NATIVE_BOUNDS: core::ops::RangeInclusive<i32> = -20..=7;

/// The native buckets of `bpf/native.h`: 2^3 = 8 for each power of two; the first one ends at 2^(-20 + 1/8) s.
const NATIVE_SCHEMA: i8 = 3;
const NATIVE_FIRST: i32 = -159;

layout! {
    /// `struct head` in bpf/banks.h.
    struct Head: 88 bytes {
        key: u64,
        owner: Owner,
        sum_ns: u64,
        statistics: u64,
        since: u64,
        claims: u64,
    }
}

layout! {
    /// `struct bank` in bpf/banks.h.
    struct Bank: 320 bytes {
        head: Head,
        slots: [u64; 29],
    }
}

layout! {
    /// `struct native_bank` in bpf/banks.h.
    struct NativeBank: 2024 bytes {
        head: Head,
        slots: [u64; 242],
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
    /// Shows each path of an NVMe multipath disk under its own name (`nvme0c1n1`) instead of the disk's (`nvme0n1`).
    paths: bool,
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
        let slow = manifest.family(
            Family::counter("bio_latency_slow_total")
                .help("Block requests that were counted at a higher cost than usual, by reason.")
                .labels(["reason"]),
        );
        for view in self.banks(latency) {
            manifest.view(view);
        }
        for (map, family, rows) in [("lost", lost, Self::lost_reason as ReasonRow), ("slow", slow, Self::slow_reason)] {
            manifest.view(View::table::<u32, u64>(map).identity(key()).feed(family, number(member!(u64))).rows(rows));
        }
        manifest
    }
}

/// A row function that names a reason.
type ReasonRow = for<'a> fn(&'a Biolatency, &'a u32, LookupNames<'a, 0>) -> Answer<'a, 1>;

impl Biolatency {
    /// The views of the banks: those of each CPU, and those that all CPUs share.
    fn banks(&self, latency: FamilyId) -> [LabelledView<Self>; 2] {
        if self.config.native {
            let slots = || native_slots(member!(NativeBank.slots), NATIVE_SCHEMA, NATIVE_FIRST);
            let sum = member!(NativeBank.head.sum_ns);
            let (owner, disk) = (member!(NativeBank.head.owner), member!(NativeBank.head.owner.disk));
            [
                self.view::<u32, _>("native_banks", owner, disk, latency, slots().sum(sum)),
                self.view::<u64, _>("native_spill", owner, disk, latency, slots().sum(sum)),
            ]
        } else {
            let slots = || slots(member!(Bank.slots)).sum(member!(Bank.head.sum_ns));
            let (owner, disk) = (member!(Bank.head.owner), member!(Bank.head.owner.disk));
            [
                self.view::<u32, _>("banks", owner, disk, latency, slots()),
                self.view::<u64, _>("spill", owner, disk, latency, slots()),
            ]
        }
    }

    fn view<K: Layout, B: Layout>(
        &self,
        map: &str,
        owner: Member<B, Owner>,
        disk: Member<B, Disk>,
        latency: FamilyId,
        counts: impl Into<Value<B>>,
    ) -> LabelledView<Self> {
        let view =
            View::table::<K, B>(map).identity(value_at(owner)).lookup(DISK, value_at(disk)).feed(latency, counts);
        if self.config.per_flag { view.rows(Self::by_flags) } else { view.rows(Self::by_operation) }
    }

    fn by_operation<'a>(&'a self, owner: &'a Owner, [disk]: LookupNames<'a, 1>) -> Answer<'a, 2> {
        let device = self.device(owner, disk)?;
        row![device, names::operation(owner.operation)]
    }

    fn by_flags<'a>(&'a self, owner: &'a Owner, [disk]: LookupNames<'a, 1>) -> Answer<'a, 3> {
        let device = self.device(owner, disk)?;
        row![device, names::operation(owner.operation), names::flags(owner.flags)]
    }

    fn lost_reason<'a>(&'a self, reason: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![names::lost(*reason)]
    }

    fn slow_reason<'a>(&'a self, reason: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![names::slow(*reason)]
    }

    /// The disk's name. Skips banks without an owner, banks whose owner was being written while they were read, disks that are gone and
    /// disks that are not configured.
    fn device<'a>(&self, owner: &Owner, found: Option<LookupName<'a>>) -> Result<Cow<'a, str>, Refusal> {
        let shown = found.map(LookupName::as_str).filter(|name| !name.is_empty() && owner.is_whole());
        let shown = shown.ok_or(Refusal::Skip)?;
        let device = if self.config.paths { Cow::Owned(owner.disk.name()) } else { Cow::Borrowed(shown) };
        let is_wanted = self.config.disks.is_empty() || self.config.disks.iter().any(|disk| *disk == device);
        if is_wanted { Ok(device) } else { Err(Refusal::Skip) }
    }
}
