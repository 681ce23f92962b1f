//! Keys: which widths a table takes, and the numbers that keys are made of.

use std::fmt;

/// The widths, in bytes, of the identity fields that a table takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyWidths {
    /// One of these.
    OneOf(&'static [usize]),
    /// One or more items of this width each.
    ListOf(usize),
}

impl KeyWidths {
    pub(crate) fn contain(self, bytes: usize) -> bool {
        match self {
            Self::OneOf(widths) => widths.contains(&bytes),
            Self::ListOf(width) => bytes >= width && bytes.is_multiple_of(width),
        }
    }
}

/// `4 bytes`, `4 or 8 bytes`, `8 bytes each`.
impl fmt::Display for KeyWidths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf([]) => f.write_str("none"),
            Self::OneOf([only]) => write!(f, "{only} bytes"),
            Self::OneOf([first @ .., last]) => {
                let first: Vec<_> = first.iter().map(usize::to_string).collect();
                write!(f, "{} or {last} bytes", first.join(", "))
            }
            Self::ListOf(width) => write!(f, "{width} bytes each"),
        }
    }
}

/// A little-endian number of 1, 2, 4 or 8 bytes.
pub(crate) fn number(key: &[u8]) -> Option<u64> {
    match key.len() {
        1 => Some(u64::from(key[0])),
        2 => Some(u64::from(u16::from_le_bytes(key.try_into().ok()?))),
        4 => Some(u64::from(u32::from_le_bytes(key.try_into().ok()?))),
        8 => Some(u64::from_le_bytes(key.try_into().ok()?)),
        _ => None,
    }
}

/// Addresses of 8 bytes each, up to the first 0.
pub(crate) fn addresses(key: &[u8]) -> impl Iterator<Item = u64> {
    let addresses = key.chunks_exact(8).map(|address| u64::from_le_bytes(std::array::from_fn(|i| address[i])));
    addresses.take_while(|address| *address != 0)
}
