//! Integers in a value's bytes.

use super::schema::Number;
use ebhost_metrics::CellKind;

/// Where an integer lies and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) at: usize,
    pub(super) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
}

impl Form {
    pub(super) fn unsigned(size: usize) -> Self {
        match size {
            1 => Form::U8,
            2 => Form::U16,
            4 => Form::U32,
            _ => Form::U64,
        }
    }

    pub(super) fn cell_kind(self) -> CellKind {
        match self {
            Form::U8 | Form::U16 | Form::U32 | Form::U64 => CellKind::U64,
            Form::I8 | Form::I16 | Form::I32 | Form::I64 => CellKind::I64,
        }
    }

    fn signed(size: usize) -> Self {
        match size {
            1 => Form::I8,
            2 => Form::I16,
            4 => Form::I32,
            _ => Form::I64,
        }
    }
}

impl From<Number> for Reading {
    fn from(number: Number) -> Self {
        let form = if number.is_signed { Form::signed(number.size) } else { Form::unsigned(number.size) };
        Reading { at: number.offset, form }
    }
}

impl Reading {
    /// The number, signed ones extended to 64 bits.
    #[inline]
    pub(super) fn of(self, value: &[u8]) -> u64 {
        let at = self.at;
        match self.form {
            Form::U64 | Form::I64 => u64::from_le_bytes(bytes(value, at)),
            Form::U32 => u64::from(u32::from_le_bytes(bytes(value, at))),
            Form::U16 => u64::from(u16::from_le_bytes(bytes(value, at))),
            Form::U8 => u64::from(value[at]),
            Form::I32 => i64::from(i32::from_le_bytes(bytes(value, at))) as u64,
            Form::I16 => i64::from(i16::from_le_bytes(bytes(value, at))) as u64,
            Form::I8 => i64::from(value[at] as i8) as u64,
        }
    }
}

/// `N` bytes from `at` on; the schema promises that they are there.
#[inline]
pub(super) fn bytes<const N: usize>(value: &[u8], at: usize) -> [u8; N] {
    *value[at..].first_chunk().expect("the schema keeps numbers inside their values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_reads_with_its_sign() {
        let value = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        for (size, unsigned) in [(1, 0xfe), (2, 0xfffe), (4, 0xffff_fffe), (8, u64::MAX - 1)] {
            let number = |is_signed| Reading::from(Number { offset: 0, size, is_signed });
            assert_eq!(number(false).of(&value), unsigned);
            assert_eq!(number(true).of(&value) as i64, -2);
        }
    }
}
