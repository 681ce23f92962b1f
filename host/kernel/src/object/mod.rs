//! A BPF object as a file: its programs, maps and globals, checked before the kernel sees it.
//!
//! It asks nothing of the kernel, so `ebhost check` needs no privilege; what only the kernel can judge (the verifier, a
//! tracepoint that this kernel lacks) is judged in [`crate::load()`]. `ebhost_object` parses the bytes; this module holds what they
//! declare against the package.

mod error;
pub(crate) mod files;
mod global;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use crate::{
    MapShape,
    attach::{Attach, Section},
};
use ebhost_object::{Btf, Object, ParseError, btf::Kind};
pub use error::ObjectError;
use global::GlobalType;

use ebhost_package as package;
use ebhost_package::{FailureCost, GlobalValue, MaxEntries, ProgramChoice, perf::PerfSources};

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
    parsed: Object,
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
    /// Whether it is loaded although nobody names it.
    pub(crate) autoload: bool,
}

impl ProgramDeclaration {
    /// Whether the program of this name is to be loaded, as one of several alternatives or alone.
    fn is_chosen(&self, name: &str, chosen: Option<&[ProgramChoice]>) -> bool {
        match chosen {
            Some(chosen) => chosen.iter().flat_map(ProgramChoice::alternatives).any(|chosen| chosen == name),
            None => self.autoload,
        }
    }
}

/// Programs of which the first one that this kernel takes is attached, one or more.
pub(crate) type Alternatives<'a> = Vec<(&'a str, &'a ProgramDeclaration)>;

impl ObjectFile {
    /// Parses and checks the bytes of an object.
    ///
    /// # Errors
    /// It is no BPF object, or declares maps without BTF, or has a program in an unknown section while failures cost the whole object.
    pub fn parse(bpf: &package::Bpf) -> Result<Self, ObjectError> {
        let artefact = &bpf.object;
        let path = &artefact.path;
        let parsed = Object::parse(&artefact.bytes).map_err(|error| not_parsed(path, error))?;
        if parsed.programs.is_empty() {
            return Err(ObjectError::NoProgram { path: path.clone() });
        }
        let ty = |id| parsed.btf.as_ref().and_then(|btf| GlobalType::of(btf, id));
        let globals = parsed.globals.iter().map(|global| (global.name.clone(), ty(global.type_id)));
        let object = Self {
            path: path.clone(),
            programs: parsed.programs.iter().map(declaration).collect(),
            maps: parsed.maps.iter().map(|map| (map.name.clone(), MapShape::declared(map))).collect(),
            globals: globals.collect(),
            counters: counters(&parsed),
            parsed,
        };
        if bpf.failure_costs == FailureCost::Object {
            object.check_sections(bpf.programs.as_deref())?;
        }
        Ok(object)
    }

    /// The object itself, for loading.
    pub(crate) fn parsed(&self) -> &Object {
        &self.parsed
    }

    /// Refuses programs of unknown sections, if they are to be loaded.
    fn check_sections(&self, chosen: Option<&[ProgramChoice]>) -> Result<(), ObjectError> {
        for (name, declared) in &self.programs {
            if let Err(section) = &declared.section
                && declared.is_chosen(name, chosen)
            {
                return Err(ObjectError::UnknownSection {
                    path: self.path.clone(),
                    program: name.clone(),
                    section: section.clone(),
                });
            }
        }
        Ok(())
    }

    /// The hooks of the chosen programs; none chosen: those that are loaded by themselves.
    pub(crate) fn attach_targets(&self, chosen: Option<&[ProgramChoice]>) -> impl Iterator<Item = &Attach> {
        let programs = self.programs.iter().filter(move |(name, declared)| declared.is_chosen(name, chosen));
        programs.filter_map(|(_, declared)| declared.section.as_ref().ok().map(|section| &section.attach))
    }

    /// The global `BUFFER_lost`, in which programs count the events that found no room in a ring buffer: the kernel reports these to
    /// nobody else.
    pub(crate) fn lost_counter(&self, buffer: &str) -> Option<&GlobalCounter> {
        self.counters.get(&format!("{buffer}_lost"))
    }

    /// The global `MAP_inserted`, in which programs count the entries that they insert into a map: while it is 0, a read of the map costs one
    /// system call. A pinned map may have entries of an earlier load.
    pub(crate) fn insertion_counter(&self, map: &str) -> Option<&GlobalCounter> {
        let is_pinned = self.parsed.maps.iter().any(|declared| declared.name == map && declared.pinned);
        self.counters.get(&format!("{map}_inserted")).filter(|_| !is_pinned)
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
        let sizes = bpf.max_entries.iter().filter_map(|(name, size)| self.check_size(name, *size).err());
        let deletable = bpf.delete_departed.iter().map(|name| (name, "`delete_departed` in plugin.yaml"));
        let filled = bpf.cgroup_id_map.iter().map(|map| (&map.name, "`cgroup_id_map` in plugin.yaml"));
        let maps = deletable.chain(filled).filter_map(|(name, by)| self.map(name, by).err());
        programs.into_iter().chain(globals).chain(sizes).chain(maps).collect()
    }

    /// Everything that `perf` in plugin.yaml names and the object does not have.
    pub fn perf_misfits(&self, perf: &PerfSources) -> Vec<ObjectError> {
        let array = |name: &String| match self.map(name, "`perf` in plugin.yaml") {
            Ok(map) if map.is_perf_event_array() => None,
            Ok(_) => Some(ObjectError::NotPerfEventArray { path: self.path.clone(), name: name.clone() }),
            Err(missing) => Some(missing),
        };
        let maps = perf.values().flat_map(|perf| &perf.maps).filter_map(array);
        let samples = perf.values().filter_map(|perf| perf.samples.as_ref());
        maps.chain(samples.filter_map(|samples| self.program(&samples.program).err())).collect()
    }

    /// Checks that a map exists and can have a size.
    ///
    /// # Errors
    /// There is no such map, it has no size, or not such a one.
    pub(crate) fn check_size(&self, name: &str, size: MaxEntries) -> Result<(), ObjectError> {
        let map = self.map(name, "`bpf.max_entries` in plugin.yaml")?;
        let (path, name) = (self.path.clone(), name.to_owned());
        match size {
            _ if map.is_storage() => Err(ObjectError::SizeOfStorage { path, name }),
            // A multiple of the number of CPUs is a power of two on machines that have such a number of them.
            MaxEntries::Fixed(found) if map.is_ring_buffer() && (!found.is_power_of_two() || found < error::PAGE) => {
                Err(ObjectError::SizeOfRing { path, name, found })
            }
            _ => Ok(()),
        }
    }

    /// Checks that the object has a license.
    ///
    /// # Errors
    /// It has none.
    pub fn check_license(&self) -> Result<(), ObjectError> {
        let is_there = !self.parsed.license.is_empty();
        if is_there { Ok(()) } else { Err(ObjectError::NoLicense { path: self.path.clone() }) }
    }

    /// The types of a map's key and value in the program, such as `struct key`, where they have names.
    pub fn type_names(&self, map: &str) -> [Option<String>; 2] {
        let btf = self.parsed.btf.as_ref();
        let found = btf.zip(self.parsed.map(map));
        let name = |btf: &Btf, id: u32| {
            let ty = btf.resolved(id).filter(|_| id != 0)?;
            let kind = match ty.kind {
                Kind::Struct => "struct ",
                Kind::Union => "union ",
                _ => "",
            };
            Some(btf.name(ty.id)).filter(|name| !name.is_empty()).map(|name| format!("{kind}{name}"))
        };
        found.map_or([None, None], |(btf, map)| [name(btf, map.key_type), name(btf, map.value_type)])
    }

    /// The programs to attach, each with its alternatives: those that are chosen, or all but those that the object leaves to a choice
    /// (`SEC("?…")`).
    ///
    /// # Errors
    /// There is no program of a chosen name.
    pub(crate) fn chosen(&self, chosen: Option<&[ProgramChoice]>) -> Result<Vec<Alternatives<'_>>, ObjectError> {
        let Some(chosen) = chosen else {
            let autoload = self.programs.iter().filter(|(_, declared)| declared.autoload);
            return Ok(autoload.map(|(name, declared)| vec![(name.as_str(), declared)]).collect());
        };
        let alternatives =
            |choice: &ProgramChoice| choice.alternatives().iter().map(|name| self.program(name)).collect();
        chosen.iter().map(alternatives).collect()
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

fn declaration(program: &ebhost_object::Program) -> (String, ProgramDeclaration) {
    let section = Section::parse(&program.section).ok_or_else(|| program.section.clone());
    (program.name.clone(), ProgramDeclaration { section, autoload: program.autoload })
}

fn counters(object: &Object) -> HashMap<String, GlobalCounter> {
    let words = object.globals.iter().filter(|global| global.size == 8);
    let writable = words.filter(|global| matches!(object.maps[global.map].name.as_str(), ".bss" | ".data"));
    writable
        .map(|global| {
            let map = object.maps[global.map].name.clone();
            (global.name.clone(), GlobalCounter { map, offset: global.offset as usize })
        })
        .collect()
}

fn not_parsed(path: &Path, error: ParseError) -> ObjectError {
    let path = path.to_owned();
    match error {
        ParseError::NotElf(why) => ObjectError::NotElf { path, why },
        ParseError::OtherMachine(found) => ObjectError::OtherMachine { path, found },
        ParseError::MapsWithoutBtf => ObjectError::NoBtf { path },
        other => ObjectError::Malformed { path, why: other.to_string() },
    }
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
