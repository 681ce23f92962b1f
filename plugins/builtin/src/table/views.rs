//! The contract's views of a table: one of each map.

use ebhost_plugin::exported::banks::{BANK_CHECK, BANK_HEAD, NATIVE_FIRST, NATIVE_SCHEMA};
use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;

use super::{CHECK_BYTES, FeedValue, Storage, Table, TableLayout};
use crate::ViewRows;

/// Indices of the families of statistics among all families.
#[derive(Clone, Copy)]
pub(crate) struct StatFamilies {
    pub(crate) spilled: u32,
    pub(crate) entries: u32,
    pub(crate) lost: u32,
}

/// The views of a table, each with how its rows are decoded. `index`: that of the table; `first_family`: the index of the tables' first
/// family among all families.
pub(crate) fn views(table: &Table, index: usize, first_family: u32, stats: StatFamilies) -> Vec<(wit::View, ViewRows)> {
    let view = |storage| (data(table, storage, first_family), ViewRows::Table(index, storage));
    match table.layout {
        TableLayout::Plain => vec![view(Storage::Plain)],
        TableLayout::Banks => vec![
            view(Storage::Banks),
            view(Storage::Shared),
            (statistics(table, stats.spilled, 0), ViewRows::Spilled),
            (statistics(table, stats.entries, 0), ViewRows::SpillEntries),
            (statistics(table, stats.lost, 1), ViewRows::Lost),
        ],
    }
}

impl Table {
    /// Whether it has statistics of what was spilled and lost.
    pub(crate) fn has_statistics(&self) -> bool {
        self.layout == TableLayout::Banks
    }
}

fn data(table: &Table, storage: Storage, first_family: u32) -> wit::View {
    let (source, key_size) = match storage {
        Storage::Banks => (table.map.clone(), 4),
        Storage::Shared => (format!("{}_spill", table.map), table.key_size),
        Storage::Plain => (table.map.clone(), table.key_size),
    };
    let head = table.head(storage);
    let (identity, lookups) = identity(table, storage);
    let series = table.feeds.iter().map(|feed| wit::Series {
        family: first_family + feed.family as u32,
        labels: feed.labels.clone(),
        value: value(feed.value, head, table.values),
    });
    wit::View {
        source,
        key_size,
        value_size: head + 8 * table.values,
        identity,
        lookups,
        columns: table.labels.len() as u32,
        series: series.collect(),
    }
}

/// The identity is one range of bytes, cut where a label is looked up: the host looks up whole fields.
fn identity(table: &Table, storage: Storage) -> (Vec<wit::Field>, Vec<wit::Lookup>) {
    // Offset of the range, and of the key, in the entry's part.
    let (part, begin, key) = match storage {
        Storage::Banks => (wit::Part::Value, BANK_CHECK, BANK_HEAD),
        Storage::Shared | Storage::Plain => (wit::Part::Key, 0, 0),
    };
    debug_assert_eq!(BANK_HEAD - BANK_CHECK, CHECK_BYTES as u32);
    let end = begin + table.identity_bytes(storage) as u32;
    let (mut fields, mut lookups, mut done) = (Vec::new(), Vec::new(), begin);
    for (offset, label) in &table.labels {
        let (offset, length) = (key + offset, label.size);
        for name in label.tables() {
            if done < offset {
                fields.push(wit::Field { part, offset: done, length: offset - done });
                done = offset;
            }
            // Several labels may be made of the same bytes, and one of several names of them.
            if done == offset {
                fields.push(wit::Field { part, offset, length });
                done = offset + length;
            }
            lookups.push(wit::Lookup { table: name.into(), field: fields.len() as u32 - 1 });
        }
    }
    if done < end {
        fields.push(wit::Field { part, offset: done, length: end - done });
    }
    (fields, lookups)
}

/// The numbers that begin at `offset` of the value.
fn value(value: FeedValue, offset: u32, values: u32) -> wit::Value {
    let number = |index| wit::Number { offset: offset + 8 * index, size: 8, is_signed: false };
    let sum = Some(number(0));
    match value {
        FeedValue::Number(index) => wit::Value::Number(number(index)),
        FeedValue::Slots => wit::Value::Slots(wit::Slots { offset: offset + 8, size: 8, sum }),
        FeedValue::NativeSlots => wit::Value::NativeSlots(wit::NativeSlots {
            offset: offset + 8,
            schema: NATIVE_SCHEMA,
            first: NATIVE_FIRST,
            // Without the sum, and without the slots below and above the buckets.
            count: values - 3,
            sum,
        }),
    }
}

fn statistics(table: &Table, family: u32, columns: u32) -> wit::View {
    let value = wit::Value::Number(wit::Number { offset: 0, size: 8, is_signed: false });
    wit::View {
        source: format!("{}_stats", table.map),
        key_size: 4,
        value_size: 8,
        identity: vec![wit::Field { part: wit::Part::Key, offset: 0, length: 4 }],
        lookups: Vec::new(),
        columns,
        series: vec![wit::Series { family, labels: (0..columns).map(wit::Label::Column).collect(), value }],
    }
}
