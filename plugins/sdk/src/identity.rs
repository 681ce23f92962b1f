//! Which bytes of an entry decide its labels, as the contract's fields: padding left out, neighbours joined, looked-up names apart.

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::layout::{Layout, Member, Packed};

/// A part of an entry of key `K` and value `V`: [`key()`], [`value()`], [`key_at`], [`value_at`], `()` for none, or a pair of them.
pub trait Pick<K, V> {
    /// What the row function gets.
    type Identity: Packed;

    /// Appends the fields that hold it, one for each integer, padding left out.
    fn fields(&self, fields: &mut Vec<wit::Field>);
}

/// A part of the key.
pub struct OfKey<K, T>(Member<K, T>);

/// A part of the value.
pub struct OfValue<V, T>(Member<V, T>);

/// The whole key.
pub fn key<K: Layout>() -> OfKey<K, K> {
    OfKey(Member::whole())
}

/// The whole value: of events, which have no key.
pub fn value<V: Layout>() -> OfValue<V, V> {
    OfValue(Member::whole())
}

/// One member of the key.
pub fn key_at<K, T: Layout>(member: Member<K, T>) -> OfKey<K, T> {
    OfKey(member)
}

/// One member of the value. In a table, BPF must have written it before the entry's first count; in a per-CPU map there is none.
pub fn value_at<V, T: Layout>(member: Member<V, T>) -> OfValue<V, T> {
    OfValue(member)
}

impl<K, V, T: Layout> Pick<K, V> for OfKey<K, T> {
    type Identity = T;

    fn fields(&self, fields: &mut Vec<wit::Field>) {
        append::<T>(wit::Part::Key, self.0.offset, fields);
    }
}

impl<K, V, T: Layout> Pick<K, V> for OfValue<V, T> {
    type Identity = T;

    fn fields(&self, fields: &mut Vec<wit::Field>) {
        append::<T>(wit::Part::Value, self.0.offset, fields);
    }
}

impl<K, V> Pick<K, V> for () {
    type Identity = ();

    fn fields(&self, _: &mut Vec<wit::Field>) {}
}

impl<K, V, A: Pick<K, V>, B: Pick<K, V>> Pick<K, V> for (A, B) {
    type Identity = (A::Identity, B::Identity);

    fn fields(&self, fields: &mut Vec<wit::Field>) {
        self.0.fields(fields);
        self.1.fields(fields);
    }
}

fn append<T: Layout>(part: wit::Part, base: u32, fields: &mut Vec<wit::Field>) {
    let mut runs = Vec::new();
    T::runs(base, &mut runs);
    fields.extend(runs.into_iter().map(|(offset, length)| wit::Field { part, offset, length }));
}

/// Neighbours as one field: fewer pieces for the host to gather.
pub(crate) fn join(fields: Vec<wit::Field>) -> Vec<wit::Field> {
    let mut joined: Vec<wit::Field> = Vec::new();
    for field in fields {
        match joined.last_mut() {
            Some(last) if last.part == field.part && last.offset + last.length == field.offset => {
                last.length += field.length;
            }
            _ => joined.push(field),
        }
    }
    joined
}

/// Cuts the field that holds `wanted` so that it stands alone; false if none holds it whole.
pub(crate) fn isolate(fields: &mut Vec<wit::Field>, wanted: wit::Field) -> bool {
    let end = wanted.offset + wanted.length;
    let Some(at) = fields.iter().position(|field| {
        field.part == wanted.part && field.offset <= wanted.offset && end <= field.offset + field.length
    }) else {
        return false;
    };
    let holder = fields[at];
    let before = wit::Field { length: wanted.offset - holder.offset, ..holder };
    let after = wit::Field { offset: end, length: holder.offset + holder.length - end, ..holder };
    fields.splice(at..=at, [before, wanted, after].into_iter().filter(|piece| piece.length > 0));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::layout! {
        struct Key: 16 bytes { op: u8, device: u32, flags: u16, kind: u16, cpu: u32 }
    }

    fn field(offset: u32, length: u32) -> wit::Field {
        wit::Field { part: wit::Part::Key, offset, length }
    }

    #[test]
    fn neighbours_are_joined_and_padding_is_not() {
        let mut fields = Vec::new();
        Pick::<Key, ()>::fields(&key::<Key>(), &mut fields);
        let mut fields = join(fields);
        assert_eq!(fields, [field(0, 1), field(4, 12)]);
        assert!(isolate(&mut fields, field(8, 2)));
        assert_eq!(fields, [field(0, 1), field(4, 4), field(8, 2), field(10, 6)]);
        assert!(isolate(&mut fields, field(8, 2)), "twice is no harm");
        assert!(!isolate(&mut fields, field(0, 4)), "padding is in no field");
        assert_eq!(fields.len(), 4);
    }
}
