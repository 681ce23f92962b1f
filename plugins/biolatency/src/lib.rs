//! Latency and size of block requests, by disk and operation: labels for the tables in which `bpf/biolatency.bpf.c` counts.
//!
//! Each bank carries its owner: the operation, and the disk's name as the kernel has it. The host looks up the name under
//! which the disk is shown: for a path below NVMe multipath, that of the multipath disk. The host returns an empty name after it has
//! taken the last counts of a disk that is gone; then the series end.

mod names;
mod owner;

use std::borrow::Cow;

use ebhost_plugin::table::DISK;
use ebhost_plugin::{
    Answer, Banks, FIRST_LOST, Family, Fold, LookupName, LookupNames, Manifest, Observations, Plugin, Refusal,
    SPILL_ENTRIES, SPILLED, View, exp2, key, key_at, member, number, row,
};
use owner::Owner;

/// The reason `banks_full` in bpf/lost.h.
const BANKS_FULL: u32 = 0;

/// Exponents of the bounds, in powers of two of a microsecond: 1 µs to 134 s. The BPF program has one more slot, for +Inf.
const BOUNDS: core::ops::RangeInclusive<i32> = 0..=27;

/// Exponents of the classic bounds next to native buckets, in powers of two of a second: 0.95 µs to 128 s. Powers of two of a second
/// are bounds of native buckets too; powers of two of a microsecond would miss the nearest one by 4.9 %.
const NATIVE_BOUNDS: core::ops::RangeInclusive<i32> = -20..=7;

/// Exponents of the bounds of sizes: 512 bytes to 16 MiB.
const SIZES: core::ops::RangeInclusive<i32> = 9..=24;
/// Slots of `sizes`: a bound each, and one for all that is larger.
const SIZE_SLOTS: u32 = 17;

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
    /// Exposes the sizes of requests. The BPF program needs `targ_sizes: true` as well.
    sizes: bool,
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
                .labels(self.labels()),
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
        let spilled =
            manifest.family(Family::gauge("bio_latency_spill_entries", Fold::Sum).help(
                "Disks and operations that found no room in banks and are counted in the map that all CPUs share.",
            ));
        let banks = if self.config.native {
            Banks::native_latencies::<Owner>("natives").feed(latency)
        } else {
            Banks::latencies::<Owner>("banks").feed(latency)
        };
        let stats = if self.config.native { "natives_stats" } else { "banks_stats" };
        self.add(&mut manifest, banks);
        let numbers =
            |map: &str, family| View::table::<u32, u64>(map).identity(key()).feed(family, number(member!(u64)));
        manifest.view(numbers(stats, spilled).rows(Self::spill_entries));
        for (map, family, rows) in [
            ("lost", lost, Self::lost_reason as ReasonRow),
            (stats, lost, Self::lost_banks),
            ("slow", slow, Self::slow_reason),
            (stats, slow, Self::slow_banks),
        ] {
            manifest.view(numbers(map, family).rows(rows));
        }
        if self.config.sizes {
            self.add_sizes(&mut manifest);
        }
        manifest
    }
}

/// A row function that names a reason.
type ReasonRow = for<'a> fn(&'a Biolatency, &'a u32, LookupNames<'a, 0>) -> Answer<'a, 1>;

impl Biolatency {
    fn labels(&self) -> impl Iterator<Item = &'static str> {
        ["device", "operation", "flags"].into_iter().take(if self.config.per_flag { 3 } else { 2 })
    }

    /// Adds the views of a table by disk, operation and flags: of its banks and of the map that all CPUs share.
    fn add(&self, manifest: &mut Manifest<Self>, banks: Banks<Owner, Observations>) {
        let banks = banks.noted::<u64>().lookup(DISK, key_at(member!(Owner.disk)));
        let banks = if self.config.per_flag { banks.rows(Self::by_flags) } else { banks.rows(Self::by_operation) };
        banks.into_views().into_iter().for_each(|view| manifest.view(view));
    }

    fn add_sizes(&self, manifest: &mut Manifest<Self>) {
        let sizes = manifest.family(
            Family::histogram("bio_size_bytes", exp2(SIZES))
                .help("Bytes that block requests transferred.")
                .unit("bytes")
                .labels(self.labels()),
        );
        self.add(manifest, Banks::histogram::<Owner>("sizes", SIZE_SLOTS).feed(sizes));
    }

    fn by_operation<'a>(&'a self, owner: &'a Owner, [disk]: LookupNames<'a, 1>) -> Answer<'a, 2> {
        let device = self.device(owner, disk)?;
        row![device, names::operation(owner.operation())]
    }

    fn by_flags<'a>(&'a self, owner: &'a Owner, [disk]: LookupNames<'a, 1>) -> Answer<'a, 3> {
        let device = self.device(owner, disk)?;
        row![device, names::operation(owner.operation()), names::flags(owner.flags())]
    }

    fn lost_reason<'a>(&'a self, reason: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![names::lost(*reason)]
    }

    /// The counts in `banks_stats` of requests that found no room anywhere.
    fn lost_banks<'a>(&'a self, stat: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        if (FIRST_LOST..SPILL_ENTRIES).contains(stat) { row![names::lost(BANKS_FULL)] } else { Err(Refusal::Skip) }
    }

    fn slow_banks<'a>(&'a self, stat: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        if *stat == SPILLED { row![names::slow(BANKS_FULL)] } else { Err(Refusal::Skip) }
    }

    fn spill_entries<'a>(&'a self, stat: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 0> {
        if *stat == SPILL_ENTRIES { row![] } else { Err(Refusal::Skip) }
    }

    fn slow_reason<'a>(&'a self, reason: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![names::slow(*reason)]
    }

    /// The disk's name. Skips disks that are gone, and disks that are not configured.
    fn device<'a>(&self, owner: &Owner, found: Option<LookupName<'a>>) -> Result<Cow<'a, str>, Refusal> {
        let shown = found.map(LookupName::as_str).filter(|name| !name.is_empty());
        let shown = shown.ok_or(Refusal::Skip)?;
        let device = if self.config.paths { Cow::Owned(owner.disk.name()) } else { Cow::Borrowed(shown) };
        let is_wanted = self.config.disks.is_empty() || self.config.disks.iter().any(|disk| *disk == device);
        if is_wanted { Ok(device) } else { Err(Refusal::Skip) }
    }
}
