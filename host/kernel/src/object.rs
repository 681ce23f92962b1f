//! A BPF object as a file: its programs, maps and globals, checked before the kernel sees it.
//!
//! It asks nothing of the kernel, so `ebhost check` needs no privilege; what only the kernel can judge (the verifier, a
//! tracepoint that this kernel lacks) is judged in `load`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind, elf};

use super::{
    btf::{Btf, Scalar},
    prepare::prepare,
    section::{SECTIONS, Section},
};
use ebhost_package as package;
use ebhost_package::{FailureCost, GlobalValue};

const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_PERF_EVENT_ARRAY: u32 = 4;
const BPF_MAP_TYPE_PERCPU_HASH: u32 = 5;
const BPF_MAP_TYPE_PERCPU_ARRAY: u32 = 6;
const BPF_MAP_TYPE_LRU_PERCPU_HASH: u32 = 10;
const BPF_MAP_TYPE_RINGBUF: u32 = 27;

/// What an object declares.
#[derive(Debug)]
pub struct ObjectFile {
    pub(super) path: PathBuf,
    pub(super) programs: BTreeMap<String, Declared>,
    pub maps: BTreeMap<String, MapShape>,
    pub(super) globals: HashMap<String, Option<Scalar>>,
    counters: HashMap<String, Counter>,
}

/// A global of 8 bytes that programs write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counter {
    /// The map that it lies in, and where in that map's one value.
    pub(super) map: String,
    pub(super) at: usize,
}

/// A program's declaration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// Its section, or the name of one that is not known.
    pub(super) section: Result<Section, String>,
    /// The section's number.
    pub(super) in_section: usize,
}

/// A map's declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// `enum bpf_map_type`.
    pub kind: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
}

/// Why a file is not a BPF object that can be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error(
        "{path}: is not an ELF file that can be read ({why}): truncated? expected what `clang -target bpf -g -O2 -c` makes"
    )]
    NotElf { path: PathBuf, why: String },
    #[error(
        "{path}: found an object for {found}, expected one for little-endian BPF: compile with `clang -target bpf`"
    )]
    OtherMachine { path: PathBuf, found: String },
    #[error(
        "{path}: has no BTF (no `.BTF` section), which map and global types are read from: compile with `clang -g`"
    )]
    NoBtf { path: PathBuf },
    #[error(
        "{path}: program `{program}` is in section `{section}`, which is not known; expected one of {}",
        SECTIONS.join(", ")
    )]
    UnknownSection { path: PathBuf, program: String, section: String },
    #[error("{path}: cannot be parsed: {why}")]
    Malformed { path: PathBuf, why: String },
    #[error("{path}: has no program")]
    NoProgram { path: PathBuf },
    #[error(
        "{path}: has no program `{name}`, which `bpf.programs` in plugin.yaml names; it has {}", names(.has)
    )]
    NoSuchProgram { path: PathBuf, name: String, has: Vec<String> },
    #[error("{path}: has no map `{name}`, which {by} names; it has {}", names(.has))]
    NoSuchMap { path: PathBuf, name: String, by: &'static str, has: Vec<String> },
    #[error(
        "{path}: has no global `{name}`, which `bpf.globals` in plugin.yaml sets; it has {} (`const volatile` ones)",
        names(.has)
    )]
    NoSuchGlobal { path: PathBuf, name: String, has: Vec<String> },
    #[error("{path}: global `{name}` is {expected}, found `{found}` for it in plugin.yaml")]
    WrongGlobal { path: PathBuf, name: String, expected: String, found: String },
}

fn names(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl ObjectFile {
    /// Parses and checks the bytes of an object.
    pub fn parse(bpf: &package::Bpf) -> Result<Self, ObjectError> {
        let artefact = &bpf.object;
        let path = &artefact.path;
        let elf = object::File::parse(&*artefact.bytes)
            .map_err(|error| ObjectError::NotElf { path: path.clone(), why: error.to_string() })?;
        check_machine(path, &artefact.bytes, &elf)?;
        let programs = programs(path, &elf)?;
        if bpf.failure_costs == FailureCost::Object {
            all_known(path, &programs)?;
        }
        let btf = elf.section_by_name(".BTF").and_then(|section| section.data().ok());
        let btf = btf.ok_or_else(|| ObjectError::NoBtf { path: path.clone() })?;
        let globals = Btf::parse(btf).map(|btf| owned(btf.globals())).unwrap_or_default();
        let malformed = |error: aya_obj::ParseError| ObjectError::Malformed { path: path.clone(), why: chain(&error) };
        let no_parts =
            |_| ObjectError::Malformed { path: path.clone(), why: "its sections or types do not parse".to_owned() };
        let prepared = prepare(&artefact.bytes, None, &HashSet::new()).map_err(no_parts)?;
        let parsed = aya_obj::Object::parse(&prepared.bytes).map_err(malformed)?;
        let maps = parsed.maps.iter().map(|(name, map)| (name.clone(), MapShape::of(map))).collect();
        Ok(Self { path: path.clone(), programs, maps, globals, counters: counters(&elf) })
    }

    /// Where programs count what found no room in a ring buffer, which the kernel tells nobody: the global `BUFFER_lost`.
    pub(super) fn drops(&self, buffer: &str) -> Option<&Counter> {
        self.counters.get(&format!("{buffer}_lost"))
    }

    /// Whether drops of a source cannot be known: it is a ring buffer that nothing counts for.
    pub fn hides_drops(&self, source: &str) -> bool {
        self.maps.get(source).is_some_and(|map| map.kind == BPF_MAP_TYPE_RINGBUF) && self.drops(source).is_none()
    }

    /// The shape of the map that a view or plugin.yaml names.
    pub fn map(&self, name: &str, by: &'static str) -> Result<MapShape, ObjectError> {
        self.maps.get(name).copied().ok_or_else(|| ObjectError::NoSuchMap {
            path: self.path.clone(),
            name: name.to_owned(),
            by,
            has: self.maps.keys().filter(|map| !map.starts_with('.')).cloned().collect(),
        })
    }

    /// All that plugin.yaml says of the object and the object does not have.
    pub fn misfits(&self, bpf: &package::Bpf) -> Vec<ObjectError> {
        let programs = self.chosen(bpf.programs.as_deref()).err();
        let globals = bpf.globals.iter().filter_map(|(name, value)| self.encode_global(name, value).err());
        let maps = bpf.max_entries.keys().filter_map(|name| self.map(name, "`bpf.max_entries` in plugin.yaml").err());
        programs.into_iter().chain(globals).chain(maps).collect()
    }

    /// The programs to attach: those that are chosen, or all.
    pub(super) fn chosen(&self, chosen: Option<&[String]>) -> Result<Vec<(&str, &Declared)>, ObjectError> {
        let Some(chosen) = chosen else {
            return Ok(self.programs.iter().map(|(name, declared)| (name.as_str(), declared)).collect());
        };
        let find = |name: &String| {
            self.programs.get_key_value(name).map(|(name, declared)| (name.as_str(), declared)).ok_or_else(|| {
                ObjectError::NoSuchProgram {
                    path: self.path.clone(),
                    name: name.clone(),
                    has: self.programs.keys().cloned().collect(),
                }
            })
        };
        chosen.iter().map(find).collect()
    }

    /// The bytes of a value for a global, checked against the global's type.
    pub(super) fn encode_global(&self, name: &str, value: &GlobalValue) -> Result<Vec<u8>, ObjectError> {
        let Some(scalar) = self.globals.get(name) else {
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
        let scalar =
            scalar.ok_or_else(|| wrong("of a type that plugin.yaml cannot set (not a number or bool)".into()))?;
        scalar.encode(value).ok_or_else(|| wrong(scalar.describe()))
    }
}

impl MapShape {
    /// Whether an entry has a value for each CPU.
    pub fn is_per_cpu(self) -> bool {
        matches!(self.kind, BPF_MAP_TYPE_PERCPU_HASH | BPF_MAP_TYPE_PERCPU_ARRAY | BPF_MAP_TYPE_LRU_PERCPU_HASH)
    }

    /// Whether it is a buffer of events, and no table.
    pub fn is_events(self) -> bool {
        self.is_perf_event_array() || self.kind == BPF_MAP_TYPE_RINGBUF
    }

    pub fn is_perf_event_array(self) -> bool {
        self.kind == BPF_MAP_TYPE_PERF_EVENT_ARRAY
    }

    /// Whether its keys are the numbers from 0.
    pub(super) fn is_array(self) -> bool {
        matches!(self.kind, BPF_MAP_TYPE_ARRAY | BPF_MAP_TYPE_PERCPU_ARRAY)
    }

    fn of(map: &aya_obj::Map) -> Self {
        Self {
            kind: map.map_type(),
            key_size: map.key_size(),
            value_size: map.value_size(),
            max_entries: map.max_entries(),
            flags: map.map_flags(),
        }
    }
}

impl Scalar {
    fn encode(self, value: &GlobalValue) -> Option<Vec<u8>> {
        let (number, size) = match (self, value) {
            (Self::Bool, GlobalValue::Bool(value)) => (i128::from(*value), 1),
            (Self::Unsigned { size } | Self::Signed { size }, GlobalValue::Unsigned(value)) => {
                (i128::from(*value), size)
            }
            (Self::Unsigned { size } | Self::Signed { size }, GlobalValue::Signed(value)) => (i128::from(*value), size),
            _ => return None,
        };
        let bits = size as u32 * 8;
        let (least, most) = match self {
            Self::Signed { .. } => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
            _ => (0, (1i128 << bits) - 1),
        };
        (least..=most).contains(&number).then(|| number.to_le_bytes()[..size].to_vec())
    }

    fn describe(self) -> String {
        match self {
            Self::Bool => "a bool (true or false)".to_owned(),
            Self::Unsigned { size } => format!("an unsigned number of {size} bytes"),
            Self::Signed { size } => format!("a signed number of {size} bytes"),
        }
    }
}

fn check_machine(path: &Path, bytes: &[u8], elf: &object::File<'_>) -> Result<(), ObjectError> {
    let machine = bytes.get(18..20).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
    if elf.endianness() == Endianness::Little && machine == elf::EM_BPF {
        return Ok(());
    }
    let found = match (elf.architecture(), elf.endianness()) {
        (object::Architecture::Unknown, _) => format!("ELF machine {machine}"),
        (architecture, Endianness::Big) => format!("big-endian {architecture:?}"),
        (architecture, Endianness::Little) => format!("{architecture:?}"),
    };
    Err(ObjectError::OtherMachine { path: path.to_owned(), found })
}

fn all_known(path: &Path, programs: &BTreeMap<String, Declared>) -> Result<(), ObjectError> {
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

fn programs(path: &Path, elf: &object::File<'_>) -> Result<BTreeMap<String, Declared>, ObjectError> {
    let mut programs = BTreeMap::new();
    for section in elf.sections().filter(|section| section.kind() == SectionKind::Text) {
        let section_name = section.name().unwrap_or_default();
        if section_name.starts_with(".text") {
            continue;
        }
        let in_section = elf
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global())
            .filter(|symbol| symbol.section_index() == Some(section.index()));
        for symbol in in_section {
            let program = symbol.name().unwrap_or_default().to_owned();
            let declared = Section::parse(section_name).ok_or_else(|| section_name.to_owned());
            programs.insert(program, Declared { section: declared, in_section: section.index().0 });
        }
    }
    if programs.is_empty() { Err(ObjectError::NoProgram { path: path.to_owned() }) } else { Ok(programs) }
}

fn counters(elf: &object::File<'_>) -> HashMap<String, Counter> {
    let written = |symbol: &object::Symbol<'_, '_>| {
        let section = elf.section_by_index(symbol.section_index()?).ok()?;
        let map = section.name().ok().filter(|name| matches!(*name, ".bss" | ".data"))?.to_owned();
        Some((symbol.name().ok()?.to_owned(), Counter { map, at: usize::try_from(symbol.address()).ok()? }))
    };
    elf.symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Data && symbol.size() == 8)
        .filter_map(|s| written(&s))
        .collect()
}

fn owned(globals: HashMap<&str, Option<Scalar>>) -> HashMap<String, Option<Scalar>> {
    globals.into_iter().map(|(name, scalar)| (name.to_owned(), scalar)).collect()
}

/// An error and all that caused it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globals_take_what_their_type_holds_and_no_more() {
        let unsigned = Scalar::Unsigned { size: 1 };
        assert_eq!(unsigned.encode(&GlobalValue::Unsigned(255)), Some(vec![255]));
        assert_eq!(unsigned.encode(&GlobalValue::Unsigned(256)), None);
        assert_eq!(unsigned.encode(&GlobalValue::Signed(-1)), None);
        assert_eq!(Scalar::Signed { size: 2 }.encode(&GlobalValue::Signed(-2)), Some(vec![0xfe, 0xff]));
        assert_eq!(Scalar::Signed { size: 1 }.encode(&GlobalValue::Unsigned(128)), None);
        assert_eq!(Scalar::Unsigned { size: 8 }.encode(&GlobalValue::Unsigned(u64::MAX)), Some(vec![255; 8]));
        assert_eq!(Scalar::Bool.encode(&GlobalValue::Bool(true)), Some(vec![1]));
        assert_eq!(Scalar::Bool.encode(&GlobalValue::Unsigned(1)), None);
    }

    #[test]
    fn a_ring_buffer_hides_its_drops_unless_a_global_of_its_name_counts_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/packages/maps/maps.bpf.o");
        let artefact = package::Artefact::new(PathBuf::from(path), std::fs::read(path).unwrap());
        let mut object = ObjectFile::parse(&package::Bpf::of(artefact)).unwrap();
        assert_eq!(object.drops("ring").map(|counter| counter.map.as_str()), Some(".bss"));
        assert!(!object.hides_drops("ring"));
        object.counters.clear();
        assert!(object.hides_drops("ring") && !object.hides_drops("output") && !object.hides_drops("hash"));
    }

    #[test]
    fn what_is_no_object_says_what_it_is() {
        let refusal = |bytes: &[u8]| {
            let artefact = package::Artefact::new(PathBuf::from("x.bpf.o"), bytes.to_vec());
            ObjectFile::parse(&package::Bpf::of(artefact)).unwrap_err().to_string()
        };
        assert!(refusal(b"\0asm").starts_with("x.bpf.o: is not an ELF file"), "{}", refusal(b"\0asm"));
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(refusal(&own).contains("expected one for little-endian BPF"), "{}", refusal(&own));
    }
}
