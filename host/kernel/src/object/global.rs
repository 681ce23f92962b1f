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
