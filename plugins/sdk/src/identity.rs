//! The identity of an entry: the bytes of its key and value that decide its labels. They become the contract's fields: without padding,
//! with adjacent members merged into one field, except that a member with a lookup has a field of its own.

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::layout::{Layout, Member, Packed};

/// Selects bytes of an entry with keys `K` and values `V`. Implemented by [`key()`], [`value()`], [`key_at`], [`value_at`], by `()` for
/// nothing, and by pairs of these.
pub trait FieldSelector<K, V> {
    /// The type in which the row function gets the selected bytes.
    type Identity: Packed;

    /// Appends the selected fields, one for each integer, without padding.
    fn fields(&self, fields: &mut Vec<wit::Field>);
}

/// Selects a part of the key; made by [`key()`] and [`key_at`].
pub struct KeyField<K, T>(Member<K, T>);

/// Selects a part of the value; made by [`value()`] and [`value_at`].
pub struct ValueField<V, T>(Member<V, T>);

/// The whole key.
pub fn key<K: Layout>() -> KeyField<K, K> {
    KeyField(Member::whole())
}

/// The whole value. For events, which have no key.
pub fn value<V: Layout>() -> ValueField<V, V> {
    ValueField(Member::whole())
}

/// One member of the key: `key_at(member!(Key.device))`.
pub fn key_at<K, T: Layout>(member: Member<K, T>) -> KeyField<K, T> {
    KeyField(member)
}

/// One member of the value: `value_at(member!(Bank.owner))`. In a table, the BPF program must write the member before it counts in the
/// entry for the first time. Per-CPU maps cannot have identity bytes in the value, because every CPU has its own.
pub fn value_at<V, T: Layout>(member: Member<V, T>) -> ValueField<V, T> {
    ValueField(member)
}

impl<K, V, T: Layout> FieldSelector<K, V> for KeyField<K, T> {
    type Identity = T;

    fn fields(&self, fields: &mut Vec<wit::Field>) {
        append::<T>(wit::Part::Key, self.0.offset, fields);
    }
}

impl<K, V, T: Layout> FieldSelector<K, V> for ValueField<V, T> {
    type Identity = T;

    fn fields(&self, fields: &mut Vec<wit::Field>) {
        append::<T>(wit::Part::Value, self.0.offset, fields);
    }
}

impl<K, V> FieldSelector<K, V> for () {
    type Identity = ();

    fn fields(&self, _: &mut Vec<wit::Field>) {}
}

impl<K, V, A: FieldSelector<K, V>, B: FieldSelector<K, V>> FieldSelector<K, V> for (A, B) {
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

/// The fields of a part of the key.
pub(crate) fn fields_of<K, T: Layout>(part: &KeyField<K, T>) -> Vec<wit::Field> {
    let mut fields = Vec::new();
    FieldSelector::<K, ()>::fields(part, &mut fields);
    join(fields)
}

/// Merges adjacent fields, so that the host copies fewer pieces for each entry.
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

/// Splits the field that contains `wanted`, so that `wanted` is a field of its own. Returns false if no field contains all of it.
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
    fn adjacent_members_are_merged_and_padding_is_left_out() {
        let mut fields = Vec::new();
        FieldSelector::<Key, ()>::fields(&key::<Key>(), &mut fields);
        let mut fields = join(fields);
        assert_eq!(fields, [field(0, 1), field(4, 12)]);
        assert!(isolate(&mut fields, field(8, 2)));
        assert_eq!(fields, [field(0, 1), field(4, 4), field(8, 2), field(10, 6)]);
        assert!(isolate(&mut fields, field(8, 2)), "a second time changes nothing");
        assert!(!isolate(&mut fields, field(0, 4)), "no field contains padding");
        assert_eq!(fields.len(), 4);
    }
}
