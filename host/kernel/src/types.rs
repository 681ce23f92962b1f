//! An object's own types (`.BTF`), changed where its externs are: what the kernel is to answer becomes what the object defines.
//!
//! The kernel takes no type of an extern; so a configuration value becomes a constant of the object, and a kernel symbol,
//! which the instructions no longer name, a number that nobody reads. Records keep their lengths and numbers.

use super::btf::{
    INT_BOOL, KIND_ARRAY, KIND_CONST, KIND_DATASEC, KIND_ENUM, KIND_INT, KIND_STRUCT, KIND_TYPEDEF, KIND_VAR,
    KIND_VOLATILE, MAGIC, parts, record_len, word,
};

const KIND_FUNC: u32 = 12;
const LINKAGE_GLOBAL: u32 = 1;
const LINKAGE_EXTERN: u32 = 2;
const HEADER: usize = 24;

/// The types of an object, to be changed.
#[derive(Debug)]
pub(super) struct Types {
    types: Vec<u8>,
    strings: Vec<u8>,
    offsets: Vec<usize>,
}

/// A member of a section: a variable or a function.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) id: u32,
    pub(super) is_function: bool,
}

/// What a configuration value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Bool,
    /// A character or one of three: yes, no, module.
    Char,
    Tristate,
    Number {
        size: usize,
    },
    Text {
        size: usize,
    },
}

impl Shape {
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::Char => 1,
            Self::Tristate => 4,
            Self::Number { size } | Self::Text { size } => size,
        }
    }

    pub(super) fn alignment(self) -> usize {
        match self {
            Self::Text { .. } => 1,
            other => other.size(),
        }
    }
}

impl Types {
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let (types, strings) = parts(data)?;
        let (mut offsets, mut at) = (Vec::new(), 0);
        while at < types.len() {
            offsets.push(at);
            at = at.checked_add(record_len(word(types, at + 4)?)?)?;
        }
        (at == types.len()).then(|| Self { types: types.to_vec(), strings: strings.to_vec(), offsets })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
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

    /// The text at an offset of the strings.
    pub(super) fn text(&self, offset: u32) -> Option<&str> {
        let bytes = self.strings.get(offset as usize..)?;
        std::str::from_utf8(&bytes[..bytes.iter().position(|byte| *byte == 0)?]).ok()
    }

    pub(super) fn add_text(&mut self, text: &str) -> u32 {
        let offset = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        offset
    }

    pub(super) fn name(&self, id: u32) -> Option<&str> {
        self.text(word(&self.types, self.at(id)?)?)
    }

    /// The members of a section, and its own number.
    pub(super) fn section(&self, name: &str) -> Option<(u32, Vec<Member>)> {
        let id = (1..=self.offsets.len() as u32)
            .find(|id| self.kind(*id) == Some(KIND_DATASEC) && self.name(*id) == Some(name))?;
        let at = self.at(id)?;
        let count = word(&self.types, at + 4)? & 0xffff;
        let member = |place: u32| {
            let id = word(&self.types, at + 12 + place as usize * 12)?;
            Some(Member { name: self.name(id)?.to_owned(), id, is_function: self.kind(id) == Some(KIND_FUNC) })
        };
        Some((id, (0..count).map(member).collect::<Option<_>>()?))
    }

    /// What a variable of `.kconfig` is; none: nothing that a configuration has.
    pub(super) fn shape(&self, variable: u32) -> Option<Shape> {
        let at = self.resolve(word(&self.types, self.at(variable)? + 8)?)?;
        let size = word(&self.types, at + 8)? as usize;
        match self.kind_at(at)? {
            KIND_ENUM => Some(Shape::Tristate).filter(|_| size == 4),
            KIND_INT if word(&self.types, at + 12)? >> 24 == INT_BOOL => Some(Shape::Bool).filter(|_| size == 1),
            KIND_INT if size == 1 => Some(Shape::Char),
            KIND_INT if matches!(size, 2 | 4 | 8) => Some(Shape::Number { size }),
            KIND_ARRAY => Some(Shape::Text { size: word(&self.types, at + 20)? as usize }),
            _ => None,
        }
    }

    /// Whether a variable has a type at all; `void` ones stand for their address alone.
    pub(super) fn is_typed(&self, variable: u32) -> bool {
        let of = self.at(variable).and_then(|at| word(&self.types, at + 8));
        of.is_some_and(|id| self.resolve(id).is_some())
    }

    /// Makes a section of externs one that the object defines, its variables at these places with these sizes.
    pub(super) fn define(&mut self, section: u32, name: &str, places: &[(u32, u32)]) -> Option<()> {
        let name = self.add_text(name);
        let at = self.at(section)?;
        let end = places.iter().map(|(place, size)| place + size).max().unwrap_or(0);
        self.put(at, name)?;
        self.put(at + 8, end)?;
        for (index, (place, size)) in places.iter().enumerate() {
            let entry = at + 12 + index * 12;
            self.put(entry + 4, *place)?;
            self.put(entry + 8, *size)?;
            let variable = self.at(word(&self.types, entry)?)?;
            self.put(variable + 12, LINKAGE_GLOBAL)?;
        }
        Some(())
    }

    /// Makes a section of kernel symbols a struct of numbers, which the kernel takes and nobody reads.
    pub(super) fn forget(&mut self, section: u32, members: &[Member]) -> Option<()> {
        let number = (1..=self.offsets.len() as u32).find(|id| {
            self.kind(*id) == Some(KIND_INT) && self.at(*id).and_then(|at| word(&self.types, at + 8)) <= Some(8)
        })?;
        let at = self.at(section)?;
        self.put(at, 0)?;
        self.put(at + 4, KIND_STRUCT << 24 | members.len() as u32)?;
        self.put(at + 8, 8)?;
        for place in 0..members.len() {
            let entry = at + 12 + place * 12;
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

    /// Makes functions that the kernel has look like ones of the object.
    pub(super) fn own_functions(&mut self) -> Option<()> {
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

    /// Behind qualifiers and typedefs; none for `void`.
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
