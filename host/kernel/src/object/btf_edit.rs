//! An editor for an object's own types (`.BTF`), which turns externs into definitions.
//!
//! The kernel refuses BTF with externs. So a configuration value becomes a constant of the object, and a kernel symbol, which the
//! instructions no longer refer to, becomes a number that nobody reads. Records keep their lengths and type ids.

use super::btf::{
    INT_BOOL, KIND_ARRAY, KIND_CONST, KIND_DATASEC, KIND_ENUM, KIND_INT, KIND_STRUCT, KIND_TYPEDEF, KIND_VAR,
    KIND_VOLATILE, MAGIC, Parts, parts, record_len, word,
};
use ebhost_limits::EXTERN_TEXT_BYTES;

const KIND_FUNC: u32 = 12;
const LINKAGE_GLOBAL: u32 = 1;
const LINKAGE_EXTERN: u32 = 2;
const HEADER: usize = 24;

/// The types of an object that are being edited.
#[derive(Debug)]
pub(crate) struct BtfEditor {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// The offset of each type's record in `types`; the first has the type id 1.
    offsets: Vec<usize>,
}

/// A variable or function of a section (`BTF_KIND_DATASEC`).
#[derive(Debug, Clone)]
pub(crate) struct SectionMember {
    pub(crate) name: String,
    /// Its type id.
    pub(crate) id: u32,
    pub(crate) is_function: bool,
}

/// The type of a configuration value (an extern in `.kconfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExternType {
    Bool,
    /// A character: `y`, `n` or `m`.
    Char,
    /// `enum libbpf_tristate`.
    Tristate,
    Number {
        size: usize,
    },
    Text {
        size: usize,
    },
}

impl ExternType {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Bool | Self::Char => 1,
            Self::Tristate => 4,
            Self::Number { size } | Self::Text { size } => size,
        }
    }

    pub(crate) fn alignment(self) -> usize {
        match self {
            Self::Text { .. } => 1,
            other => other.size(),
        }
    }
}

impl BtfEditor {
    /// Indexes the type records; `None`: the bytes are no little-endian BTF.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let Parts { types, strings } = parts(data)?;
        let (mut offsets, mut at) = (Vec::new(), 0);
        while at < types.len() {
            offsets.push(at);
            at = at.checked_add(record_len(word(types, at + 4)?)?)?;
        }
        (at == types.len()).then(|| Self { types: types.to_vec(), strings: strings.to_vec(), offsets })
    }

    /// The edited BTF.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend([1, 0]);
        for number in [HEADER as u32, 0, types, types, strings] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.types);
        bytes.extend_from_slice(&self.strings);
        bytes
    }

    /// The string at an offset.
    pub(crate) fn text(&self, offset: u32) -> Option<&str> {
        let bytes = self.strings.get(offset as usize..)?;
        std::str::from_utf8(&bytes[..bytes.iter().position(|byte| *byte == 0)?]).ok()
    }

    /// Adds a string and returns its offset.
    pub(crate) fn add_text(&mut self, text: &str) -> u32 {
        let offset = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        offset
    }

    /// The name of a type.
    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.text(word(&self.types, self.at(id)?)?)
    }

    /// The type id of a section, and its members.
    pub(crate) fn section(&self, name: &str) -> Option<(u32, Vec<SectionMember>)> {
        let id = (1..=self.offsets.len() as u32)
            .find(|id| self.kind(*id) == Some(KIND_DATASEC) && self.name(*id) == Some(name))?;
        let at = self.at(id)?;
        let count = word(&self.types, at + 4)? & 0xffff;
        let member = |index: u32| {
            let id = word(&self.types, at + 12 + index as usize * 12)?;
            Some(SectionMember { name: self.name(id)?.to_owned(), id, is_function: self.kind(id) == Some(KIND_FUNC) })
        };
        Some((id, (0..count).map(member).collect::<Option<_>>()?))
    }

    /// The type of a variable of `.kconfig`; `None`: of a type that no configuration value has.
    pub(crate) fn extern_type(&self, variable: u32) -> Option<ExternType> {
        let at = self.resolve(word(&self.types, self.at(variable)? + 8)?)?;
        let size = word(&self.types, at + 8)? as usize;
        match self.kind_at(at)? {
            KIND_ENUM => Some(ExternType::Tristate).filter(|_| size == 4),
            KIND_INT if word(&self.types, at + 12)? >> 24 == INT_BOOL => Some(ExternType::Bool).filter(|_| size == 1),
            KIND_INT if size == 1 => Some(ExternType::Char),
            KIND_INT if matches!(size, 2 | 4 | 8) => Some(ExternType::Number { size }),
            KIND_ARRAY => {
                let size = word(&self.types, at + 20)? as usize;
                (size <= EXTERN_TEXT_BYTES).then_some(ExternType::Text { size })
            }
            _ => None,
        }
    }

    /// Whether a variable has a type: of a `void` one only the address is used.
    pub(crate) fn is_typed(&self, variable: u32) -> bool {
        let type_id = self.at(variable).and_then(|at| word(&self.types, at + 8));
        type_id.is_some_and(|id| self.resolve(id).is_some())
    }

    /// Turns a section of externs into one that the object defines. `spans`: offset and size of each of its variables.
    pub(crate) fn define(&mut self, section: u32, name: &str, spans: &[(u32, u32)]) -> Option<()> {
        let name = self.add_text(name);
        let at = self.at(section)?;
        let end = spans.iter().map(|(offset, size)| offset + size).max().unwrap_or(0);
        self.put(at, name)?;
        self.put(at + 8, end)?;
        for (index, (offset, size)) in spans.iter().enumerate() {
            let entry = at + 12 + index * 12;
            self.put(entry + 4, *offset)?;
            self.put(entry + 8, *size)?;
            let variable = self.at(word(&self.types, entry)?)?;
            self.put(variable + 12, LINKAGE_GLOBAL)?;
        }
        Some(())
    }

    /// Turns a section of kernel symbols into a struct of numbers, which the kernel accepts and nobody reads.
    pub(crate) fn neutralize(&mut self, section: u32, members: &[SectionMember]) -> Option<()> {
        let number = (1..=self.offsets.len() as u32).find(|id| {
            self.kind(*id) == Some(KIND_INT) && self.at(*id).and_then(|at| word(&self.types, at + 8)) <= Some(8)
        })?;
        let at = self.at(section)?;
        self.put(at, 0)?;
        self.put(at + 4, KIND_STRUCT << 24 | members.len() as u32)?;
        self.put(at + 8, 8)?;
        for index in 0..members.len() {
            let entry = at + 12 + index * 12;
            self.put(entry, 0)?;
            self.put(entry + 4, number)?;
            self.put(entry + 8, 0)?;
        }
        for member in members.iter().filter(|member| !member.is_function) {
            let at = self.at(member.id)?;
            self.put(at + 4, KIND_INT << 24)?;
            self.put(at + 8, 4)?;
            self.put(at + 12, 32)?;
        }
        Some(())
    }

    /// Turns kernel functions into functions that the object defines.
    pub(crate) fn define_functions(&mut self) -> Option<()> {
        for id in 1..=self.offsets.len() as u32 {
            let at = self.at(id)?;
            let info = word(&self.types, at + 4)?;
            if self.kind_at(at)? == KIND_FUNC && info & 0xffff == LINKAGE_EXTERN {
                self.put(at + 4, info & !0xffff | LINKAGE_GLOBAL)?;
            }
        }
        Some(())
    }

    fn at(&self, id: u32) -> Option<usize> {
        self.offsets.get((id as usize).checked_sub(1)?).copied()
    }

    fn kind(&self, id: u32) -> Option<u32> {
        self.kind_at(self.at(id)?)
    }

    fn kind_at(&self, at: usize) -> Option<u32> {
        Some(word(&self.types, at + 4)? >> 24 & 0x1f)
    }

    /// The record behind qualifiers and typedefs; `None` for `void`.
    fn resolve(&self, mut id: u32) -> Option<usize> {
        for _ in 0..16 {
            let at = self.at(id)?;
            match self.kind_at(at)? {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST => id = word(&self.types, at + 8)?,
                KIND_VAR | KIND_DATASEC => return None,
                _ => return Some(at),
            }
        }
        None
    }

    fn put(&mut self, at: usize, number: u32) -> Option<()> {
        self.types.get_mut(at..at.checked_add(4)?)?.copy_from_slice(&number.to_le_bytes());
        Some(())
    }
}
