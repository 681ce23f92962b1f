//! Tables of `bpf/ebhost/counts.h`: counters and histograms that BPF programs keep in banks for each CPU, and in a map that all CPUs share
//! for what finds no free bank.
//!
//! The layout of a bank is here and in `bpf/ebhost/table.h`; a plugin declares the key alone. The sizes of the two structs are compared when the
//! package is checked or loaded.

#![allow(
    clippy::needless_pass_by_value,
    reason = "the calls of a builder read better with values than with references"
)]

use core::marker::PhantomData;

use crate::Plugin;
use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::component;
use crate::family::{Family, FamilyId, Fold};
use crate::identity::{KeyField, fields_of, key};
use crate::label::{Answer, Label, LookupNames, Refusal};
use crate::layout::{Layout, Packed};
use crate::manifest::Manifest;
use crate::member;
use crate::value::{Shape, number};
use crate::view::{Draft, Feed, LabelledView, View};

/// Bytes before the key in a bank: `struct bank_head`.
pub const BANK_HEAD: u32 = 8;
/// Where the check is in a bank, and in an entry of the shared map: just before the key.
pub const BANK_CHECK: u32 = 4;
/// Bytes before the key in an entry of the shared map: `struct entry_head`.
pub const ENTRY_HEAD: u32 = 8;

/// Slots of `LATENCIES`.
pub const LATENCY_SLOTS: u32 = 29;
/// Slots of `NATIVE_LATENCIES`.
pub const NATIVE_SLOTS: u32 = 242;
/// Prometheus' schema of `NATIVE_LATENCIES`.
pub const NATIVE_SCHEMA: i8 = 3;
/// The index of the first native bucket of `NATIVE_LATENCIES`.
pub const NATIVE_FIRST: i32 = -159;

/// A table of `counts.h` with keys `K`, that [`Manifest::banks`] takes once it has a row function. `V` is [`Numbers`] or [`Observations`].
///
/// ```
/// # use ebhost_plugin::{Answer, Banks, Family, LookupNames, Manifest, NoConfig, Plugin, Refusal, key, row, table};
/// # struct Waits;
/// # impl Plugin for Waits {
/// #     type Config = NoConfig;
/// #     fn new(_: NoConfig) -> Result<Self, String> { Ok(Waits) }
/// #     fn describe(&self) -> Manifest<Self> {
/// #         let mut manifest = Manifest::new();
/// let waits = manifest.family(Family::latency("wait_seconds").help("Time to wait.").labels(["cgroup"]));
/// manifest.banks(
///     "wait",
///     // LATENCIES(waits, u64) in the BPF program.
///     Banks::latencies::<u64>("waits").lookup(table::CGROUP, key()).feed(waits).rows(Self::cgroup),
/// );
/// #         manifest
/// #     }
/// # }
/// # impl Waits {
/// #     fn cgroup<'a>(&'a self, _: &'a u64, [path]: LookupNames<'a, 1>) -> Answer<'a, 1> {
/// #         row![path.ok_or(Refusal::Skip)?]
/// #     }
/// # }
/// # ebhost_plugin::testing::Harness::<Waits>::new("{}").unwrap();
/// ```
pub struct Banks<K, V> {
    map: String,
    values: V,
    lookups: Vec<(String, Vec<wit::Field>)>,
    feeds: Vec<(FamilyId, BankValue)>,
    /// Bytes of the map's key, if `K` ends with a note.
    noted: Option<u32>,
    key: PhantomData<fn(&K)>,
}

/// The values of a `COUNTS` table: `N` numbers.
pub struct Numbers<const N: usize>(());

/// The values of a histogram: its sum and its slots.
pub struct Observations(BankValue);

/// The values of a bank that feed a family.
#[derive(Clone, Copy)]
enum BankValue {
    /// The number with this index.
    Number(u32),
    /// All, as a sum and this many slots.
    Slots(u32),
    /// All, as a sum and native buckets.
    Native,
}

/// A [`Banks`] with its row function.
pub struct LabelledBanks<P> {
    map: String,
    views: [LabelledView<P>; 2],
}

impl Banks<(), ()> {
    /// `COUNTS(map, K, N)`: `N` numbers for each key.
    pub fn counts<K: Layout, const N: usize>(map: &str) -> Banks<K, Numbers<N>> {
        Banks::of(map, Numbers(()))
    }

    /// `LATENCIES(map, K)`: for families made by [`Family::latency`].
    pub fn latencies<K: Layout>(map: &str) -> Banks<K, Observations> {
        Banks::of(map, Observations(BankValue::Slots(LATENCY_SLOTS)))
    }

    /// `NATIVE_LATENCIES(map, K)`: for families made by [`Family::native_latency`].
    pub fn native_latencies<K: Layout>(map: &str) -> Banks<K, Observations> {
        Banks::of(map, Observations(BankValue::Native))
    }

    /// `POWERS_OF_TWO`, `LINEAR` and `HISTOGRAM`: the number of slots is the family's number of bounds and one more.
    pub fn histogram<K: Layout>(map: &str, slots: u32) -> Banks<K, Observations> {
        Banks::of(map, Observations(BankValue::Slots(slots)))
    }
}

impl<K: Layout, const N: usize> Banks<K, Numbers<N>> {
    /// Feeds a counter with the number that has this index, from 0.
    ///
    /// # Panics
    /// If `index` is not below `N`.
    pub fn feed(mut self, family: FamilyId, index: usize) -> Self {
        assert!(index < N, "the table has no number with this index");
        self.feeds.push((family, BankValue::Number(index as u32)));
        self
    }

    /// Sets the row function, as [`View::rows`] does. The identity is the key.
    pub fn rows<P, F, const L: usize, const C: usize>(self, function: F) -> LabelledBanks<P>
    where
        P: Plugin,
        F: for<'a> Fn(&'a P, &'a K, LookupNames<'a, L>) -> Answer<'a, C> + Clone + 'static,
    {
        self.labelled(N as u32, function)
    }
}

impl<K: Layout> Banks<K, Observations> {
    /// Feeds a histogram.
    pub fn feed(mut self, family: FamilyId) -> Self {
        self.feeds.push((family, self.values.0));
        self
    }

    /// Sets the row function, as [`View::rows`] does. The identity is the key.
    pub fn rows<P, F, const L: usize, const C: usize>(self, function: F) -> LabelledBanks<P>
    where
        P: Plugin,
        F: for<'a> Fn(&'a P, &'a K, LookupNames<'a, L>) -> Answer<'a, C> + Clone + 'static,
    {
        let slots = match self.values.0 {
            BankValue::Slots(slots) => slots,
            BankValue::Native => NATIVE_SLOTS,
            BankValue::Number(_) => 0,
        };
        self.labelled(1 + slots, function)
    }
}

impl<K: Layout, V> Banks<K, V> {
    /// Makes the host look up a name by a part of the key, as [`View::lookup`] does.
    pub fn lookup<T: Layout>(mut self, table: &str, field: KeyField<K, T>) -> Self {
        self.lookups.push((table.into(), fields_of(&field)));
        self
    }

    /// `K` is the map's key, of type `M`, and the note that the program describes it with: `HISTOGRAM_ABOUT(map, M, note, …)`. There is no
    /// padding.
    ///
    /// # Panics
    /// If `M` is not of eight bytes or a multiple.
    pub fn noted<M: Layout>(mut self) -> Self {
        assert!(M::SIZE.is_multiple_of(8), "a key with a note has whole words");
        self.noted = Some(M::SIZE as u32);
        self
    }

    fn of(map: &str, values: V) -> Self {
        Self { map: map.into(), values, lookups: Vec::new(), feeds: Vec::new(), noted: None, key: PhantomData }
    }

    /// The two views: of the banks, and of the shared map. `values`: the number of `u64` in each.
    fn labelled<P, F, const L: usize, const C: usize>(self, values: u32, function: F) -> LabelledBanks<P>
    where
        P: Plugin,
        F: for<'a> Fn(&'a P, &'a K, LookupNames<'a, L>) -> Answer<'a, C> + Clone + 'static,
    {
        let banks = self.draft(Place::Bank, values);
        let shared = self.draft(Place::Shared, values);
        let view = |draft, decode| LabelledView { draft, names: L, columns: C, buckets: false, decode };
        let whole = component::rows(skipping_partial::<P, K, F, L, C>(function.clone()));
        let of_entries = if self.noted.is_some() {
            component::rows(skipping_partial::<P, K, F, L, C>(function))
        } else {
            component::rows(function)
        };
        let views = [view(banks, whole), view(shared, of_entries)];
        LabelledBanks { map: self.map, views }
    }

    fn draft(&self, place: Place, values: u32) -> Draft {
        let offset = BANK_HEAD + OwnedKey::<K>::BYTES as u32;
        let feed = |(family, value): &(FamilyId, BankValue)| value.feed(*family, offset);
        let lookup = |(table, fields): &(String, Vec<wit::Field>)| {
            (table.clone(), fields.iter().map(|field| place.key_field(*field, self.noted)).collect())
        };
        Draft {
            source: place.map(&self.map),
            key_size: place.key_size::<K>(self.noted),
            value_size: offset + values * 8,
            identity: place.identity::<K>(self.noted),
            lookups: self.lookups.iter().map(lookup).collect(),
            feeds: self.feeds.iter().map(feed).collect(),
            exemplar: None,
        }
    }
}

impl<P: Plugin> LabelledBanks<P> {
    /// The views of the banks and of the shared map, for plugins that have families of their own about `NAME_stats` instead of those that
    /// [`Manifest::banks`] adds.
    pub fn into_views(self) -> [LabelledView<P>; 2] {
        self.views
    }
}

/// One of the two maps that hold values.
#[derive(Clone, Copy)]
enum Place {
    Bank,
    Shared,
}

impl Place {
    fn map(self, name: &str) -> String {
        match self {
            Self::Bank => name.into(),
            Self::Shared => format!("{name}_spill"),
        }
    }

    fn key_size<K: Layout>(self, noted: Option<u32>) -> u32 {
        match self {
            Self::Bank => u32::SIZE as u32,
            Self::Shared => noted.unwrap_or(K::SIZE as u32),
        }
    }

    /// A bank is identified by its check and its whole key, with padding, because the check covers it. So is an entry with a note, which is
    /// written after the entry is there.
    fn identity<K: Layout>(self, noted: Option<u32>) -> Vec<wit::Field> {
        let value = |offset, length| wit::Field { part: wit::Part::Value, offset, length };
        match (self, noted) {
            (Self::Bank, _) => vec![value(BANK_CHECK, OwnedKey::<K>::PACKED as u32)],
            (Self::Shared, None) => fields_of(&key::<K>()),
            (Self::Shared, Some(length)) => {
                let note = OwnedKey::<K>::BYTES as u32 - length;
                vec![
                    value(BANK_CHECK, ENTRY_HEAD - BANK_CHECK),
                    wit::Field { part: wit::Part::Key, offset: 0, length },
                    value(ENTRY_HEAD + length, note),
                ]
            }
        }
    }

    /// Where a part of the key, or of the note after it, lies.
    fn key_field(self, field: wit::Field, noted: Option<u32>) -> wit::Field {
        match self {
            Self::Shared if noted.is_none_or(|key| field.offset < key) => field,
            Self::Bank | Self::Shared => {
                wit::Field { part: wit::Part::Value, offset: BANK_HEAD + field.offset, ..field }
            }
        }
    }
}

impl BankValue {
    /// The feed of a family by the values that begin at `offset`.
    fn feed(self, family: FamilyId, offset: u32) -> Feed {
        let number = |offset| wit::Number { offset, size: 8, is_signed: false };
        let sum = Some(number(offset));
        let (value, shape) = match self {
            Self::Number(index) => (wit::Value::Number(number(offset + 8 * index)), Shape::Any),
            Self::Slots(slots) => {
                let value = wit::Slots { offset: offset + 8, size: 8, sum };
                (wit::Value::Slots(value), Shape::Slots(slots as usize))
            }
            Self::Native => {
                let (schema, first, count) = (NATIVE_SCHEMA, NATIVE_FIRST, NATIVE_SLOTS - 2);
                let value = wit::NativeSlots { offset: offset + 8, schema, first, count, sum };
                (wit::Value::NativeSlots(value), Shape::Any)
            }
        };
        Feed { family, labels: None, value, shape }
    }
}

/// The key of a bank as it was read.
#[derive(Clone, Copy)]
struct OwnedKey<K> {
    key: K,
    /// Whether all of it was read, and no part of another key.
    is_whole: bool,
}

impl<K: Layout> OwnedKey<K> {
    /// Bytes of the key in a bank: it is filled up to whole words.
    const BYTES: usize = K::SIZE.next_multiple_of(8);
}

impl<K: Layout> Packed for OwnedKey<K> {
    const PACKED: usize = size_of::<u32>() + Self::BYTES;

    fn unpack(packed: &[u8]) -> Self {
        let (check, owner) = packed[..Self::PACKED].split_at(size_of::<u32>());
        let is_whole = u32::unpack(check) == check_of(owner);
        Self { key: K::read(owner), is_whole }
    }
}

/// The check of a bank with this key, which is filled up to whole words: `counts_check` in table.h.
pub fn check_of(owner: &[u8]) -> u32 {
    let words = owner.chunks_exact(8).map(u64::unpack);
    let mixed = words.fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        let sum = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        sum ^ sum >> 32
    });
    mixed as u32 | 1
}

/// A row function that skips banks without an owner, and those whose owner was being written.
fn skipping_partial<P, K, F, const L: usize, const C: usize>(
    function: F,
) -> impl for<'a> Fn(&'a P, &'a OwnedKey<K>, LookupNames<'a, L>) -> Answer<'a, C> + 'static
where
    F: for<'a> Fn(&'a P, &'a K, LookupNames<'a, L>) -> Answer<'a, C> + 'static,
{
    move |plugin, owner, names| if owner.is_whole { function(plugin, &owner.key, names) } else { Err(Refusal::Skip) }
}

/// The slot of `NAME_stats`, an array of `u64`, that counts what went to the shared map. `enum counts_stat` in table.h has the slots.
pub const SPILLED: u32 = 0;
/// From here on lost counts, by reason; see [`SPILLED`].
pub const FIRST_LOST: u32 = 1;
/// The keys that have an entry in the shared map; see [`SPILLED`].
pub const SPILL_ENTRIES: u32 = 3;
/// Reasons of lost counts, from [`FIRST_LOST`] on.
pub const LOST: [&str; 2] = ["spill_full", "spill_busy"];

/// The counter of counts that found no free bank.
pub fn spilled_family(prefix: &str) -> Family {
    Family::counter(&format!("{prefix}_spilled_total"))
        .help("Counts that found no free bank on their CPU and went to the map that all CPUs share.")
}

/// The gauge of keys that are in the shared map.
pub fn spill_entries_family(prefix: &str) -> Family {
    Family::gauge(&format!("{prefix}_spill_entries"), Fold::Sum)
        .help("Keys that have their counts in the map that all CPUs share.")
}

/// The counter of counts that found no room at all.
pub fn lost_family(prefix: &str) -> Family {
    Family::counter(&format!("{prefix}_lost_total"))
        .help("Counts that found room in no map, by reason.")
        .labels(["reason"])
}

impl<P: Plugin> Manifest<P> {
    /// Adds the views of a table of counts.h, and three families about it:
    ///
    /// - `PREFIX_spilled_total`, a counter: counts that found no free bank and cost more than usual;
    /// - `PREFIX_spill_entries`, a gauge: the keys that have their counts in the map that all CPUs share, now;
    /// - `PREFIX_lost_total{reason}`, a counter: counts that found no room at all.
    ///
    /// Several tables may have one prefix.
    pub fn banks(&mut self, prefix: &str, banks: LabelledBanks<P>) {
        let spilled = self.family_once(spilled_family(prefix));
        let entries = self.family_once(spill_entries_family(prefix));
        let lost = self.family_once(lost_family(prefix));
        banks.views.into_iter().for_each(|view| self.view(view));
        let stats = |family| {
            let stats = View::table::<u32, u64>(&format!("{}_stats", banks.map)).identity(key());
            stats.feed(family, number(member!(u64)))
        };
        self.view(stats(spilled).rows(stat_row::<P, SPILLED>));
        self.view(stats(entries).rows(stat_row::<P, SPILL_ENTRIES>));
        self.view(stats(lost).rows(lost_row::<P>));
    }
}

/// The row of one slot of `NAME_stats`.
fn stat_row<'a, P, const STAT: u32>(_: &'a P, stat: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 0> {
    if *stat == STAT { Ok([]) } else { Err(Refusal::Skip) }
}

fn lost_row<'a, P>(_: &'a P, stat: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
    let reason = stat.checked_sub(FIRST_LOST).and_then(|reason| LOST.get(reason as usize));
    reason.map(|reason| [Label::from(*reason)]).ok_or(Refusal::Skip)
}
