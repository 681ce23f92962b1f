//! Where a series' numbers lie in an entry's value. Members carry their types, so offset, size and sign are never written by hand.

use core::marker::PhantomData;

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::layout::{Layout, Member};

/// An integer that BPF programs count in.
pub trait Integer: Layout {
    /// Two's complement; for gauges only.
    const SIGNED: bool;
}

macro_rules! integers {
    ($($int:ty: $signed:literal),+) => {$(
        impl Integer for $int {
            const SIGNED: bool = $signed;
        }
    )+};
}

integers!(u8: false, u16: false, u32: false, u64: false, i8: true, i16: true, i32: true, i64: true);

/// How an entry with a value of type `V` feeds a family.
pub struct Value<V> {
    pub(crate) wit: wit::Value,
    pub(crate) shape: Shape,
    of: PhantomData<fn(&V)>,
}

/// What of a value has to agree with the family's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing.
    Free,
    /// One slot more than bounds.
    Slots(usize),
    /// The rows carry bucket numbers.
    Bucket,
}

/// 1 for each entry: of events a count, of a table's entries a gauge (`Fold::Sum` counts them, `Fold::Max` makes a state).
pub fn one<V>() -> Value<V> {
    Value::of(wit::Value::One, Shape::Free)
}

/// A counter's total so far (of events: what each adds), or a gauge's value.
pub fn number<V, T: Integer>(member: Member<V, T>) -> Value<V> {
    Value::of(wit::Value::Number(integer(member)), Shape::Free)
}

/// One observation of a histogram; events only.
pub fn observation<V, T: Integer>(member: Member<V, T>) -> Value<V> {
    Value::of(wit::Value::Observation(integer(member)), Shape::Free)
}

/// An array of counts, one more than the family has bounds: the last is of all above.
pub fn slots<V, T: Integer, const N: usize>(member: Member<V, [T; N]>) -> Counts<V> {
    let slots = wit::Slots { offset: member.offset, size: T::SIZE as u32, sum: None };
    Counts(Value::of(wit::Value::Slots(slots), Shape::Slots(N)))
}

/// An array of native buckets with one slot before them (the zero bucket) and one after: `schema` as Prometheus has it
/// (each power of two has 2^schema buckets), `first` the first bucket's index.
pub fn native_slots<V, const N: usize>(member: Member<V, [u64; N]>, schema: i8, first: i32) -> Counts<V> {
    const { assert!(N > 2, "native slots are one before the buckets, the buckets, and one after") };
    let slots = wit::NativeSlots { offset: member.offset, schema, first, count: N as u32 - 2, sum: None };
    Counts(Value::of(wit::Value::NativeSlots(slots), Shape::Free))
}

/// The entry is one bucket, with this count; the row says which: see [`View::bucket_rows`](crate::View::bucket_rows).
pub fn bucket<V, T: Integer>(count: Member<V, T>) -> Counts<V> {
    Counts(Value::of(wit::Value::Bucket(wit::Bucket { count: integer(count), sum: None }), Shape::Bucket))
}

/// Counts of a histogram, which may have a sum beside them.
pub struct Counts<V>(Value<V>);

impl<V> Counts<V> {
    /// Where the sum of the observations lies; of bucket entries: in the one that is the sum. Without it no `_sum` is printed.
    pub fn sum<T: Integer>(mut self, member: Member<V, T>) -> Self {
        let sum = Some(integer(member));
        match &mut self.0.wit {
            wit::Value::Slots(slots) => slots.sum = sum,
            wit::Value::NativeSlots(slots) => slots.sum = sum,
            wit::Value::Bucket(bucket) => bucket.sum = sum,
            wit::Value::One | wit::Value::Number(_) | wit::Value::Observation(_) => {}
        }
        self
    }
}

impl<V> From<Counts<V>> for Value<V> {
    fn from(counts: Counts<V>) -> Self {
        counts.0
    }
}

impl<V> Value<V> {
    fn of(wit: wit::Value, shape: Shape) -> Self {
        Self { wit, shape, of: PhantomData }
    }
}

fn integer<V, T: Integer>(member: Member<V, T>) -> wit::Number {
    wit::Number { offset: member.offset, size: T::SIZE as u32, is_signed: T::SIGNED }
}
