//! Which numbers of an entry's value feed a family. Members carry their types, so offset, size and sign are never written by hand.

use core::marker::PhantomData;

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::layout::{Layout, Member};

/// An integer type in which BPF programs count.
pub trait Integer: Layout {
    /// Whether it is signed. Only gauges may be fed with signed numbers.
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

/// How an entry with a value of type `V` feeds a family; passed to [`View::feed`](crate::View::feed). Made by [`one`], [`number`] and
/// [`observation`], and from [`Counts`].
pub struct Value<V> {
    pub(crate) wit: wit::Value,
    pub(crate) shape: Shape,
    entry: PhantomData<fn(&V)>,
}

/// The constraint that a value puts on its view and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// No constraint.
    Any,
    /// This many slots: the family must have one bound fewer.
    Slots(usize),
    /// The row function must return a bucket.
    Bucket,
}

/// The number 1 for each entry. Feeds a counter of events; or, in a table, a gauge: [`Fold::Sum`](crate::Fold::Sum) makes it the number of
/// entries, [`Fold::Max`](crate::Fold::Max) a state that is 1 while an entry exists.
pub fn one<V>() -> Value<V> {
    Value::of(wit::Value::One, Shape::Any)
}

/// A number. In a table it is the total of a counter so far, or the value of a gauge; in events it is the amount that each adds to a
/// counter.
pub fn number<V, T: Integer>(member: Member<V, T>) -> Value<V> {
    Value::of(wit::Value::Number(integer(member)), Shape::Any)
}

/// One observation of a histogram. Events only.
pub fn observation<V, T: Integer>(member: Member<V, T>) -> Value<V> {
    Value::of(wit::Value::Observation(integer(member)), Shape::Any)
}

/// An array with one count for each bound of the histogram and, last, one for `+Inf`. The counts are not cumulative.
pub fn slots<V, T: Integer, const N: usize>(member: Member<V, [T; N]>) -> Counts<V> {
    let slots = wit::Slots { offset: member.offset, size: T::SIZE as u32, sum: None };
    Counts(Value::of(wit::Value::Slots(slots), Shape::Slots(N)))
}

/// An array of counts of a native histogram: the zero bucket, the native buckets, and one count for everything above them. `schema` is
/// Prometheus' schema (each power of two is divided into 2^schema buckets), `first` the index of the first native bucket.
pub fn native_slots<V, const N: usize>(member: Member<V, [u64; N]>, schema: i8, first: i32) -> Counts<V> {
    const { assert!(N > 2, "native slots are the zero bucket, at least one bucket, and one count for everything above") };
    let slots = wit::NativeSlots { offset: member.offset, schema, first, count: N as u32 - 2, sum: None };
    Counts(Value::of(wit::Value::NativeSlots(slots), Shape::Any))
}

/// The count of one bucket: the entry is a single bucket of a histogram, and the row function says which one. See
/// [`View::bucket_rows`](crate::View::bucket_rows).
pub fn bucket<V, T: Integer>(count: Member<V, T>) -> Counts<V> {
    Counts(Value::of(wit::Value::Bucket(wit::Bucket { count: integer(count), sum: None }), Shape::Bucket))
}

/// The counts of a histogram; made by [`slots`], [`native_slots`] and [`bucket`].
pub struct Counts<V>(Value<V>);

impl<V> Counts<V> {
    /// Adds the member that holds the sum of the observations. With [`bucket`] values it is read in the entry that is
    /// [`Bucket::Sum`](crate::Bucket::Sum). Without this call the histogram has no `_sum`.
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
        Self { wit, shape, entry: PhantomData }
    }
}

fn integer<V, T: Integer>(member: Member<V, T>) -> wit::Number {
    wit::Number { offset: member.offset, size: T::SIZE as u32, is_signed: T::SIGNED }
}
