//! Prepares an object for aya and for the running kernel, before either sees it.
//!
//! aya refuses a whole object for one section that it does not know, and knows no externs. So each program's section gets
//! a name that aya accepts (its real name stays in [`ObjectFile`](crate::ObjectFile)), configuration values become constants, and
//! instructions that refer to a kernel symbol get its address or type id. An instruction whose symbol this kernel lacks is replaced by one
//! that the verifier refuses if a program can reach it: that costs the program, not the object.

mod btf_ext;
mod externs;
mod instruction;

use std::collections::HashSet;

use aya_obj::btf::BtfKind;

use crate::object::{BtfEditor, ElfEditor, SHF_EXECINSTR, SectionHeader, SectionMember, UndefinedSymbol};
pub(crate) use externs::{Externs, addresses, release, syscall_prefix, version_code};
pub(crate) use instruction::REFUSED_CALL_IN_LOG;
use instruction::{SymbolTarget, patch};

const CONSTANTS: &str = ".rodata.kconfig";

/// An object that aya accepts.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) bytes: Vec<u8>,
    /// Kernel symbols that programs refer to and this kernel does not have.
    pub(crate) unresolved: Vec<String>,
}

/// Why an object cannot be prepared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PrepareError {
    /// Its sections or types do not parse.
    Malformed,
    /// Configuration values that programs need and that are not known here.
    NotConfigured(Vec<String>),
}

/// Prepares an object. `externs`: `None` leaves externs as they are, for callers that only look at declarations.
/// `without_core`: indexes of sections whose CO-RE relocations are left out.
///
/// # Errors
/// See [`PrepareError`].
pub(crate) fn prepare(
    bytes: &[u8],
    externs: Option<&mut Externs<'_>>,
    without_core: &HashSet<usize>,
) -> Result<Prepared, PrepareError> {
    let mut elf = ElfEditor::new(bytes);
    let sections = elf.sections().ok_or(PrepareError::Malformed)?;
    let mut unresolved = Vec::new();
    let named = |name: &str| sections.iter().find(|section| section.name == name);
    if let Some(btf) = named(".BTF") {
        let mut types = elf.data(btf).and_then(BtfEditor::parse).ok_or(PrepareError::Malformed)?;
        if let Some(externs) = externs {
            unresolved = resolve_externs(&mut elf, &mut types, externs, &sections)?;
        }
        if let Some(extended) = named(".BTF.ext") {
            let data = elf.data(extended).ok_or(PrepareError::Malformed)?.to_vec();
            let data = btf_ext::renamed(&data, &mut types, &sections, without_core).ok_or(PrepareError::Malformed)?;
            elf.replace(extended.index, &data).ok_or(PrepareError::Malformed)?;
        }
        elf.replace(btf.index, &types.to_bytes()).ok_or(PrepareError::Malformed)?;
    }
    let names: Vec<_> = sections.iter().filter(|section| is_program(section)).map(aya_name).collect();
    elf.rename(&names).ok_or(PrepareError::Malformed)?;
    Ok(Prepared { bytes: elf.into_bytes(), unresolved })
}

fn is_program(section: &SectionHeader) -> bool {
    section.flags & SHF_EXECINSTR != 0 && !section.name.starts_with(".text")
}

/// A section's index, and a name that aya accepts and no other section has: it ends in the index.
fn aya_name(section: &SectionHeader) -> (usize, String) {
    (section.index, format!("kprobe/{}", section.index))
}

/// The index of the section that aya names in an error.
pub(crate) fn section_index(aya_name: &str) -> Option<usize> {
    aya_name.strip_prefix("kprobe/")?.parse().ok()
}

/// Replaces configuration values and kernel symbols by what this kernel has. Returns the symbols that it lacks.
fn resolve_externs(
    elf: &mut ElfEditor,
    types: &mut BtfEditor,
    externs: &mut Externs<'_>,
    sections: &[SectionHeader],
) -> Result<Vec<String>, PrepareError> {
    let mut unresolved = Vec::new();
    if let Some((section, members)) = types.section(".kconfig") {
        let undefined = elf.undefined(sections).ok_or(PrepareError::Malformed)?;
        let constants = Constants::collect(types, externs, &members, &undefined)?;
        constants.define(elf, types, section, &members, &undefined).ok_or(PrepareError::Malformed)?;
    }
    if let Some((section, members)) = types.section(".ksyms") {
        unresolved = resolve_symbols(elf, types, externs, sections, &members).ok_or(PrepareError::Malformed)?;
        types.neutralize(section, &members).ok_or(PrepareError::Malformed)?;
    }
    types.define_functions().ok_or(PrepareError::Malformed)?;
    Ok(unresolved)
}

/// Configuration values as a section of constants.
#[derive(Debug, Default)]
struct Constants {
    data: Vec<u8>,
    /// Offset and size of each value in `data`.
    spans: Vec<(u32, u32)>,
}

impl Constants {
    fn collect(
        types: &BtfEditor,
        externs: &mut Externs<'_>,
        members: &[SectionMember],
        undefined: &[UndefinedSymbol],
    ) -> Result<Self, PrepareError> {
        let (mut constants, mut missing) = (Self::default(), Vec::new());
        for member in members {
            let extern_type = types.extern_type(member.id);
            let extern_type = extern_type.ok_or_else(|| PrepareError::NotConfigured(vec![member.name.clone()]))?;
            let value = externs.configured(&member.name, extern_type);
            let is_weak = undefined.iter().any(|symbol| symbol.name == member.name && symbol.is_weak);
            if value.is_none() && !is_weak {
                missing.push(member.name.clone());
            }
            constants.push(value.unwrap_or_else(|| vec![0; extern_type.size()]), extern_type.alignment());
        }
        if missing.is_empty() { Ok(constants) } else { Err(PrepareError::NotConfigured(missing)) }
    }

    fn push(&mut self, value: Vec<u8>, alignment: usize) {
        self.data.resize(self.data.len().next_multiple_of(alignment.max(1)), 0);
        self.spans.push((self.data.len() as u32, value.len() as u32));
        self.data.extend(value);
    }

    fn define(
        &self,
        elf: &mut ElfEditor,
        types: &mut BtfEditor,
        section: u32,
        members: &[SectionMember],
        undefined: &[UndefinedSymbol],
    ) -> Option<()> {
        let added = elf.add(CONSTANTS, &self.data)?;
        for (member, (offset, size)) in members.iter().zip(&self.spans) {
            if let Some(symbol) = undefined.iter().find(|symbol| symbol.name == member.name) {
                elf.define(symbol, added, u64::from(*offset), u64::from(*size))?;
            }
        }
        types.define(section, CONSTANTS, &self.spans)
    }
}

/// Writes kernel symbols into the instructions that refer to them. Returns the symbols that this kernel lacks.
fn resolve_symbols(
    elf: &mut ElfEditor,
    types: &BtfEditor,
    externs: &Externs<'_>,
    sections: &[SectionHeader],
    members: &[SectionMember],
) -> Option<Vec<String>> {
    let undefined = elf.undefined(sections)?;
    let is_untyped = |member: &&SectionMember| !member.is_function && !types.is_typed(member.id);
    let untyped: Vec<_> = members.iter().filter(is_untyped).map(|member| member.name.as_str()).collect();
    let addresses = if untyped.is_empty() { Default::default() } else { addresses(&untyped) };
    let mut unresolved = Vec::new();
    for member in members {
        let Some(symbol) = undefined.iter().find(|symbol| symbol.name == member.name) else { continue };
        let kind = if member.is_function { BtfKind::Func } else { BtfKind::Var };
        let target = if untyped.contains(&member.name.as_str()) {
            addresses.get(&member.name).map(|address| SymbolTarget::Address(*address))
        } else {
            externs.type_id(&member.name, kind).map(SymbolTarget::TypeId)
        };
        if target.is_none() && !symbol.is_weak {
            unresolved.push(member.name.clone());
        }
        // A program compares a weak symbol with 0 before it uses it.
        let target = target.unwrap_or(if symbol.is_weak { SymbolTarget::Address(0) } else { SymbolTarget::Absent });
        for relocation in elf.relocations(sections)?.into_iter().filter(|found| found.symbol == symbol.index) {
            patch(elf, relocation.at, target)?;
        }
    }
    Some(unresolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_externs_parses_as_before_under_names_that_aya_accepts() {
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
    fn damaged_objects_do_not_panic() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/biolatency/biolatency.bpf.o");
        let mut bytes = std::fs::read(path).unwrap();
        for at in (0..bytes.len()).step_by(97) {
            let kept = std::mem::replace(&mut bytes[at], 0xff);
            let _ = prepare(&bytes, Some(&mut Externs::new(None)), &HashSet::new());
            bytes[at] = kept;
        }
    }
}
