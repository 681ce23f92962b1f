//! `.BTF.ext`: function and line information, and CO-RE relocation records, by section.

use std::collections::HashMap;

use crate::{
    btf::Btf,
    bytes::{range, u16_at, u32_at},
};

/// Records of one kind, by the name of the section that they are about. Offsets are in bytes from that section's start.
pub(crate) type BySection<T> = HashMap<String, Vec<T>>;

/// All records of an object.
#[derive(Debug, Default)]
pub(crate) struct BtfExt {
    pub(crate) functions: BySection<FuncInfo>,
    pub(crate) lines: BySection<LineInfo>,
    pub(crate) core: BySection<CoreRecord>,
}

/// A function begins at an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FuncInfo {
    pub(crate) offset: u32,
    pub(crate) type_id: u32,
}

/// The source line of an instruction; the numbers are those of the kernel's `struct bpf_line_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineInfo {
    pub(crate) offset: u32,
    pub(crate) file: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// An instruction that depends on the kernel's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreRecord {
    /// Offset of the instruction, in bytes from its section's start.
    pub offset: u32,
    /// The object's own type that the access begins at.
    pub type_id: u32,
    /// Offset of the access string.
    pub access: u32,
    /// `enum bpf_core_relo_kind`.
    pub kind: u32,
}

impl BtfExt {
    /// Reads the records; names of sections are texts of `btf`.
    pub(crate) fn parse(data: &[u8], btf: &Btf) -> Result<Self, String> {
        if u16_at(data, 0) != Some(0xeb9f) {
            return Err("`.BTF.ext` does not begin as it should".into());
        }
        let header = u32_at(data, 4).ok_or("`.BTF.ext` is cut short")? as usize;
        let part = |at: usize| -> Result<&[u8], String> {
            // Older compilers write a shorter header, without the last parts.
            if at + 8 > header {
                return Ok(&[]);
            }
            let (offset, length) = u32_at(data, at).zip(u32_at(data, at + 4)).ok_or("`.BTF.ext` is cut short")?;
            let start = header.checked_add(offset as usize).ok_or("`.BTF.ext` is damaged")?;
            range(data, start, length as usize).ok_or_else(|| "`.BTF.ext` names bytes behind its end".into())
        };
        Ok(Self {
            functions: records(part(8)?, btf, |record| {
                Some(FuncInfo { offset: u32_at(record, 0)?, type_id: u32_at(record, 4)? })
            })?,
            lines: records(part(16)?, btf, |record| {
                Some(LineInfo {
                    offset: u32_at(record, 0)?,
                    file: u32_at(record, 4)?,
                    line: u32_at(record, 8)?,
                    column: u32_at(record, 12)?,
                })
            })?,
            core: records(part(24)?, btf, |record| {
                Some(CoreRecord {
                    offset: u32_at(record, 0)?,
                    type_id: u32_at(record, 4)?,
                    access: u32_at(record, 8)?,
                    kind: u32_at(record, 12)?,
                })
            })?,
        })
    }
}

fn records<T>(part: &[u8], btf: &Btf, read: impl Fn(&[u8]) -> Option<T>) -> Result<BySection<T>, String> {
    let mut found = BySection::<T>::new();
    if part.is_empty() {
        return Ok(found);
    }
    let damaged = || "a record of `.BTF.ext` is cut short".to_owned();
    let size = u32_at(part, 0).ok_or_else(damaged)? as usize;
    let mut rest = &part[4..];
    while !rest.is_empty() {
        let (name, count) = u32_at(rest, 0).zip(u32_at(rest, 4)).ok_or_else(damaged)?;
        let bytes = size.checked_mul(count as usize).filter(|_| size > 0).ok_or_else(damaged)?;
        let block = range(rest, 8, bytes).ok_or_else(damaged)?;
        let records = found.entry(btf.text(name).to_owned()).or_default();
        records.reserve_exact(count as usize);
        for record in block.chunks_exact(size) {
            records.push(read(record).ok_or_else(damaged)?);
        }
        rest = &rest[8 + bytes..];
    }
    Ok(found)
}
