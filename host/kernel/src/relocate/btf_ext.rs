//! Rewrites `.BTF.ext`, whose records name their program's section. Format: <https://docs.kernel.org/bpf/btf.html#btf-ext-section>.

use std::{collections::HashSet, ops::Range};

use super::{aya_name, is_program};
use crate::object::{BtfEditor, SectionHeader, word};

/// Offsets of `func_info_off`, `line_info_off` and `core_relo_off` in the header; the length follows each.
const FUNCTIONS: usize = 8;
const LINES: usize = 16;
const CORE: usize = 24;

/// The records of one section.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// Its offset: the section's name (an offset of the strings), the number of records, the records.
    at: usize,
    count: usize,
}

/// `.BTF.ext` with the new names of sections, and without CO-RE relocations that are left out.
pub(super) fn renamed(
    data: &[u8],
    types: &mut BtfEditor,
    sections: &[SectionHeader],
    without_core: &HashSet<usize>,
) -> Option<Vec<u8>> {
    let mut data = data.to_vec();
    let header = word(&data, 4)? as usize;
    for part in [FUNCTIONS, LINES] {
        for block in blocks(&data, range(&data, header, part)?)? {
            let (_, name) = new_name(types, sections, word(&data, block.at)?)?;
            data.get_mut(block.at..block.at + 4)?.copy_from_slice(&name.to_le_bytes());
        }
    }
    if header < CORE + 8 {
        return Some(data);
    }
    let range = range(&data, header, CORE)?;
    if range.is_empty() {
        return Some(data);
    }
    let core = core_relocations(&data, range, types, sections, without_core)?;
    let length = if core.len() > 4 { core.len() as u32 } else { 0 };
    // Appended: aya finds the parts by their offsets.
    let offset = (data.len() - header) as u32;
    data.extend(core);
    data.get_mut(CORE..CORE + 4)?.copy_from_slice(&offset.to_le_bytes());
    data.get_mut(CORE + 4..CORE + 8)?.copy_from_slice(&length.to_le_bytes());
    Some(data)
}

fn core_relocations(
    data: &[u8],
    range: Range<usize>,
    types: &mut BtfEditor,
    sections: &[SectionHeader],
    without: &HashSet<usize>,
) -> Option<Vec<u8>> {
    let size = Some(word(data, range.start)? as usize).filter(|size| *size >= 16)?;
    let mut core = data.get(range.start..range.start + 4)?.to_vec();
    for Block { at, count } in blocks(data, range)? {
        let (section, name) = new_name(types, sections, word(data, at)?)?;
        let records = data.get(at + 8..at + 8 + count * size)?.chunks_exact(size);
        let kept: Vec<_> = records.filter(|record| is_relocated(types, record)).collect();
        if !kept.is_empty() && !section.is_some_and(|section| without.contains(&section)) {
            core.extend(name.to_le_bytes());
            core.extend((kept.len() as u32).to_le_bytes());
            kept.iter().for_each(|record| core.extend_from_slice(record));
        }
    }
    Some(core)
}

/// The context of raw tracepoints has the same layout in every kernel, and aya finds no element in its array without a length.
fn is_relocated(types: &BtfEditor, record: &[u8]) -> bool {
    word(record, 4).and_then(|id| types.name(id)) != Some("bpf_raw_tracepoint_args")
}

fn range(data: &[u8], header: usize, part: usize) -> Option<Range<usize>> {
    let start = header.checked_add(word(data, part)? as usize)?;
    Some(start..start.checked_add(word(data, part + 4)? as usize)?)
}

fn blocks(data: &[u8], range: Range<usize>) -> Option<Vec<Block>> {
    let mut found = Vec::new();
    if range.is_empty() {
        return Some(found);
    }
    let size = word(data, range.start)? as usize;
    let mut at = range.start + 4;
    while at + 8 <= range.end {
        let count = word(data, at + 4)? as usize;
        found.push(Block { at, count });
        at = at.checked_add(8)?.checked_add(count.checked_mul(size)?)?;
    }
    Some(found)
}

/// The index of the section whose name is at an offset of the strings, if it is a program's, and the offset of its new name.
fn new_name(types: &mut BtfEditor, sections: &[SectionHeader], name: u32) -> Option<(Option<usize>, u32)> {
    let text = types.text(name)?;
    let section = sections.iter().find(|section| is_program(section) && section.name == text);
    Some(match section {
        Some(section) => (Some(section.index), types.add_text(&aya_name(section).1)),
        None => (None, name),
    })
}
