//! A reader for the part of BTF that aya does not expose: the types of globals.
//!
//! It reads type records in place and changes nothing. It accepts any bytes: BTF that does not parse has no types.
//! Format: <https://docs.kernel.org/bpf/btf.html>.

use std::collections::HashMap;

use super::global::GlobalType;

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
    /// The offset of each type's record in `types`; the first has the type id 1.
    offsets: Vec<u32>,
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
    /// Indexes the type records; `None`: the bytes are no little-endian BTF.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let Parts { types, strings } = parts(data)?;
        let mut offsets = Vec::new();
        let mut at = 0;
        while at < types.len() {
            offsets.push(u32::try_from(at).ok()?);
            at = at.checked_add(record_len(word(types, at + 4)?)?)?;
        }
        Some(Self { types, strings, offsets })
    }

    /// The types of all globals, by name; `None`: of a type that plugin.yaml cannot set.
    pub(super) fn globals(&self) -> HashMap<String, Option<GlobalType>> {
        (1..=self.offsets.len() as u32)
            .filter_map(|id| self.get(id))
            .filter(|found| found.kind() == KIND_VAR)
            .filter_map(|var| Some((self.name(var.name)?.to_owned(), self.global_type(var.size_or_type))))
            .collect()
    }

    fn global_type(&self, id: u32) -> Option<GlobalType> {
        let mut found = self.get(id)?;
        // A chain of qualifiers is short; a loop in damaged BTF is not followed for ever.
        for _ in 0..16 {
            match found.kind() {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST => found = self.get(found.size_or_type)?,
                KIND_ENUM | KIND_INT if !matches!(found.size_or_type, 1 | 2 | 4 | 8) => return None,
                KIND_ENUM => return Some(GlobalType::Unsigned { size: found.size_or_type as usize }),
                KIND_INT => {
                    let encoding = word(found.rest, 0)? >> 24;
                    let size = found.size_or_type as usize;
                    return match encoding {
                        INT_BOOL => Some(GlobalType::Bool),
                        INT_SIGNED => Some(GlobalType::Signed { size }),
                        _ => Some(GlobalType::Unsigned { size }),
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

/// The two sections of BTF data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    /// Type records.
    pub(super) types: &'a [u8],
    /// Strings that end in a zero byte; records refer to them by offset.
    pub(super) strings: &'a [u8],
}

/// Splits little-endian BTF into type records and strings.
pub(super) fn parts(data: &[u8]) -> Option<Parts<'_>> {
    if u16::from_le_bytes(data.get(..2)?.try_into().ok()?) != MAGIC {
        return None;
    }
    let header_len = word(data, 4)? as usize;
    let section = |offset: usize, length: usize| {
        let start = header_len.checked_add(word(data, offset)? as usize)?;
        data.get(start..start.checked_add(word(data, length)? as usize)?)
    };
    Some(Parts { types: section(8, 12)?, strings: section(16, 20)? })
}

/// The little-endian `u32` at an offset.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Bytes of a type record, by its `info` word; `None`: of an unknown kind.
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
        assert_eq!(globals["targ_queued"], Some(GlobalType::Bool));
        assert_eq!(globals["targ_banks"], Some(GlobalType::Unsigned { size: 4 }));
        assert_eq!(globals["banks"], None, "a map is no number");
    }

    #[test]
    fn an_enum_of_a_hundred_bytes_is_no_type_for_a_number() {
        let mut data = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        let records = [1u32, KIND_ENUM << 24, 100, 1, KIND_VAR << 24, 1, 0];
        let length = records.len() as u32 * 4;
        data.extend([0, length, length, 3].iter().flat_map(|word| word.to_le_bytes()));
        data.extend(records.iter().flat_map(|word| word.to_le_bytes()));
        data.extend(b"\0g\0");
        assert_eq!(Btf::parse(&data).unwrap().globals()["g"], None);
    }

    #[test]
    fn damaged_bytes_do_not_panic() {
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
