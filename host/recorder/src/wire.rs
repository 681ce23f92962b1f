//! Numbers and blocks of the format.
//!
//! A file is [`HEADER`] and blocks. A block is a marker, its kind, the length of its payload, a CRC-32 of kind and payload, and the
//! payload. A reader that meets a damaged block looks for the next marker whose checksum is right.

use flate2::Crc;

/// Begins every file and stream: a name, and the version of the format.
pub const HEADER: [u8; 8] = *b"ebhostR\x01";

/// Begins every block.
pub(crate) const MARKER: [u8; 4] = *b"\xebBLK";

/// Bytes of a block before its payload.
pub(crate) const BLOCK_HEAD: usize = MARKER.len() + 1 + 4 + 4;

/// The content of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// A frame that says everything: what was before it does not matter.
    Keyframe = 1,
    /// A frame of changes since the one before.
    Delta = 2,
    /// The report on host and packages, as `/status.json` has it.
    Status = 3,
    /// Blocks, compressed together (zlib).
    Packed = 4,
}

impl BlockKind {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Keyframe, Self::Delta, Self::Status, Self::Packed].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A block with this payload. Payloads are bounded far below 4 GiB.
pub(crate) fn block(kind: BlockKind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOCK_HEAD + payload.len());
    out.extend_from_slice(&MARKER);
    out.push(kind as u8);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(kind as u8, payload).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

pub(crate) fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&[kind]);
    crc.update(payload);
    crc.sum()
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Small numbers of either sign as small unsigned ones: 0, -1, 1, -2, …
pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_float(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Reads what was written; `None` where the bytes end or are none that were written.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub(crate) fn word(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn float(&mut self) -> Option<f64> {
        self.long().map(f64::from_bits)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A number of things of which each takes a byte at least.
    pub(crate) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(numbers in prop::collection::vec(any::<i64>(), 0..20)) {
            let mut out = Vec::new();
            for number in &numbers {
                put_number(&mut out, zigzag(*number));
                put_number(&mut out, *number as u64);
            }
            let mut input = Input(&out);
            for number in numbers {
                prop_assert_eq!(input.number().map(unzigzag), Some(number));
                prop_assert_eq!(input.number(), Some(number as u64));
            }
            prop_assert_eq!(input.number(), None);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut input = Input(&bytes);
            while input.number().is_some() || input.text().is_some() || input.byte().is_some() {}
        }
    }
}
