//! Tables of `bpf/ebhost/counts.h`, and ordinary maps with an array of numbers as value, as a configuration describes them.
//!
//! `read` checks a configuration against the maps of the BPF object, `views` makes the contract's records of it.

mod families;
mod key;
mod kind;
mod read;
mod views;

use ebhost_plugin::exported::banks::{BANK_HEAD, ENTRY_HEAD};
use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;

use crate::label::Label;

pub(crate) use read::read;
pub(crate) use views::{StatFamilies, views};

/// Bytes of a bank's check, which precedes the key in its identity.
pub(crate) const CHECK_BYTES: usize = 4;

/// All tables of a configuration, with the families that they feed.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) families: Vec<wit::Family>,
    pub(crate) tables: Vec<Table>,
}

/// A table whose configuration has been checked.
pub(crate) struct Table {
    /// The name of its map; that of the shared map is `MAP_spill`.
    map: String,
    /// The maps that it consists of.
    layout: TableLayout,
    key_size: u32,
    /// Numbers of 8 bytes in a value.
    values: u32,
    /// The labels, each with the offset of its bytes in the key, in the order of the key.
    pub(crate) labels: Vec<(u32, Label)>,
    feeds: Vec<Feed>,
}

/// The maps of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TableLayout {
    /// Banks, a map that all CPUs share, and an array of statistics: a table of counts.h.
    Banks,
    /// One map whose value is an array of numbers, or a group of perf events.
    Plain,
}

/// The map that a view of a table reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// The banks of a table of counts.h.
    Banks,
    /// The map that all CPUs share, for what finds no bank.
    Shared,
    /// An ordinary map.
    Plain,
}

/// How each entry feeds a family.
struct Feed {
    /// Index among the families of all tables.
    family: usize,
    labels: Vec<wit::Label>,
    value: FeedValue,
}

/// The numbers of a value that feed a family.
#[derive(Clone, Copy)]
enum FeedValue {
    /// The number with this index.
    Number(u32),
    /// All: the sum, and this many slots.
    Slots,
    /// All: the sum, and native buckets.
    NativeSlots,
}

impl Table {
    /// Bytes of a key that is filled up to whole words, as in banks.
    fn owner_bytes(&self) -> u32 {
        self.key_size.next_multiple_of(8)
    }

    /// Offset of the key in an identity.
    pub(crate) fn start(&self, storage: Storage) -> usize {
        if storage == Storage::Banks { CHECK_BYTES } else { 0 }
    }

    /// Bytes of an identity: the check and the key of a bank, which the check covers with its padding; otherwise the key.
    pub(crate) fn identity_bytes(&self, storage: Storage) -> usize {
        match storage {
            Storage::Banks => CHECK_BYTES + self.owner_bytes() as usize,
            Storage::Shared | Storage::Plain => self.key_size as usize,
        }
    }

    /// Bytes of a value before its numbers.
    fn head(&self, storage: Storage) -> u32 {
        match storage {
            Storage::Banks => BANK_HEAD + self.owner_bytes(),
            Storage::Shared => ENTRY_HEAD + self.owner_bytes(),
            Storage::Plain => 0,
        }
    }
}
