//! Byte strings, each once a batch, and their places in the order in which they came. It is the plugins' hot path: it hashes by
//! words, compares short values by one, and keeps all bytes in one buffer that the next batch uses again.
//!
//! The hash is unseeded: within one batch a hostile key can make look-ups slow, which the host's time limit bounds.

use crate::digits;

/// Slots when empty; a power of two.
const LEAST: usize = 64;
/// Up to so many bytes a value's key is the value.
const SHORT: usize = 8;

/// Values of one batch.
#[derive(Default)]
pub struct Interner {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    keys: Vec<Key>,
    /// Open addressing: a place plus 1, or 0.
    slots: Vec<u32>,
}

/// Where a value lies, as the contract's binary form has it: two words.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) length: u32,
}

impl Interner {
    /// With nothing in it, and nothing allocated.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new(), keys: Vec::new(), slots: Vec::new() }
    }

    /// Empties it for a batch. Batches resemble each other: it keeps the size that the last one had.
    pub fn begin(&mut self) {
        let size = (self.keys.len() * 2).next_power_of_two().max(LEAST);
        self.bytes.clear();
        self.spans.clear();
        self.keys.clear();
        self.slots.clear();
        self.slots.resize(size, 0);
    }

    /// The place of these bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> u32 {
        let key = Key::of(bytes);
        match self.find(key, |place| bytes.len() <= SHORT || self.value(self.spans[place]) == bytes) {
            Ok(place) => place,
            Err(slot) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                self.insert(slot, key, start)
            }
        }
    }

    /// The place of a number in decimal digits. Numbers are found by what they are, and printed when they are new.
    #[inline(always)]
    pub fn unsigned(&mut self, number: u64) -> u32 {
        let key = Key::of_number(number);
        self.find(key, |_| true).unwrap_or_else(|slot| self.insert_digits(slot, key, number))
    }

    /// The same with a sign.
    #[inline(always)]
    pub fn signed(&mut self, number: i64) -> u32 {
        match u64::try_from(number) {
            Ok(number) => self.unsigned(number),
            Err(_) => self.negative(number),
        }
    }

    /// Values in the order of their places.
    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spans.iter().map(|span| self.value(*span))
    }

    /// The values' spans, from now on with addresses for starts. Only the contract's form of them is left: begin again.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn addressed(&mut self) -> &[Span] {
        let base = self.bytes.as_ptr() as u32;
        self.spans.iter_mut().for_each(|span| span.start += base);
        &self.spans
    }

    #[inline]
    fn value(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..][..span.length as usize]
    }

    fn negative(&mut self, number: i64) -> u32 {
        let key = Key::of_negative(number);
        self.find(key, |_| true).unwrap_or_else(|slot| {
            self.bytes.push(b'-');
            let start = digits::append(&mut self.bytes, number.unsigned_abs()) - 1;
            self.bytes[start] = b'-';
            self.insert(slot, key, start)
        })
    }

    #[inline]
    fn insert_digits(&mut self, slot: usize, key: Key, number: u64) -> u32 {
        let start = digits::append(&mut self.bytes, number);
        self.insert(slot, key, start)
    }

    /// The place of the value with this key that `is_it` accepts, or the slot for a new one.
    #[inline(always)]
    fn find(&self, key: Key, is_it: impl Fn(usize) -> bool) -> Result<u32, usize> {
        let mut slot = key.slot(self.slots.len());
        while let Some(place) = self.slots[slot].checked_sub(1) {
            if self.keys[place as usize] == key && is_it(place as usize) {
                return Ok(place);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        Err(slot)
    }

    /// A new value: the bytes from `start` on.
    #[inline]
    fn insert(&mut self, slot: usize, key: Key, start: usize) -> u32 {
        let place = self.spans.len() as u32;
        self.spans.push(Span { start: start as u32, length: (self.bytes.len() - start) as u32 });
        self.keys.push(key);
        self.slots[slot] = place + 1;
        if self.spans.len() * 2 > self.slots.len() {
            self.grow();
        }
        place
    }

    #[inline(never)]
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

    #[test]
    fn values_that_resemble_each_other_are_told_apart() {
        let text = b"aaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbab\0\0\0\0\0\0\0\0\0";
        let mut all: Vec<_> = (0..text.len()).flat_map(|i| (i..=text.len()).map(move |j| &text[i..j])).collect();
        let mut values = Interner::new();
        values.begin();
        for value in &all {
            values.bytes(value);
        }
        let mut found: Vec<_> = values.values().collect();
        found.sort_unstable();
        all.sort_unstable();
        all.dedup();
        assert_eq!(found, all);
    }

    #[test]
    fn it_grows_and_begins_again() {
        let mut values = Interner::new();
        for _ in 0..2 {
            values.begin();
            for round in 0..2 {
                for number in 0..5_000u32 {
                    assert_eq!(values.unsigned(number.into()), number, "round {round}");
                }
            }
            assert_eq!(values.values().len(), 5_000);
        }
    }

    #[test]
    fn a_number_is_not_the_text_of_its_bytes() {
        let mut values = Interner::new();
        values.begin();
        assert_eq!((values.unsigned(0x31), values.bytes(&[0x31, 0, 0, 0, 0, 0, 0, 0]), values.bytes(b"1")), (0, 1, 2));
        assert_eq!((values.signed(0x31), values.signed(-0x31), values.signed(-0x31)), (0, 3, 3));
    }
}
