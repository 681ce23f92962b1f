//! BTF: the kernel's or an object's types, read in place.
//!
//! A [`Btf`] is the bytes and an index of where each record begins; nothing is copied out of them, so the 150 000 types of a kernel are ready in a
//! few milliseconds. It takes any bytes: a record that does not parse ends the parse with an error, a reference that leads nowhere reads as
//! nothing. Types of a kernel module continue those of the kernel (*split* BTF): numbers and strings below the base's end are the base's.
//!
//! Format: [btf.rst](https://docs.kernel.org/bpf/btf.html).

use std::{fmt, sync::Arc};

use crate::bytes::{put_u32, text_at, u16_at, u32_at};

/// The first two bytes, in the file's own byte order.
const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
/// Longer chains of typedefs and qualifiers than any compiler writes; a loop in hostile types ends here.
const LONGEST_CHAIN: usize = 64;

/// `BTF_KIND_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Void = 0,
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    DataSec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

impl Kind {
    const ALL: [Self; 20] = [
        Self::Void,
        Self::Int,
        Self::Ptr,
        Self::Array,
        Self::Struct,
        Self::Union,
        Self::Enum,
        Self::Fwd,
        Self::Typedef,
        Self::Volatile,
        Self::Const,
        Self::Restrict,
        Self::Func,
        Self::FuncProto,
        Self::Var,
        Self::DataSec,
        Self::Float,
        Self::DeclTag,
        Self::TypeTag,
        Self::Enum64,
    ];

    fn of_info(info: u32) -> Option<Self> {
        Self::ALL.get((info >> 24 & 0x1f) as usize).copied()
    }

    pub fn is_composite(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    pub fn is_any_enum(self) -> bool {
        matches!(self, Self::Enum | Self::Enum64)
    }

    /// A typedef or a qualifier: it stands for the type that it refers to.
    pub fn is_modifier(self) -> bool {
        matches!(self, Self::Typedef | Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag)
    }

    /// Bytes of a record behind its first 12.
    fn tail(self, info: u32) -> usize {
        let count = (info & 0xffff) as usize;
        match self {
            Self::Int | Self::Var | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::DataSec | Self::Enum64 => count * 12,
            Self::Enum | Self::FuncProto => count * 8,
            _ => 0,
        }
    }
}

/// Linkage of functions and variables.
pub const LINKAGE_STATIC: u32 = 0;
pub const LINKAGE_GLOBAL: u32 = 1;
pub const LINKAGE_EXTERN: u32 = 2;

/// Encoding bits of integers.
pub const INT_SIGNED: u8 = 1;
pub const INT_BOOL: u8 = 4;

/// Where the bytes are kept.
#[derive(Clone)]
enum Bytes {
    Owned(Vec<u8>),
    Shared(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes.as_ref().as_ref(),
        }
    }
}

/// All types of a kernel, a kernel module or an object.
#[derive(Clone)]
pub struct Btf {
    bytes: Bytes,
    types: usize,
    strings: usize,
    strings_end: usize,
    /// Where each record begins, from `types` on; the first is of the first number that is not the base's.
    offsets: Vec<u32>,
    base: Option<Arc<Btf>>,
    first: u32,
    first_string: u32,
}

impl fmt::Debug for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Btf").field("types", &self.len()).field("split", &self.base.is_some()).finish()
    }
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub struct Type<'a> {
    pub id: u32,
    pub kind: Kind,
    name: u32,
    info: u32,
    /// A size or a type's number, by kind.
    pub size_or_type: u32,
    tail: &'a [u8],
}

/// A member of a struct or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    pub name: &'a str,
    pub ty: u32,
    pub bit_offset: u32,
    /// 0: it is no bit field.
    pub bits: u32,
}

/// A value of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumerator<'a> {
    pub name: &'a str,
    pub value: i64,
}

/// A variable's place in a data section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionVar {
    pub ty: u32,
    pub offset: u32,
    pub size: u32,
}

/// Element type and number of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayType {
    pub element: u32,
    pub len: u32,
}

impl Btf {
    /// Reads the types of an object.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        Self::index(Bytes::Owned(bytes.to_vec()), None)
    }

    /// Reads the types of a kernel, or of a module on top of its kernel's, without copying them.
    pub fn shared(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>, base: Option<Arc<Self>>) -> Result<Self, String> {
        Self::index(Bytes::Shared(bytes), base)
    }

    fn index(bytes: Bytes, base: Option<Arc<Self>>) -> Result<Self, String> {
        let data = bytes.get();
        let header = |at| u32_at(data, at).ok_or("its header is cut short");
        match u16_at(data, 0) {
            Some(MAGIC) => {}
            Some(found) if found == MAGIC.swap_bytes() => return Err("it is in big-endian byte order".into()),
            _ => return Err("it does not begin like BTF".into()),
        }
        let start = header(4)? as usize;
        let part = |offset: usize, length: usize| -> Result<(usize, usize), String> {
            let from = start.checked_add(header(offset)? as usize).ok_or("its header is damaged")?;
            let to = from.checked_add(header(length)? as usize).filter(|to| *to <= data.len());
            Ok((from, to.ok_or("its header names bytes behind its end")?))
        };
        let ((types, types_end), (strings, strings_end)) = (part(8, 12)?, part(16, 20)?);
        let mut offsets = Vec::new();
        let mut at = types;
        while at < types_end {
            let info = u32_at(&data[..types_end], at + 4).ok_or("a type record is cut short")?;
            let kind = Kind::of_info(info).filter(|kind| *kind != Kind::Void);
            let kind =
                kind.ok_or_else(|| format!("type {} is of the unknown kind {}", offsets.len() + 1, info >> 24 & 0x1f))?;
            offsets.push(u32::try_from(at - types).map_err(|_| "it is larger than 4 GiB")?);
            at += 12 + kind.tail(info);
        }
        if at != types_end {
            return Err("its last type record is cut short".into());
        }
        let (first, first_string) = base
            .as_ref()
            .map_or((1, 0), |base| (base.len(), (base.strings_end - base.strings) as u32 + base.first_string));
        Ok(Self { types, strings, strings_end, offsets, base, first, first_string, bytes })
    }

    /// The bytes of the whole, as they were given or as they were changed.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get()
    }

    /// One more than the greatest number of a type; number 0 is `void`.
    #[expect(clippy::len_without_is_empty, reason = "`void` is always there")]
    pub fn len(&self) -> u32 {
        self.first + self.offsets.len() as u32
    }

    /// The first number that is not of the base.
    pub fn first_own(&self) -> u32 {
        self.first
    }

    /// Numbers of the types that are not of the base.
    pub fn own_ids(&self) -> std::ops::Range<u32> {
        self.first..self.len()
    }

    /// The record of a number; none for `void` and for numbers that no type has.
    pub fn get(&self, id: u32) -> Option<Type<'_>> {
        if id < self.first {
            return self.base.as_ref()?.get(id);
        }
        let at = self.at(id)?;
        let data = self.bytes.get();
        let info = u32_at(data, at + 4)?;
        let kind = Kind::of_info(info)?;
        Some(Type {
            id,
            kind,
            name: u32_at(data, at)?,
            info,
            size_or_type: u32_at(data, at + 8)?,
            tail: data.get(at + 12..at + 12 + kind.tail(info))?,
        })
    }

    /// Kind of a number; `void` for 0 and for numbers that no type has.
    pub fn kind(&self, id: u32) -> Kind {
        self.get(id).map_or(Kind::Void, |ty| ty.kind)
    }

    /// Where a record begins, from the start of the bytes.
    fn at(&self, id: u32) -> Option<usize> {
        let offset = self.offsets.get(id.checked_sub(self.first)? as usize)?;
        Some(self.types + *offset as usize)
    }

    /// The text at an offset of the strings; empty where there is none.
    pub fn text(&self, offset: u32) -> &str {
        if offset < self.first_string {
            return self.base.as_ref().map_or("", |base| base.text(offset));
        }
        let strings = self.bytes.get().get(self.strings..self.strings_end).unwrap_or_default();
        text_at(strings, (offset - self.first_string) as usize).unwrap_or("")
    }

    /// A type's name; empty for an anonymous one.
    pub fn name(&self, id: u32) -> &str {
        self.get(id).map_or("", |ty| self.text(ty.name))
    }

    /// Behind typedefs and qualifiers. A chain that does not end is `void`.
    pub fn resolve(&self, mut id: u32) -> u32 {
        for _ in 0..LONGEST_CHAIN {
            match self.get(id) {
                Some(ty) if ty.kind.is_modifier() => id = ty.size_or_type,
                Some(_) => return id,
                None => return 0,
            }
        }
        0
    }

    /// The record behind typedefs and qualifiers.
    pub fn resolved(&self, id: u32) -> Option<Type<'_>> {
        self.get(self.resolve(id))
    }

    /// Bytes of a value of a type; none for functions and incomplete types.
    pub fn size(&self, id: u32) -> Option<u64> {
        let (mut id, mut times) = (id, 1u64);
        for _ in 0..LONGEST_CHAIN {
            let ty = self.get(id)?;
            match ty.kind {
                Kind::Ptr => return times.checked_mul(8),
                Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float | Kind::DataSec => {
                    return times.checked_mul(u64::from(ty.size_or_type));
                }
                Kind::Array => {
                    let array = ty.array()?;
                    times = times.checked_mul(u64::from(array.len))?;
                    id = array.element;
                }
                Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag | Kind::Var => {
                    id = ty.size_or_type;
                }
                _ => return None,
            }
        }
        None
    }

    /// Members of a struct or union, in order.
    pub fn members(&self, ty: Type<'_>) -> impl ExactSizeIterator<Item = Member<'_>> {
        let is_packed = ty.kind_flag();
        let tail = if ty.kind.is_composite() { ty.tail } else { &[] };
        let numbers: Vec<[u32; 3]> = tail.chunks_exact(12).map(three).collect();
        numbers.into_iter().map(move |[name, ty, offset]| {
            let (bit_offset, bits) = if is_packed { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) };
            Member { name: self.text(name), ty, bit_offset, bits }
        })
    }

    /// One member of a struct or union.
    pub fn member(&self, ty: Type<'_>, index: usize) -> Option<Member<'_>> {
        if !ty.kind.is_composite() {
            return None;
        }
        let [name, member, offset] = three(ty.tail.get(index.checked_mul(12)?..)?.get(..12)?);
        let (bit_offset, bits) = if ty.kind_flag() { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) };
        Some(Member { name: self.text(name), ty: member, bit_offset, bits })
    }

    /// Values of an enum of either width, in order.
    pub fn enumerators(&self, ty: Type<'_>) -> Vec<Enumerator<'_>> {
        match ty.kind {
            Kind::Enum => ty
                .tail
                .chunks_exact(8)
                .map(|entry| {
                    let (name, raw) = (u32_at(entry, 0).unwrap_or(0), u32_at(entry, 4).unwrap_or(0));
                    let value = if ty.kind_flag() { i64::from(raw as i32) } else { i64::from(raw) };
                    Enumerator { name: self.text(name), value }
                })
                .collect(),
            Kind::Enum64 => ty
                .tail
                .chunks_exact(12)
                .map(|entry| {
                    let [name, low, high] = three(entry);
                    Enumerator { name: self.text(name), value: (u64::from(high) << 32 | u64::from(low)) as i64 }
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Types of a function's parameters.
    pub fn params(&self, ty: Type<'_>) -> Vec<u32> {
        if ty.kind != Kind::FuncProto {
            return Vec::new();
        }
        ty.tail.chunks_exact(8).map(|entry| u32_at(entry, 4).unwrap_or(0)).collect()
    }

    /// Names of a function's parameters; empty where one has none.
    pub fn param_names(&self, prototype: Type<'_>) -> Vec<&str> {
        (0..self.params(prototype).len()).map(|index| self.text(self.param_name(prototype, index))).collect()
    }

    /// Offset of the name of a function's parameter; 0: it has none.
    pub(crate) fn param_name(&self, prototype: Type<'_>, index: usize) -> u32 {
        u32_at(prototype.tail, index * 8).unwrap_or(0)
    }

    /// The data section of a name.
    pub fn section(&self, name: &str) -> Option<Type<'_>> {
        self.own_ids().filter_map(|id| self.get(id)).find(|ty| ty.kind == Kind::DataSec && self.text(ty.name) == name)
    }

    /// The first type of a kind and a name that is not of the base.
    pub fn find(&self, name: &str, kind: Kind) -> Option<u32> {
        self.own_ids().find(|id| self.get(*id).is_some_and(|ty| ty.kind == kind && self.text(ty.name) == name))
    }
}

/// Changes in place. Records keep their lengths and numbers.
impl Btf {
    fn owned(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.bytes {
            Bytes::Owned(bytes) => Some(bytes),
            Bytes::Shared(_) => None,
        }
    }

    /// Writes one 32-bit number of a record: 0 its name, 4 its kind and count, 8 its size or type, 12 and on what follows.
    pub(crate) fn set(&mut self, id: u32, at: usize, number: u32) -> Option<()> {
        let at = self.at(id)?.checked_add(at)?;
        put_u32(self.owned()?, at, number)
    }

    /// Makes a record one of another kind. Its length must stay what it was.
    pub(crate) fn set_kind(&mut self, id: u32, kind: Kind, count: u32) -> Option<()> {
        self.set(id, 4, (kind as u32) << 24 | count & 0xffff)
    }

    pub(crate) fn set_linkage(&mut self, id: u32, linkage: u32) -> Option<()> {
        let ty = self.get(id)?;
        match ty.kind {
            Kind::Func => {
                let info = ty.info & !0xffff | linkage;
                self.set(id, 4, info)
            }
            Kind::Var => self.set(id, 12, linkage),
            _ => None,
        }
    }

    /// The same types with nothing before, between or behind their two parts: the form that the kernel takes.
    pub(crate) fn compact(&self) -> Option<Vec<u8>> {
        let data = self.as_bytes();
        let types_end = self.offsets.last().map_or(self.types, |last| {
            let last = self.types + *last as usize;
            let info = u32_at(data, last + 4).unwrap_or(0);
            last + 12 + Kind::of_info(info).map_or(0, |kind| kind.tail(info))
        });
        let (types, strings) = (data.get(self.types..types_end)?, data.get(self.strings..self.strings_end)?);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + types.len() + strings.len());
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend([1, 0]);
        for number in [HEADER_BYTES, 0, types.len(), types.len(), strings.len()] {
            bytes.extend(u32::try_from(number).ok()?.to_le_bytes());
        }
        bytes.extend_from_slice(types);
        bytes.extend_from_slice(strings);
        Some(bytes)
    }
}

impl Type<'_> {
    /// Offset of its name in the strings; 0: it has none.
    pub fn name_offset(&self) -> u32 {
        self.name
    }

    /// The bit beside the kind: bit fields in a struct, a signed enum, a forward declaration of a union.
    pub fn kind_flag(&self) -> bool {
        self.info >> 31 != 0
    }

    /// Members, values, parameters or variables.
    pub fn count(&self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Linkage of a function or variable.
    pub fn linkage(&self) -> u32 {
        match self.kind {
            Kind::Var => u32_at(self.tail, 0).unwrap_or(0),
            _ => self.info & 0xffff,
        }
    }

    pub fn array(&self) -> Option<ArrayType> {
        if self.kind != Kind::Array {
            return None;
        }
        Some(ArrayType { element: u32_at(self.tail, 0)?, len: u32_at(self.tail, 8)? })
    }

    /// Encoding, offset in bits and width in bits of an integer.
    pub fn int(&self) -> Option<(u8, u8, u8)> {
        if self.kind != Kind::Int {
            return None;
        }
        let number = u32_at(self.tail, 0)?;
        Some(((number >> 24 & 0x0f) as u8, (number >> 16) as u8, number as u8))
    }

    /// Variables of a data section.
    pub fn variables(&self) -> Vec<SectionVar> {
        if self.kind != Kind::DataSec {
            return Vec::new();
        }
        let variable = |entry: &[u8]| {
            let [ty, offset, size] = three(entry);
            SectionVar { ty, offset, size }
        };
        self.tail.chunks_exact(12).map(variable).collect()
    }
}

/// Three numbers of a record of 12 bytes.
fn three(entry: &[u8]) -> [u32; 3] {
    [0, 4, 8].map(|at| u32_at(entry, at).unwrap_or(0))
}
