//! The little of BTF that aya keeps to itself: the type of a global.
//!
//! It reads type records in place, changes nothing, and takes any bytes: what does not parse has no types.
//! The format is the kernel's `Documentation/bpf/btf.rst`.

use std::collections::HashMap;

pub(super) const MAGIC: u16 = 0xeb9f;

pub(super) const KIND_INT: u32 = 1;
pub(super) const KIND_ARRAY: u32 = 3;
pub(super) const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
pub(super) const KIND_ENUM: u32 = 6;
pub(super) const KIND_TYPEDEF: u32 = 8;
pub(super) const KIND_VOLATILE: u32 = 9;
pub(super) const KIND_CONST: u32 = 10;
const KIND_FUNC_PROTO: u32 = 13;
pub(super) const KIND_VAR: u32 = 14;
pub(super) const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;

const INT_SIGNED: u32 = 1;
pub(super) const INT_BOOL: u32 = 4;

/// The types of a BPF object.
#[derive(Debug)]
pub(super) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type's record begins in `types`; type 1 is the first.
    offsets: Vec<u32>,
}

/// What a global can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    Unsigned { size: usize },
    Signed { size: usize },
}

struct Type<'a> {
    name: u32,
    info: u32,
    size_or_type: u32,
    rest: &'a [u8],
}

impl Type<'_> {
    fn kind(&self) -> u32 {
        (self.info >> 24) & 0x1f
    }
}

impl<'a> Btf<'a> {
    /// Indexes the records; none when the bytes are no little-endian BTF.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let (types, strings) = parts(data)?;
        let mut offsets = Vec::new();
        let mut at = 0;
        while at < types.len() {
            offsets.push(u32::try_from(at).ok()?);
            at = at.checked_add(record_len(word(types, at + 4)?)?)?;
        }
        Some(Self { types, strings, offsets })
    }

    /// The scalar types of all globals, by name; a global of another type is `None`.
    pub(super) fn globals(&self) -> HashMap<&'a str, Option<Scalar>> {
        (1..=self.offsets.len() as u32)
            .filter_map(|id| self.get(id))
            .filter(|found| found.kind() == KIND_VAR)
            .filter_map(|var| Some((self.name(var.name)?, self.scalar(var.size_or_type))))
            .collect()
    }

    fn scalar(&self, id: u32) -> Option<Scalar> {
        let mut found = self.get(id)?;
        // A chain of qualifiers is short; a loop in hostile BTF is not followed for ever.
        for _ in 0..16 {
            match found.kind() {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST => found = self.get(found.size_or_type)?,
                KIND_ENUM => return Some(Scalar::Unsigned { size: found.size_or_type as usize }),
                KIND_INT => {
                    let encoding = word(found.rest, 0)? >> 24;
                    let size = found.size_or_type as usize;
                    return match encoding {
                        _ if !matches!(size, 1 | 2 | 4 | 8) => None,
                        INT_BOOL => Some(Scalar::Bool),
                        INT_SIGNED => Some(Scalar::Signed { size }),
                        _ => Some(Scalar::Unsigned { size }),
                    };
                }
                _ => return None,
            }
        }
        None
    }

    fn get(&self, id: u32) -> Option<Type<'a>> {
        let at = *self.offsets.get((id as usize).checked_sub(1)?)? as usize;
        Some(Type {
            name: word(self.types, at)?,
            info: word(self.types, at + 4)?,
            size_or_type: word(self.types, at + 8)?,
            rest: self.types.get(at + 12..)?,
        })
    }

    fn name(&self, offset: u32) -> Option<&'a str> {
        let bytes = self.strings.get(offset as usize..)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&bytes[..end]).ok()
    }
}

/// The records of little-endian BTF, and the strings that they name.
pub(super) fn parts(data: &[u8]) -> Option<(&[u8], &[u8])> {
    if u16::from_le_bytes(data.get(..2)?.try_into().ok()?) != MAGIC {
        return None;
    }
    let header_len = word(data, 4)? as usize;
    let section = |offset: usize, length: usize| {
        let start = header_len.checked_add(word(data, offset)? as usize)?;
        data.get(start..start.checked_add(word(data, length)? as usize)?)
    };
    Some((section(8, 12)?, section(16, 20)?))
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(super) fn record_len(info: u32) -> Option<usize> {
    let members = (info & 0xffff) as usize;
    Some(
        12 + match (info >> 24) & 0x1f {
            KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
            KIND_ARRAY => 12,
            KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => members * 12,
            KIND_ENUM | KIND_FUNC_PROTO => members * 8,
            kind if kind <= KIND_ENUM64 => 0,
            _ => return None,
        },
    )
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSection as _};

    use super::*;

    #[test]
    fn globals_have_their_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/biolatency/biolatency.bpf.o");
        let data = std::fs::read(path).unwrap();
        let elf = object::File::parse(&*data).unwrap();
        let section = elf.section_by_name(".BTF").unwrap();
        let globals = Btf::parse(section.data().unwrap()).unwrap().globals();
        assert_eq!(globals["targ_queued"], Some(Scalar::Bool));
        assert_eq!(globals["targ_banks"], Some(Scalar::Unsigned { size: 4 }));
        assert_eq!(globals["banks"], None, "a map is no scalar");
    }

    #[test]
    fn any_bytes_are_taken() {
        assert!(Btf::parse(b"").is_none());
        assert!(Btf::parse(&[0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]).is_none());
        let mut cut = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        for word in [0u32, 12, 12, 1, 1, KIND_STRUCT << 24 | 0xffff, 0] {
            cut.extend(word.to_le_bytes());
        }
        cut.push(0);
        let btf = Btf::parse(&cut).expect("a record that promises more than there is ends the walk");
        assert!(btf.globals().is_empty());
    }
}
