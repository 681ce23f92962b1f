//! Integers in a value's bytes.

use ebhost_metrics::CellKind;

use crate::schema::{Encoding, Number};

/// Where an integer lies in a value, and its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) at: usize,
    pub(crate) form: IntegerType,
}

/// The encoding of a little-endian integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntegerType {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
}

impl IntegerType {
    pub(crate) fn unsigned(size: usize) -> Self {
        match size {
            1 => IntegerType::U8,
            2 => IntegerType::U16,
            4 => IntegerType::U32,
            _ => IntegerType::U64,
        }
    }

    pub(crate) fn is_signed(self) -> bool {
        self.cell_kind() == CellKind::I64
    }

    /// The kind of a cell that holds such a number.
    pub(crate) fn cell_kind(self) -> CellKind {
        match self {
            IntegerType::U8 | IntegerType::U16 | IntegerType::U32 | IntegerType::U64 => CellKind::U64,
            IntegerType::I8 | IntegerType::I16 | IntegerType::I32 | IntegerType::I64 => CellKind::I64,
        }
    }

    fn signed(size: usize) -> Self {
        match size {
            1 => IntegerType::I8,
            2 => IntegerType::I16,
            4 => IntegerType::I32,
            _ => IntegerType::I64,
        }
    }
}

impl From<Number> for Reading {
    fn from(number: Number) -> Self {
        let form = match number.encoding {
            Encoding::Unsigned => IntegerType::unsigned(number.size),
            Encoding::Signed => IntegerType::signed(number.size),
        };
        Reading { at: number.offset, form }
    }
}

impl Reading {
    /// Reads the number; signed ones are sign-extended to 64 bits.
    #[inline]
    pub(crate) fn of(self, value: &[u8]) -> u64 {
        let at = self.at;
        match self.form {
            IntegerType::U64 | IntegerType::I64 => u64::from_le_bytes(bytes(value, at)),
            IntegerType::U32 => u64::from(u32::from_le_bytes(bytes(value, at))),
            IntegerType::U16 => u64::from(u16::from_le_bytes(bytes(value, at))),
            IntegerType::U8 => u64::from(value[at]),
            IntegerType::I32 => i64::from(i32::from_le_bytes(bytes(value, at))) as u64,
            IntegerType::I16 => i64::from(i16::from_le_bytes(bytes(value, at))) as u64,
            IntegerType::I8 => i64::from(value[at] as i8) as u64,
        }
    }
}

/// `N` bytes at `at`. The schema guarantees that they are in range.
#[inline]
pub(crate) fn bytes<const N: usize>(value: &[u8], at: usize) -> [u8; N] {
    *value[at..].first_chunk().expect("the schema keeps numbers inside their values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_size_and_sign_are_read() {
        let value = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        for (size, unsigned) in [(1, 0xfe), (2, 0xfffe), (4, 0xffff_fffe), (8, u64::MAX - 1)] {
            let number = |encoding| Reading::from(Number { offset: 0, size, encoding });
            assert_eq!(number(Encoding::Unsigned).of(&value), unsigned);
            assert_eq!(number(Encoding::Signed).of(&value) as i64, -2);
        }
    }
}
