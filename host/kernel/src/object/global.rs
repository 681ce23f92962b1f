//! The globals of an object that plugin.yaml can set: their types, and values encoded for them.

use ebhost_object::{
    Btf,
    btf::{INT_BOOL, INT_SIGNED, Kind},
};
use ebhost_package::GlobalValue;

/// The type of a global that plugin.yaml can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GlobalType {
    Bool,
    /// Of 1, 2, 4 or 8 bytes.
    Unsigned {
        size: usize,
    },
    /// Of 1, 2, 4 or 8 bytes.
    Signed {
        size: usize,
    },
}

impl GlobalType {
    /// The type of a variable; `None`: neither a number nor a bool.
    pub(crate) fn of(btf: &Btf, id: u32) -> Option<Self> {
        let ty = btf.resolved(id)?;
        let size = usize::try_from(ty.size_or_type).ok().filter(|size| matches!(size, 1 | 2 | 4 | 8))?;
        match ty.kind {
            Kind::Int => {
                let (encoding, ..) = ty.int()?;
                Some(if encoding & INT_BOOL != 0 {
                    Self::Bool
                } else if encoding & INT_SIGNED != 0 {
                    Self::Signed { size }
                } else {
                    Self::Unsigned { size }
                })
            }
            Kind::Enum | Kind::Enum64 => Some(Self::Unsigned { size }),
            _ => None,
        }
    }

    /// The bytes of a value; `None`: the type does not hold it.
    pub(crate) fn encode(self, value: &GlobalValue) -> Option<Vec<u8>> {
        let (number, size) = match (self, value) {
            (Self::Bool, GlobalValue::Bool(value)) => (i128::from(*value), 1),
            (Self::Unsigned { size } | Self::Signed { size }, GlobalValue::Unsigned(value)) => {
                (i128::from(*value), size)
            }
            (Self::Unsigned { size } | Self::Signed { size }, GlobalValue::Signed(value)) => (i128::from(*value), size),
            _ => return None,
        };
        let bits = size as u32 * 8;
        let (least, most) = match self {
            Self::Signed { .. } => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
            _ => (0, (1i128 << bits) - 1),
        };
        (least..=most).contains(&number).then(|| number.to_le_bytes()[..size].to_vec())
    }

    /// The type in words, for messages.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Bool => "a bool (true or false)".to_owned(),
            Self::Unsigned { size } => format!("an unsigned number of {size} bytes"),
            Self::Signed { size } => format!("a signed number of {size} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF of these integers, each with its size and encoding (1: signed, 4: a bool); the first has the number 1.
    fn integers(integers: &[(u32, u32)]) -> Btf {
        let types: Vec<u32> = integers
            .iter()
            // Name, kind `int` (1), size in bytes; then encoding, offset and bits.
            .flat_map(|(size, encoding)| [1, 1 << 24, *size, (encoding << 24) | (size * 8)])
            .collect();
        let (types_length, strings) = (types.len() as u32 * 4, b"\0n\0");
        let header = [types_length, types_length, strings.len() as u32];
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let words = [24, 0].iter().chain(&header).chain(&types);
        bytes.extend(words.flat_map(|word| word.to_le_bytes()));
        bytes.extend(strings);
        Btf::parse(&bytes).unwrap()
    }

    /// Whether a global is signed was never tested: -1 was refused for an `int`, or 200 taken for a `signed char`.
    #[test]
    fn a_global_is_signed_if_its_type_is() {
        let btf = integers(&[(4, 1), (4, 0), (1, 4), (1, 1), (8, 0), (16, 1), (8, 1)]);
        let of = |id| GlobalType::of(&btf, id);
        assert_eq!(of(1), Some(GlobalType::Signed { size: 4 }));
        assert_eq!(of(2), Some(GlobalType::Unsigned { size: 4 }));
        assert_eq!(of(3), Some(GlobalType::Bool));
        assert_eq!(of(4), Some(GlobalType::Signed { size: 1 }));
        assert_eq!(of(5), Some(GlobalType::Unsigned { size: 8 }));
        assert_eq!(of(6), None, "no number of plugin.yaml is so large");
        assert_eq!(of(7).and_then(|ty| ty.encode(&GlobalValue::Signed(-1))), Some(vec![255; 8]));
        assert_eq!(of(8), None, "there is no such type");
    }

    #[test]
    fn globals_take_what_their_type_holds_and_no_more() {
        let unsigned = GlobalType::Unsigned { size: 1 };
        assert_eq!(unsigned.encode(&GlobalValue::Unsigned(255)), Some(vec![255]));
        assert_eq!(unsigned.encode(&GlobalValue::Unsigned(256)), None);
        assert_eq!(unsigned.encode(&GlobalValue::Signed(-1)), None);
        assert_eq!(GlobalType::Signed { size: 2 }.encode(&GlobalValue::Signed(-2)), Some(vec![0xfe, 0xff]));
        assert_eq!(GlobalType::Signed { size: 1 }.encode(&GlobalValue::Unsigned(128)), None);
        assert_eq!(GlobalType::Unsigned { size: 8 }.encode(&GlobalValue::Unsigned(u64::MAX)), Some(vec![255; 8]));
        assert_eq!(GlobalType::Bool.encode(&GlobalValue::Bool(true)), Some(vec![1]));
        assert_eq!(GlobalType::Bool.encode(&GlobalValue::Unsigned(1)), None);
    }
}
