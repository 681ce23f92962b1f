//! Writes bits as deflate orders them: the first bit is the lowest of the first byte.

/// Bytes that may be written beyond the position.
const SLACK: usize = 8;

/// The most bits of one [`put`](BitWriter::put).
pub(super) const MOST: u32 = 56;

/// A growing sequence of bits.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    /// As long as it has room; only what precedes `at` is written.
    bytes: Vec<u8>,
    at: usize,
    /// Bits that fill no byte yet: fewer than 8 between two calls.
    held: u64,
    count: u32,
}

/// An earlier end of a [`BitWriter`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    at: usize,
    held: u64,
    count: u32,
}

impl BitWriter {
    /// Makes room for so many more bytes.
    #[inline]
    pub(super) fn reserve(&mut self, bytes: usize) {
        let least = self.at + bytes + SLACK;
        if self.bytes.len() < least {
            self.bytes.resize(least.next_power_of_two(), 0);
        }
    }

    /// Appends the lowest `count` bits of `bits`, at most [`MOST`]; the higher ones are 0. There must be room.
    #[inline]
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        debug_assert!(count <= MOST && bits >> count == 0, "{bits:x} in {count} bits");
        self.held |= bits << self.count;
        self.count += count;
        self.bytes[self.at..self.at + SLACK].copy_from_slice(&self.held.to_le_bytes());
        let whole = self.count / 8;
        self.at += whole as usize;
        self.held >>= whole * 8;
        self.count %= 8;
    }

    /// Appends the first `count` bits of `bytes`, which are followed by at least 8 other bytes, and then the lowest `more_count` bits of
    /// `more` as [`put`](Self::put) does.
    #[inline]
    pub(super) fn put_bytes(&mut self, bytes: &[u8], count: u32, more: u64, more_count: u32) {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let (mut left, mut at) = (count, 0);
        while left > MOST {
            self.put(word(at) & ((1 << MOST) - 1), MOST);
            left -= MOST;
            at += (MOST / 8) as usize;
        }
        let last = word(at) & ((1 << left) - 1);
        if left + more_count <= MOST {
            self.put(last | more << left, left + more_count);
        } else {
            self.put(last, left);
            self.put(more, more_count);
        }
    }

    /// Starts anew, with the same memory.
    pub(super) fn clear(&mut self) {
        (self.at, self.held, self.count) = (0, 0, 0);
    }

    /// The present end, for [`reset_to`](Self::reset_to).
    pub(super) fn mark(&self) -> Mark {
        Mark { at: self.at, held: self.held, count: self.count }
    }

    /// Takes back what was written since.
    pub(super) fn reset_to(&mut self, mark: Mark) {
        (self.at, self.held, self.count) = (mark.at, mark.held, mark.count);
    }

    /// The bytes so far; the last one is filled up with zeros.
    pub(super) fn written(&self) -> &[u8] {
        &self.bytes[..self.bits().div_ceil(8)]
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.at == 0 && self.count == 0
    }

    /// Whole bytes so far.
    pub(super) fn len(&self) -> usize {
        self.at
    }

    /// Bits so far.
    pub(super) fn bits(&self) -> usize {
        self.at * 8 + self.count as usize
    }

    /// Ends at a byte, with an empty block of stored bytes, and returns all bytes.
    pub(super) fn finish_aligned(mut self) -> Vec<u8> {
        self.reserve(8);
        self.put(0, 3); // not the last block; stored
        self.put(0, (8 - self.count) % 8);
        self.put(0xffff_0000, 32); // the length 0, and its complement
        self.into_bytes()
    }

    /// All bytes; the last one is filled up with zeros.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.reserve(1);
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.bytes.truncate(self.at);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_fill_bytes_from_the_lowest_one() {
        let mut writer = BitWriter::default();
        assert!(writer.is_empty());
        writer.reserve(16);
        writer.put(0b101, 3);
        writer.put(0, 0);
        writer.put(0x3ff, 10);
        writer.put_bytes(&[0xcd, 0xab, 0, 0, 0, 0, 0, 0, 0, 0], 8, 0xab, 8);
        assert_eq!((writer.bits(), writer.len()), (29, 3));
        assert_eq!(writer.into_bytes(), [0b1111_1101, 0b1011_1111, 0b0111_1001, 0b1_0101]);
    }

    #[test]
    fn long_sequences_are_copied_at_any_offset() {
        let pattern: Vec<u8> = (0..40u8).map(|byte| byte.wrapping_mul(73)).collect();
        for (offset, count) in (0..8).flat_map(|offset| (0..200).map(move |count| (offset, count))) {
            let mut writer = BitWriter::default();
            writer.reserve(64);
            writer.put(0, offset);
            let more_count = count % (MOST + 1);
            writer.put_bytes(&pattern, count, (1 << more_count) - 1, more_count);
            assert_eq!(writer.bits(), (offset + count + more_count) as usize);
            let bytes = writer.into_bytes();
            let bit = |bytes: &[u8], at: u32| bytes[at as usize / 8] >> (at % 8) & 1;
            assert!((0..more_count).all(|at| bit(&bytes, offset + count + at) == 1), "{count} at {offset}");
            assert!((0..count).all(|at| bit(&bytes, at + offset) == bit(&pattern, at)), "{count} at {offset}");
        }
    }
}
