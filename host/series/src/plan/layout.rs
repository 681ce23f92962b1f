//! The cell layout of a family, decided by the values that feed it.

use ebhost_metrics::{CellKind, Family, Kind, Layout, native_slot};

use crate::schema::{Encoding, NativeSlots, Schema, Value};

/// The layout of one family. A histogram is native if every feed counts into the same native buckets; otherwise it is classic, and
/// native slots are added to the classic bucket that contains them.
pub(crate) fn layout_of(schema: &Schema, index: usize) -> Layout {
    let family = &schema.families[index];
    let feeds = || schema.views.iter().flat_map(|view| &view.feeds).filter(move |feed| feed.family == index);
    let Kind::Histogram(bounds) = &family.kind else {
        return Layout::Single(widest(feeds().filter_map(|feed| match feed.value {
            Value::Number(number) => Some(number.encoding),
            _ => None,
        })));
    };
    let has_sum = feeds().any(|feed| match feed.value {
        Value::Observation(_) => true,
        Value::Slots(slots) => slots.sum.is_some(),
        Value::NativeSlots(slots) => slots.sum.is_some(),
        Value::Bucket(bucket) => bucket.sum.is_some(),
        Value::One | Value::Number(_) => false,
    });
    let observed = feeds().filter_map(|feed| match feed.value {
        Value::Observation(number) => Some(number.encoding),
        _ => None,
    });
    let sum = has_sum.then(|| widest(observed));
    let shape = |value: &Value| match value {
        Value::NativeSlots(slots) => Some((slots.schema, slots.first, slots.count)),
        _ => None,
    };
    let mut shapes = feeds().map(|feed| shape(&feed.value));
    if let Some(Some(first)) = shapes.next()
        && shapes.all(|other| other == Some(first))
    {
        let (schema, first, count) = first;
        let ends = bounds.iter().map(|&bound| native_slot(bound, schema, first, count)).collect();
        return Layout::Native { schema, first, count, ends, sum };
    }
    Layout::Classic { bounds: bounds.len(), sum }
}

/// The kind of cell that can hold numbers of all these encodings.
fn widest(encodings: impl Iterator<Item = Encoding>) -> CellKind {
    encodings.max().map_or(CellKind::U64, Encoding::cell_kind)
}

/// For each native slot, the classic bucket that contains it.
pub(crate) fn classic_buckets(slots: &NativeSlots, family: &Family) -> Vec<usize> {
    let Kind::Histogram(bounds) = &family.kind else { return Vec::new() };
    let ends: Vec<usize> =
        bounds.iter().map(|&bound| native_slot(bound, slots.schema, slots.first, slots.count)).collect();
    (0..slots.count + 2).map(|slot| ends.partition_point(|&end| end < slot)).collect()
}
