//! String interning for one batch: each distinct byte string is stored once and gets an index, in the order of insertion. This is
//! the hot path of every plugin: it hashes eight bytes at a time, compares values of up to eight bytes by their hash alone, and keeps
//! all bytes in one buffer, which the next batch reuses.
//!
//! The hash has no secret seed: within one batch, chosen keys can make lookups slow. The host's time limit for a batch bounds that.

use crate::digits;

/// Slots of an empty interner; a power of two.
const MIN_SLOTS: usize = 64;
/// Bytes in a word. For values of up to this length, equal keys mean equal values.
const WORD: usize = 8;

/// The distinct values of one batch.
#[derive(Default)]
pub struct Interner {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    keys: Vec<Key>,
    /// Hash table with open addressing and linear probing: an index plus 1, or 0 for a free slot.
    slots: Vec<u32>,
}

/// Start and length of a value, laid out as the canonical ABI lays out a string: two 32-bit words.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) length: u32,
}

impl Interner {
    /// An empty interner, without an allocation.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new(), keys: Vec::new(), slots: Vec::new() }
    }

    /// Removes all values. Consecutive batches resemble each other, so the table is sized for as many values as it had.
    pub fn clear(&mut self) {
        let size = (self.keys.len() * 2).next_power_of_two().max(MIN_SLOTS);
        self.bytes.clear();
        self.spans.clear();
        self.keys.clear();
        self.slots.clear();
        self.slots.resize(size, 0);
    }

    /// The index of a byte string, which is inserted if it is new.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> u32 {
        let key = Key::of(bytes);
        match self.find(key, |index| bytes.len() <= WORD || self.value(self.spans[index]) == bytes) {
            Ok(index) => index,
            Err(slot) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                self.insert(slot, key, start)
            }
        }
    }

    /// The index of a number in decimal digits. Lookup is by the binary number; it is formatted only when it is new.
    #[inline(always)]
    pub fn unsigned(&mut self, number: u64) -> u32 {
        let key = Key::of_number(number);
        self.find(key, |_| true).unwrap_or_else(|slot| self.insert_digits(slot, key, number))
    }

    /// The same for a signed number.
    #[inline(always)]
    pub fn signed(&mut self, number: i64) -> u32 {
        match u64::try_from(number) {
            Ok(number) => self.unsigned(number),
            Err(_) => self.negative(number),
        }
    }

    /// The values, by index.
    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spans.iter().map(|span| self.value(*span))
    }

    /// Turns the spans' starts from offsets into addresses, which makes them a list of strings in the canonical ABI. After this call
    /// only [`clear`](Self::clear) may be called.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_abi_strings(&mut self) -> &[Span] {
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

    /// The index of the value with this key for which `is_equal` holds, or else the free slot where to insert it.
    #[inline(always)]
    fn find(&self, key: Key, is_equal: impl Fn(usize) -> bool) -> Result<u32, usize> {
        let mut slot = key.slot(self.slots.len());
        while let Some(index) = self.slots[slot].checked_sub(1) {
            if self.keys[index as usize] == key && is_equal(index as usize) {
                return Ok(index);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        Err(slot)
    }

    /// Inserts a value whose bytes are those of the buffer from `start` on; returns its index.
    #[inline]
    fn insert(&mut self, slot: usize, key: Key, start: usize) -> u32 {
        let index = self.spans.len() as u32;
        self.spans.push(Span { start: start as u32, length: (self.bytes.len() - start) as u32 });
        self.keys.push(key);
        self.slots[slot] = index + 1;
        if self.spans.len() * 2 > self.slots.len() {
            self.grow();
        }
        index
    }

    #[inline(never)]
    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(size, 0);
        for (index, key) in self.keys.iter().enumerate() {
            let mut slot = key.slot(size);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = index as u32 + 1;
        }
    }
}

/// Length and hash of a value. Every step of the hash is invertible, so for values of up to eight bytes and for numbers equal keys mean
/// equal values. (A number that was also inserted as text has two indices, which does no harm.)
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    hash: u64,
    length: u32,
}

/// Lengths that mark the key of a number; no text is as long.
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
        let hash = match bytes.last_chunk::<WORD>() {
            None => mix(0, partial_word(bytes)),
            // The last word may overlap the one before it: cheaper than a partial word.
            Some(last) => {
                let (words, _) = bytes[..bytes.len() - WORD].as_chunks::<WORD>();
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

/// Packs fewer than eight bytes into one word, without losing any.
#[inline]
fn partial_word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32,
        _ => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_values_have_different_indices() {
        let text = b"aaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbab\0\0\0\0\0\0\0\0\0";
        let mut all: Vec<_> = (0..text.len()).flat_map(|i| (i..=text.len()).map(move |j| &text[i..j])).collect();
        let mut values = Interner::new();
        values.clear();
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
    fn the_table_grows_and_can_be_cleared() {
        let mut values = Interner::new();
        for _ in 0..2 {
            values.clear();
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
        values.clear();
        assert_eq!((values.unsigned(0x31), values.bytes(&[0x31, 0, 0, 0, 0, 0, 0, 0]), values.bytes(b"1")), (0, 1, 2));
        assert_eq!((values.signed(0x31), values.signed(-0x31), values.signed(-0x31)), (0, 3, 3));
    }
}
