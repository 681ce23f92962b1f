//! An object made fit for aya and for the running kernel, before either sees it.
//!
//! aya refuses a whole object for one section that it does not know, and knows no externs. So each program's section gets
//! a name that aya takes (what it really is stays in `ObjectFile`), configuration values become constants, and instructions
//! that name a kernel symbol get its address or number. An instruction whose symbol this kernel lacks becomes one that the
//! verifier refuses, should it ever come to it: that costs the program, not the object.

use std::collections::HashSet;

use aya_obj::btf::BtfKind;

use super::{
    btf::word,
    elf::{Elf, SHF_EXECINSTR, Section, Undefined},
    externs::{Externs, addresses},
    types::{Member, Types},
};

const CONSTANTS: &str = ".rodata.kconfig";
/// Of no flag and no register: a call of a function that no kernel has.
const NO_INSTRUCTION: [u8; 8] = [0x85, 0, 0, 0, 0x10, 0x23, 0xad, 0x0b];
const LOAD_64: u8 = 0x18;
const CALL: u8 = 0x85;
const PSEUDO_KERNEL_CALL: u8 = 2 << 4;
const PSEUDO_TYPE_ID: u8 = 3 << 4;

/// The bytes that aya is given.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) bytes: Vec<u8>,
    /// Kernel symbols that programs name and this kernel does not have.
    pub(super) unresolved: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It does not parse.
    Malformed,
    /// Configuration values that programs need and that are not known here.
    NotConfigured(Vec<String>),
}

/// Prepares an object. `externs`: none leaves externs as they are, for who only looks. `without`: numbers of sections whose
/// questions to the kernel's types are left out.
pub(super) fn prepare(
    bytes: &[u8],
    externs: Option<&mut Externs<'_>>,
    without: &HashSet<usize>,
) -> Result<Prepared, Unfit> {
    let mut elf = Elf::new(bytes);
    let sections = elf.sections().ok_or(Unfit::Malformed)?;
    let mut unresolved = Vec::new();
    let named = |name: &str| sections.iter().find(|section| section.name == name);
    let renamed: Vec<_> = sections.iter().filter(|section| is_program(section)).map(renamed).collect();
    if let Some(btf) = named(".BTF") {
        let mut types = elf.data(btf).and_then(Types::parse).ok_or(Unfit::Malformed)?;
        if let Some(externs) = externs {
            if let Some((section, members)) = types.section(".kconfig") {
                let undefined = elf.undefined(&sections).ok_or(Unfit::Malformed)?;
                configure(&mut elf, &mut types, externs, (section, &members), &undefined)?;
            }
            if let Some((section, members)) = types.section(".ksyms") {
                unresolved = link(&mut elf, &types, externs, &sections, &members).ok_or(Unfit::Malformed)?;
                types.forget(section, &members).ok_or(Unfit::Malformed)?;
            }
            types.own_functions().ok_or(Unfit::Malformed)?;
        }
        if let Some(extended) = named(".BTF.ext") {
            let data = elf.data(extended).ok_or(Unfit::Malformed)?.to_vec();
            let data = renamed_in(&data, &mut types, &sections, without).ok_or(Unfit::Malformed)?;
            elf.replace(extended.index, &data).ok_or(Unfit::Malformed)?;
        }
        elf.replace(btf.index, &types.to_bytes()).ok_or(Unfit::Malformed)?;
    }
    elf.rename(&renamed).ok_or(Unfit::Malformed)?;
    Ok(Prepared { bytes: elf.into_bytes(), unresolved })
}

fn is_program(section: &Section) -> bool {
    section.flags & SHF_EXECINSTR != 0 && !section.name.starts_with(".text")
}

/// A name that aya takes and no other section has; the last part is the section's number.
fn renamed(section: &Section) -> (usize, String) {
    (section.index, format!("kprobe/{}", section.index))
}

/// The number of the section that aya names in an error.
pub(super) fn section_number(renamed: &str) -> Option<usize> {
    renamed.strip_prefix("kprobe/")?.parse().ok()
}

/// Makes configuration values constants of the object.
fn configure(
    elf: &mut Elf,
    types: &mut Types,
    externs: &mut Externs<'_>,
    (section, members): (u32, &[Member]),
    undefined: &[Undefined],
) -> Result<(), Unfit> {
    let (mut data, mut places, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for member in members {
        let shape = types.shape(member.id).ok_or_else(|| Unfit::NotConfigured(vec![member.name.clone()]))?;
        data.resize(data.len().next_multiple_of(shape.alignment().max(1)), 0);
        let symbol = undefined.iter().find(|symbol| symbol.name == member.name);
        let value = externs.configured(&member.name, shape);
        if value.is_none() && !symbol.is_some_and(|symbol| symbol.is_weak) {
            missing.push(member.name.clone());
        }
        places.push((data.len() as u32, shape.size() as u32));
        data.extend(value.unwrap_or_else(|| vec![0; shape.size()]));
    }
    if !missing.is_empty() {
        return Err(Unfit::NotConfigured(missing));
    }
    let added = elf.add(CONSTANTS, &data).ok_or(Unfit::Malformed)?;
    for (member, (place, size)) in members.iter().zip(&places) {
        if let Some(symbol) = undefined.iter().find(|symbol| symbol.name == member.name) {
            elf.define(symbol, added, u64::from(*place), u64::from(*size)).ok_or(Unfit::Malformed)?;
        }
    }
    types.define(section, CONSTANTS, &places).ok_or(Unfit::Malformed)
}

/// What stands for a kernel symbol in the instructions.
#[derive(Debug, Clone, Copy)]
enum Target {
    Address(u64),
    TypeId(u32),
    Absent,
}

/// Writes kernel symbols into the instructions that name them, and gives those that this kernel lacks.
fn link(
    elf: &mut Elf,
    types: &Types,
    externs: &Externs<'_>,
    sections: &[Section],
    members: &[Member],
) -> Option<Vec<String>> {
    let undefined = elf.undefined(sections)?;
    let is_untyped = |member: &&Member| !member.is_function && !types.is_typed(member.id);
    let untyped: Vec<_> = members.iter().filter(is_untyped).map(|member| member.name.as_str()).collect();
    let addresses = if untyped.is_empty() { Default::default() } else { addresses(&untyped) };
    let mut unresolved = Vec::new();
    for member in members {
        let Some(symbol) = undefined.iter().find(|symbol| symbol.name == member.name) else { continue };
        let kind = if member.is_function { BtfKind::Func } else { BtfKind::Var };
        let target = if untyped.contains(&member.name.as_str()) {
            addresses.get(&member.name).map(|address| Target::Address(*address))
        } else {
            externs.type_id(&member.name, kind).map(Target::TypeId)
        };
        if target.is_none() && !symbol.is_weak {
            unresolved.push(member.name.clone());
        }
        // One that may be absent is compared with 0 before it is used.
        let target = target.unwrap_or(if symbol.is_weak { Target::Address(0) } else { Target::Absent });
        for place in elf.relocations(sections)?.into_iter().filter(|place| place.symbol == symbol.index) {
            patch(elf, place.at, target)?;
        }
    }
    Some(unresolved)
}

fn patch(elf: &mut Elf, at: usize, target: Target) -> Option<()> {
    let first = elf.instruction(at)?;
    let code = first[0];
    match (code, target) {
        (CALL, Target::TypeId(id)) => *first = instruction(CALL, PSEUDO_KERNEL_CALL, id),
        (LOAD_64, Target::TypeId(id)) => {
            *first = instruction(LOAD_64, first[1] & 0x0f | PSEUDO_TYPE_ID, id);
            *elf.instruction(at + 8)? = [0; 8];
        }
        (LOAD_64, Target::Address(address)) => {
            *first = instruction(LOAD_64, first[1] & 0x0f, address as u32);
            *elf.instruction(at + 8)? = instruction(0, 0, (address >> 32) as u32);
        }
        (LOAD_64, Target::Absent) => {
            *first = NO_INSTRUCTION;
            *elf.instruction(at + 8)? = NO_INSTRUCTION;
        }
        _ => *first = NO_INSTRUCTION,
    }
    Some(())
}

fn instruction(code: u8, registers: u8, number: u32) -> [u8; 8] {
    let number = number.to_le_bytes();
    [code, registers, 0, 0, number[0], number[1], number[2], number[3]]
}

/// `.BTF.ext` with the sections' new names, and without the questions that are left out.
fn renamed_in(data: &[u8], types: &mut Types, sections: &[Section], without: &HashSet<usize>) -> Option<Vec<u8>> {
    const CORE_OFFSET: usize = 24;
    const CORE_LENGTH: usize = 28;
    let mut data = data.to_vec();
    let header = word(&data, 4)? as usize;
    let part = |data: &[u8], offset: usize| {
        let start = header.checked_add(word(data, offset)? as usize)?;
        Some((start, start.checked_add(word(data, offset + 4)? as usize)?))
    };
    for offset in [8, 16] {
        let (start, end) = part(&data, offset)?;
        for (at, _) in blocks(&data, start, end)? {
            let name = new_name(types, sections, word(&data, at)?)?;
            data.get_mut(at..at + 4)?.copy_from_slice(&name.1.to_le_bytes());
        }
    }
    if header < CORE_LENGTH + 4 {
        return Some(data);
    }
    let (start, end) = part(&data, CORE_OFFSET)?;
    if start == end {
        return Some(data);
    }
    let size = Some(word(&data, start)? as usize).filter(|size| *size >= 16)?;
    let mut core = data.get(start..start + 4)?.to_vec();
    for (at, count) in blocks(&data, start, end)? {
        let (section, name) = new_name(types, sections, word(&data, at)?)?;
        let records = data.get(at + 8..at + 8 + count * size)?.chunks_exact(size);
        let asked: Vec<_> = records.filter(|record| is_asked(types, record)).collect();
        if !asked.is_empty() && !section.is_some_and(|section| without.contains(&section)) {
            core.extend(name.to_le_bytes());
            core.extend((asked.len() as u32).to_le_bytes());
            asked.iter().for_each(|record| core.extend_from_slice(record));
        }
    }
    let length = if core.len() > 4 { core.len() as u32 } else { 0 };
    // What lies behind is moved; aya finds the parts by their offsets, and this one is the last that it reads.
    let place = (data.len() - header) as u32;
    data.extend(core);
    data.get_mut(CORE_OFFSET..CORE_OFFSET + 4)?.copy_from_slice(&place.to_le_bytes());
    data.get_mut(CORE_LENGTH..CORE_LENGTH + 4)?.copy_from_slice(&length.to_le_bytes());
    Some(data)
}

/// The context of raw tracepoints is the same in every kernel, and aya finds no element in its array of none.
fn is_asked(types: &Types, record: &[u8]) -> bool {
    word(record, 4).and_then(|id| types.name(id)) != Some("bpf_raw_tracepoint_args")
}

/// Where the blocks of a part begin, and how many records each has.
fn blocks(data: &[u8], start: usize, end: usize) -> Option<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    if start == end {
        return Some(found);
    }
    let size = word(data, start)? as usize;
    let mut at = start + 4;
    while at + 8 <= end {
        let count = word(data, at + 4)? as usize;
        found.push((at, count));
        at = at.checked_add(8)?.checked_add(count.checked_mul(size)?)?;
    }
    Some(found)
}

/// The number of the section whose name is at an offset of the strings, if it has a new name, and where that is.
fn new_name(types: &mut Types, sections: &[Section], name: u32) -> Option<(Option<usize>, u32)> {
    let text = types.text(name)?;
    let section = sections.iter().find(|section| is_program(section) && section.name == text);
    Some(match section {
        Some(section) => (Some(section.index), types.add_text(&renamed(section).1)),
        None => (None, name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_externs_parses_as_before_under_names_that_aya_takes() {
        for package in ["biolatency", "llcstat"] {
            let path = format!("{}/../../plugins/{package}/{package}.bpf.o", env!("CARGO_MANIFEST_DIR"));
            let bytes = std::fs::read(path).unwrap();
            let before = aya_obj::Object::parse(&bytes).unwrap();
            let prepared = prepare(&bytes, Some(&mut Externs::new(None)), &HashSet::new()).unwrap();
            let after = aya_obj::Object::parse(&prepared.bytes).unwrap();
            let names = |object: &aya_obj::Object| {
                let mut names: Vec<_> = object.programs.keys().cloned().collect();
                names.sort();
                names
            };
            assert_eq!(names(&before), names(&after));
            assert_eq!(before.maps.len(), after.maps.len());
            assert!(prepared.unresolved.is_empty());
            for (name, program) in &after.programs {
                let of = |object: &aya_obj::Object, key| object.functions[&key].clone();
                let (was, is) = (of(&before, before.programs[name].function_key()), of(&after, program.function_key()));
                assert_eq!(was.instructions.len(), is.instructions.len(), "{name}");
                assert_eq!(was.line_info.len(), is.line_info.len(), "{name}");
                assert!(is.func_info.len() == 1, "{name}");
            }
            assert_eq!(before.has_btf_relocations(), after.has_btf_relocations());
        }
    }

    #[test]
    fn any_bytes_are_taken() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/biolatency/biolatency.bpf.o");
        let mut bytes = std::fs::read(path).unwrap();
        for at in (0..bytes.len()).step_by(97) {
            let kept = std::mem::replace(&mut bytes[at], 0xff);
            let _ = prepare(&bytes, Some(&mut Externs::new(None)), &HashSet::new());
            bytes[at] = kept;
        }
    }
}
