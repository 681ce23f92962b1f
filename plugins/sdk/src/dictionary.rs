//! The answer's dictionary column: each label value once a batch. It is the plugin's hot path, so it hashes by words, compares
//! short values by one, and allocates only for values that are new in the batch.
//!
//! The hash is unseeded: within one batch a hostile key can make look-ups slow, which the host's time limit bounds.

use std::borrow::Cow;

use crate::label::{Kind, Label};

/// Slots when empty; a power of two.
const LEAST: usize = 64;
/// Up to so many bytes a value's key is the value.
const SHORT: usize = 8;

/// Label values of one batch, and where they are.
#[derive(Default)]
pub(crate) struct Dictionary {
    values: Vec<String>,
    keys: Vec<Key>,
    /// Open addressing: a place in `values` plus 1, or 0.
    slots: Vec<u32>,
    /// For each of the batch's names a place in `values` plus 1, or 0.
    names: Vec<u32>,
}

impl Dictionary {
    /// Empties it for a batch with so many names. Batches resemble each other: it keeps the size that the last one had.
    pub(crate) fn begin(&mut self, names: usize) {
        let expected = self.keys.len();
        self.values.clear();
        self.values.reserve(expected);
        self.keys.clear();
        self.slots.clear();
        self.slots.resize((expected * 2).next_power_of_two().max(LEAST), 0);
        self.names.clear();
        self.names.resize(names, 0);
    }

    /// The values of the batch; what is left is empty.
    pub(crate) fn take(&mut self) -> Vec<String> {
        core::mem::take(&mut self.values)
    }

    /// The label's place.
    #[inline]
    pub(crate) fn place(&mut self, label: Label<'_>) -> u32 {
        match label.0 {
            Kind::Text(text) => self.text(text),
            Kind::Name(name) => match name.index {
                Some(index) => self.name(index as usize, name.text),
                None => self.text(name.text.into()),
            },
            // Dividing 32 bits is cheaper in the sandbox than dividing 64.
            Kind::Unsigned(number) => match u32::try_from(number) {
                Ok(small) => self.decimal(Key::of_number(number), small),
                Err(_) => self.decimal(Key::of_number(number), number),
            },
            Kind::Signed(number) if number < 0 => self.decimal(Key::of_negative(number), number),
            Kind::Signed(number) => self.decimal(Key::of_number(number.unsigned_abs()), number),
        }
    }

    #[inline]
    fn name(&mut self, index: usize, text: &str) -> u32 {
        if self.names[index] == 0 {
            self.names[index] = self.text(text.into()) + 1;
        }
        self.names[index] - 1
    }

    /// Numbers are found by what they are, and printed when they are new.
    #[inline]
    fn decimal(&mut self, key: Key, number: impl itoa::Integer) -> u32 {
        match self.find(key, |_| true) {
            Ok(place) => place,
            Err(slot) => self.insert(slot, key, itoa::Buffer::new().format(number).into()),
        }
    }

    #[inline]
    fn text(&mut self, text: Cow<'_, str>) -> u32 {
        let key = Key::of(text.as_bytes());
        match self.find(key, |value| text.len() <= SHORT || value == text) {
            Ok(place) => place,
            Err(slot) => self.insert(slot, key, text.into_owned()),
        }
    }

    /// The place of the value with this key that `is_it` accepts, or the slot for a new one.
    #[inline]
    fn find(&self, key: Key, is_it: impl Fn(&str) -> bool) -> Result<u32, usize> {
        let mut slot = key.slot(self.slots.len());
        while let Some(place) = self.slots[slot].checked_sub(1) {
            if self.keys[place as usize] == key && is_it(&self.values[place as usize]) {
                return Ok(place);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        Err(slot)
    }

    #[inline(never)]
    fn insert(&mut self, slot: usize, key: Key, text: String) -> u32 {
        let place = self.values.len() as u32;
        self.values.push(text);
        self.keys.push(key);
        self.slots[slot] = place + 1;
        if self.values.len() * 2 > self.slots.len() {
            self.grow();
        }
        place
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(size, 0);
        for (place, key) in self.keys.iter().enumerate() {
            let mut slot = key.slot(size);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = place as u32 + 1;
        }
    }
}

/// A value's length and hash. Every step of the hash can be undone, so that for short values and for numbers equal keys are
/// equal values. (A number that also came as text has two places, which does no harm.)
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    hash: u64,
    length: u32,
}

/// Lengths that no text has.
const NUMBER: u32 = u32::MAX;
const NEGATIVE: u32 = u32::MAX - 1;

impl Key {
    #[inline]
    fn of_number(number: u64) -> Self {
        Self { hash: mix(0, number), length: NUMBER }
    }

    #[inline]
    fn of_negative(number: i64) -> Self {
        Self { hash: mix(0, number.cast_unsigned()), length: NEGATIVE }
    }

    #[inline]
    fn of(bytes: &[u8]) -> Self {
        let hash = match bytes.last_chunk::<SHORT>() {
            None => mix(0, short(bytes)),
            // The last word overlaps the one before it rather than being cut short.
            Some(last) => {
                let (words, _) = bytes[..bytes.len() - SHORT].as_chunks::<SHORT>();
                let state = words.iter().fold(0, |state, word| mix(state, u64::from_le_bytes(*word)));
                mix(state, u64::from_le_bytes(*last))
            }
        };
        Self { hash, length: bytes.len() as u32 }
    }

    #[inline]
    fn slot(self, slots: usize) -> usize {
        (self.hash ^ self.hash >> 32) as usize & (slots - 1)
    }
}

#[inline]
fn mix(state: u64, word: u64) -> u64 {
    (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// Fewer than 8 bytes as one word, each of them in it.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32,
        _ => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Name;

    #[test]
    fn a_value_has_one_place_however_it_comes() {
        let mut dictionary = Dictionary::default();
        dictionary.begin(2);
        let name = |index| Label::from(Name { text: "nvme0n1", index });
        assert_eq!(dictionary.place("read".into()), 0);
        assert_eq!(dictionary.place(name(Some(1))), 1);
        assert_eq!(dictionary.place(name(Some(1))), 1);
        assert_eq!(dictionary.place(name(None)), 1);
        assert_eq!(dictionary.place(String::from("nvme0n1").into()), 1);
        assert_eq!(dictionary.place("".into()), 2);
        assert_eq!(dictionary.take(), ["read", "nvme0n1", ""]);
    }

    #[test]
    fn numbers_read_as_rust_prints_them() {
        let mut dictionary = Dictionary::default();
        dictionary.begin(0);
        let labels =
            || -> [Label<'_>; 5] { [0u64.into(), u64::MAX.into(), i64::MIN.into(), (-7i8).into(), 7u8.into()] };
        for _ in 0..2 {
            assert_eq!(labels().map(|label| dictionary.place(label)), [0, 1, 2, 3, 4]);
        }
        assert_eq!(dictionary.place(7i64.into()), 4);
        assert_eq!(dictionary.take(), ["0", "18446744073709551615", "-9223372036854775808", "-7", "7"]);
    }

    #[test]
    fn values_that_resemble_each_other_are_told_apart() {
        let text = "aaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbab\0\0\0\0\0\0\0\0\0";
        let mut all: Vec<_> = (0..text.len()).flat_map(|i| (i..=text.len()).map(move |j| &text[i..j])).collect();
        let mut dictionary = Dictionary::default();
        dictionary.begin(0);
        for value in &all {
            dictionary.place((*value).into());
        }
        let mut found = dictionary.take();
        found.sort();
        all.sort_unstable();
        all.dedup();
        assert_eq!(found, all);
    }

    #[test]
    fn it_grows_and_begins_again() {
        let mut dictionary = Dictionary::default();
        for _ in 0..2 {
            dictionary.begin(0);
            for round in 0..2 {
                for number in 0..5_000u32 {
                    assert_eq!(dictionary.place(number.into()), number, "round {round}");
                }
            }
            assert_eq!(dictionary.take().len(), 5_000);
        }
    }
}
