//! A BPF object as a file: its programs, maps and globals, checked before the kernel sees it.
//!
//! It asks nothing of the kernel, so `ebhost check` needs no privilege; what only the kernel can judge (the verifier, a
//! tracepoint that this kernel lacks) is judged in [`crate::load()`].
//!
//! [`parse`] is the one place where foreign bytes become an object. Fix-ups that libbpf makes to an object before it loads it (hidden
//! functions, datasec sizes, initial values of maps of maps) belong beside `relocate::prepare`, which rewrites the file.

mod btf;
mod btf_edit;
mod elf;
mod error;
pub(crate) mod files;
mod global;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind, elf as elf_format,
};

use crate::{MapShape, attach::Section, relocate::prepare};
use btf::Btf;
pub(crate) use btf::word;
pub(crate) use btf_edit::{BtfEditor, ExternType, SectionMember};
pub(crate) use elf::{ElfEditor, SHF_EXECINSTR, SectionHeader, UndefinedSymbol};
pub use error::ObjectError;
pub(crate) use error::chain;
use global::GlobalType;

use ebhost_package as package;
use ebhost_package::{FailureCost, GlobalValue};

/// An object's declarations.
#[derive(Debug)]
pub struct ObjectFile {
    path: PathBuf,
    programs: BTreeMap<String, ProgramDeclaration>,
    /// Maps by name; those of sections such as `.rodata` begin with a dot.
    pub maps: BTreeMap<String, MapShape>,
    /// Globals by name; `None`: of a type that plugin.yaml cannot set.
    globals: HashMap<String, Option<GlobalType>>,
    counters: HashMap<String, GlobalCounter>,
}

/// A global of 8 bytes that programs write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GlobalCounter {
    /// The map of globals that it lies in.
    pub(crate) map: String,
    /// Its offset in that map's one value.
    pub(crate) offset: usize,
}

/// A program's declaration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProgramDeclaration {
    /// Its section, or the name of one that is not known.
    pub(crate) section: Result<Section, String>,
    /// The section's index in the file.
    pub(crate) section_index: usize,
}

/// Parses an object's maps, programs and relocations. Its bytes have been through `relocate::prepare`, which refuses what is no ELF
/// file of BPF.
pub(crate) fn parse(prepared: &[u8]) -> Result<aya_obj::Object, aya_obj::ParseError> {
    aya_obj::Object::parse(prepared)
}

impl ObjectFile {
    /// Parses and checks the bytes of an object.
    ///
    /// # Errors
    /// It is no BPF object, or lacks BTF, or has a program in an unknown section while failures cost the whole object.
    pub fn parse(bpf: &package::Bpf) -> Result<Self, ObjectError> {
        let artefact = &bpf.object;
        let path = &artefact.path;
        let elf =
            object::File::parse(&*artefact.bytes).map_err(|error| ObjectError::NotElf { path: path.clone(), error })?;
        check_machine(path, &artefact.bytes, &elf)?;
        let programs = programs(path, &elf)?;
        if bpf.failure_costs == FailureCost::Object {
            check_sections(path, &programs)?;
        }
        let btf = elf.section_by_name(".BTF").and_then(|section| section.data().ok());
        let btf = btf.ok_or_else(|| ObjectError::NoBtf { path: path.clone() })?;
        let globals = Btf::parse(btf).map(|btf| btf.globals()).unwrap_or_default();
        let malformed = |why: String| ObjectError::Malformed { path: path.clone(), why };
        let prepared = prepare(&artefact.bytes, None, &HashSet::new())
            .map_err(|_| malformed("its sections or types do not parse".to_owned()))?;
        let parsed = parse(&prepared.bytes).map_err(|error| malformed(chain(&error)))?;
        let maps = parsed.maps.iter().map(|(name, map)| (name.clone(), MapShape::declared(map))).collect();
        Ok(Self { path: path.clone(), programs, maps, globals, counters: counters(&elf) })
    }

    /// The global `BUFFER_lost`, in which programs count the events that found no room in a ring buffer: the kernel reports these to
    /// nobody else.
    pub(crate) fn lost_counter(&self, buffer: &str) -> Option<&GlobalCounter> {
        self.counters.get(&format!("{buffer}_lost"))
    }

    /// Whether lost events of a source are unknown: it is a ring buffer, and no global counts them.
    pub fn hides_drops(&self, source: &str) -> bool {
        self.maps.get(source).is_some_and(|map| map.is_ring_buffer()) && self.lost_counter(source).is_none()
    }

    /// The declared shape of the map that a view or plugin.yaml names.
    ///
    /// # Errors
    /// There is no such map; the message says that `by` names it.
    pub fn map(&self, name: &str, by: &'static str) -> Result<MapShape, ObjectError> {
        self.maps.get(name).copied().ok_or_else(|| ObjectError::NoSuchMap {
            path: self.path.clone(),
            name: name.to_owned(),
            by,
            has: self.maps.keys().filter(|map| !map.starts_with('.')).cloned().collect(),
        })
    }

    /// Everything that plugin.yaml names and the object does not have.
    pub fn misfits(&self, bpf: &package::Bpf) -> Vec<ObjectError> {
        let programs = self.chosen(bpf.programs.as_deref()).err();
        let globals = bpf.globals.iter().filter_map(|(name, value)| self.encode_global(name, value).err());
        let maps = bpf.max_entries.keys().filter_map(|name| self.map(name, "`bpf.max_entries` in plugin.yaml").err());
        programs.into_iter().chain(globals).chain(maps).collect()
    }

    /// The programs to attach: those that are chosen, or all.
    ///
    /// # Errors
    /// There is no program of a chosen name.
    pub(crate) fn chosen(&self, chosen: Option<&[String]>) -> Result<Vec<(&str, &ProgramDeclaration)>, ObjectError> {
        let Some(chosen) = chosen else {
            return Ok(self.programs.iter().map(|(name, declared)| (name.as_str(), declared)).collect());
        };
        chosen.iter().map(|name| self.program(name)).collect()
    }

    fn program(&self, name: &str) -> Result<(&str, &ProgramDeclaration), ObjectError> {
        let found = self.programs.get_key_value(name).map(|(name, declared)| (name.as_str(), declared));
        found.ok_or_else(|| ObjectError::NoSuchProgram {
            path: self.path.clone(),
            name: name.to_owned(),
            has: self.programs.keys().cloned().collect(),
        })
    }

    /// Encodes a value for a global.
    ///
    /// # Errors
    /// There is no such global, or its type does not hold the value.
    pub(crate) fn encode_global(&self, name: &str, value: &GlobalValue) -> Result<Vec<u8>, ObjectError> {
        let Some(global) = self.globals.get(name) else {
            let mut has: Vec<_> = self.globals.keys().cloned().collect();
            has.sort();
            return Err(ObjectError::NoSuchGlobal { path: self.path.clone(), name: name.to_owned(), has });
        };
        let wrong = |expected: String| ObjectError::WrongGlobal {
            path: self.path.clone(),
            name: name.to_owned(),
            expected,
            found: match value {
                GlobalValue::Bool(value) => value.to_string(),
                GlobalValue::Unsigned(value) => value.to_string(),
                GlobalValue::Signed(value) => value.to_string(),
            },
        };
        let global =
            global.ok_or_else(|| wrong("of a type that plugin.yaml cannot set (not a number or bool)".into()))?;
        global.encode(value).ok_or_else(|| wrong(global.describe()))
    }
}

fn check_machine(path: &Path, bytes: &[u8], elf: &object::File<'_>) -> Result<(), ObjectError> {
    let machine = bytes.get(18..20).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
    if elf.endianness() == Endianness::Little && machine == elf_format::EM_BPF {
        return Ok(());
    }
    let found = match (elf.architecture(), elf.endianness()) {
        (object::Architecture::Unknown, _) => format!("ELF machine {machine}"),
        (architecture, Endianness::Big) => format!("big-endian {architecture:?}"),
        (architecture, Endianness::Little) => format!("{architecture:?}"),
    };
    Err(ObjectError::OtherMachine { path: path.to_owned(), found })
}

fn check_sections(path: &Path, programs: &BTreeMap<String, ProgramDeclaration>) -> Result<(), ObjectError> {
    let unknown = programs.iter().find_map(|(name, declared)| Some((name, declared.section.as_ref().err()?)));
    match unknown {
        Some((program, section)) => Err(ObjectError::UnknownSection {
            path: path.to_owned(),
            program: program.clone(),
            section: section.clone(),
        }),
        None => Ok(()),
    }
}

fn programs(path: &Path, elf: &object::File<'_>) -> Result<BTreeMap<String, ProgramDeclaration>, ObjectError> {
    let mut programs = BTreeMap::new();
    for section in elf.sections().filter(|section| section.kind() == SectionKind::Text) {
        let section_name = section.name().unwrap_or_default();
        if section_name.starts_with(".text") {
            continue;
        }
        let functions = elf
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global())
            .filter(|symbol| symbol.section_index() == Some(section.index()));
        for function in functions {
            let program = function.name().unwrap_or_default().to_owned();
            let parsed = Section::parse(section_name).ok_or_else(|| section_name.to_owned());
            programs.insert(program, ProgramDeclaration { section: parsed, section_index: section.index().0 });
        }
    }
    if programs.is_empty() { Err(ObjectError::NoProgram { path: path.to_owned() }) } else { Ok(programs) }
}

fn counters(elf: &object::File<'_>) -> HashMap<String, GlobalCounter> {
    let counter = |symbol: &object::Symbol<'_, '_>| {
        let section = elf.section_by_index(symbol.section_index()?).ok()?;
        let map = section.name().ok().filter(|name| matches!(*name, ".bss" | ".data"))?.to_owned();
        Some((symbol.name().ok()?.to_owned(), GlobalCounter { map, offset: usize::try_from(symbol.address()).ok()? }))
    };
    let words = elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Data && symbol.size() == 8);
    words.filter_map(|symbol| counter(&symbol)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_buffer_hides_its_drops_unless_a_global_of_its_name_counts_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/packages/maps/maps.bpf.o");
        let artefact = package::Artefact::new(PathBuf::from(path), std::fs::read(path).unwrap());
        let mut object = ObjectFile::parse(&package::Bpf::of(artefact)).unwrap();
        assert_eq!(object.lost_counter("ring").map(|counter| counter.map.as_str()), Some(".bss"));
        assert!(!object.hides_drops("ring"));
        object.counters.clear();
        assert!(object.hides_drops("ring") && !object.hides_drops("output") && !object.hides_drops("hash"));
    }

    #[test]
    fn a_file_that_is_no_object_is_named_for_what_it_is() {
        let refusal = |bytes: &[u8]| {
            let artefact = package::Artefact::new(PathBuf::from("x.bpf.o"), bytes.to_vec());
            ObjectFile::parse(&package::Bpf::of(artefact)).unwrap_err().to_string()
        };
        assert!(refusal(b"\0asm").starts_with("x.bpf.o: is not an ELF file"), "{}", refusal(b"\0asm"));
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(refusal(&own).contains("expected one for little-endian BPF"), "{}", refusal(&own));
    }
}
