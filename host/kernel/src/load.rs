//! Loads a checked object into the kernel, opens its perf events, attaches its programs and prepares the reads of its sources.
//!
//! What was loaded and attached before an error is gone when the error is returned, because everything is owned by what was
//! being built. A program that cannot be had costs the object, or itself alone: as the package says.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
};

use aya::{Btf, maps::Map};

use super::{
    KernelTypes, LoadError, ObjectError, ObjectFile,
    cgroup_map::CgroupMap,
    externs::{Externs, addresses},
    link::{self, Links, UsdtSpecs},
    loaded::{LeftOut, Loaded, Program, Unread, UnreadMaps, Wanted, reader, unreadable},
    maps::Maps,
    object::{Declared, chain},
    perf::PerfReader,
    prepare::{Prepared, Unfit, prepare, section_number},
    probe, program,
    section::Attach,
    source::Source,
    syscall,
};
use ebhost_package as package;
use ebhost_package::{
    FailureCost, GlobalValue,
    perf::{Event, Perf, PerfSources, Rate},
};

/// The map that programs read USDT arguments from, as libbpf's `usdt.bpf.h` names it.
const USDT_SPECS: &str = "__bpf_usdt_specs";

/// Opens the perf events, loads and attaches the object, and prepares the reads of the `wanted` sources.
pub fn load(
    object: Option<(&ObjectFile, &package::Bpf)>,
    perf: &PerfSources,
    wanted: &[Wanted<'_>],
    types: &KernelTypes,
) -> Result<Loaded, LoadError> {
    let perf_reader = |(name, perf): (&String, &Perf)| PerfReader::new(name, &perf.events, types.opener());
    let mut perf_readers: Vec<_> = perf.iter().map(perf_reader).collect();
    let Some((object, bpf)) = object else {
        perf_readers.iter_mut().for_each(open);
        let sources =
            wanted.iter().filter_map(|wanted| take(&mut perf_readers, wanted.name)).map(Source::Perf).collect();
        return Ok(loaded(UnreadMaps::default(), sources, perf_readers));
    };
    let mut loading = Loading::begin(object, bpf, perf, types)?;
    for reader in &mut perf_readers {
        loading.fill(reader, &perf[&reader.name])?;
        if perf[&reader.name].samples.is_none() {
            open(reader);
        }
    }
    // Buffers are open and cgroups known before the first program runs, so that no event is written to none.
    let is_map = |wanted: &&Wanted<'_>| !perf.contains_key(wanted.name);
    let cgroup_map = loading.cgroup_map()?;
    let maps = wanted.iter().filter(is_map).map(|wanted| loading.reader(wanted)).collect::<Result<Vec<_>, _>>()?;
    let programs = loading.programs(&mut perf_readers)?;
    let mut maps = maps.into_iter();
    let source = |wanted: &Wanted<'_>| take(&mut perf_readers, wanted.name).map(Source::Perf).or_else(|| maps.next());
    let sources = wanted.iter().filter_map(source).collect();
    let Loading { maps, missing_symbols, .. } = loading;
    let mut unread = Unread { maps, read: BTreeSet::new() };
    for wanted in wanted.iter().filter(is_map) {
        unread.give_to_reader(wanted.name);
    }
    Ok(Loaded { programs, missing_symbols, cgroup_map, ..loaded(UnreadMaps::new(unread), sources, perf_readers) })
}

fn loaded(unread: UnreadMaps, sources: Vec<Source>, others: Vec<PerfReader>) -> Loaded {
    Loaded {
        programs: Vec::new(),
        sources,
        others,
        missing_symbols: Vec::new(),
        spare: Vec::new(),
        unread,
        cgroup_map: None,
        failed_iterators: BTreeSet::new(),
    }
}

/// Opens what can be opened; what cannot says so in its states, and is tried again at every read.
fn open(reader: &mut PerfReader) {
    let _ = reader.read();
}

fn take(readers: &mut Vec<PerfReader>, name: &str) -> Option<PerfReader> {
    readers.iter().position(|reader| reader.name == name).map(|at| readers.remove(at))
}

/// An object whose maps are in the kernel, and whose instructions are ready to follow.
struct Loading<'a> {
    object: &'a ObjectFile,
    bpf: &'a package::Bpf,
    perf: &'a PerfSources,
    types: &'a KernelTypes,
    parsed: aya_obj::Object,
    object_types: Option<OwnedFd>,
    maps: Maps,
    /// Sections that ask of the kernel's types what these do not answer, and why.
    misfits: HashMap<usize, String>,
    unresolved: Vec<String>,
    missing_symbols: Vec<String>,
}

impl<'a> Loading<'a> {
    fn begin(
        object: &'a ObjectFile,
        bpf: &'a package::Bpf,
        perf: &'a PerfSources,
        types: &'a KernelTypes,
    ) -> Result<Self, LoadError> {
        let path = &bpf.object.path;
        if let Some(name) = perf.keys().find(|name| object.maps.contains_key(*name)) {
            return Err(LoadError::SameName { path: path.clone(), name: name.clone() });
        }
        let (globals, missing_symbols) = globals(object, bpf)?;
        for name in bpf.max_entries.keys() {
            object.map(name, "`bpf.max_entries` in plugin.yaml")?;
        }
        let fitted = Fitted::new(bpf, types, &globals)?;
        let Fitted { mut parsed, misfits, unresolved, own_types } = fitted;
        let object_types = own_types.and_then(|types| syscall::btf_load(&types).ok());
        for (name, entries) in &bpf.max_entries {
            if let Some(map) = parsed.maps.get_mut(name) {
                map.set_max_entries(entries.on(types.cpus));
            }
        }
        let maps = Maps::create(parsed.maps.drain(), object_types.as_ref().map(OwnedFd::as_fd), types.cpus)
            .map_err(|(map, error)| LoadError::no_map(path, map, error))?;
        relocate(&mut parsed, &maps).map_err(|why| LoadError::Load { path: path.clone(), why })?;
        Ok(Self { object, bpf, perf, types, parsed, object_types, maps, misfits, unresolved, missing_symbols })
    }

    fn path(&self) -> &Path {
        &self.bpf.object.path
    }

    /// Gives a perf source the arrays that plugin.yaml has it fill.
    fn fill(&mut self, reader: &mut PerfReader, perf: &Perf) -> Result<(), LoadError> {
        let mut maps = Vec::with_capacity(perf.maps.len());
        for name in &perf.maps {
            let shape = self.object.map(name, "`perf` in plugin.yaml")?;
            match self.maps.open(name) {
                Ok(Map::PerfEventArray(data)) if shape.is_perf_event_array() => {
                    self.maps.close(name);
                    maps.push(data);
                }
                _ => {
                    let error = "expected a perf event array, named by one event alone";
                    return Err(unreadable(self.bpf, name, io::Error::other(error)));
                }
            }
        }
        reader.fill(maps);
        Ok(())
    }

    fn reader(&self, wanted: &Wanted<'_>) -> Result<Source, LoadError> {
        reader(self.object, self.bpf, &self.maps, wanted, self.types)
    }

    /// Fills the cgroup id map, if there is one.
    fn cgroup_map(&self) -> Result<Option<CgroupMap>, LoadError> {
        let Some(config) = &self.bpf.cgroup_id_map else { return Ok(None) };
        self.object.map(&config.name, "`cgroup_id_map`")?;
        let filled = self.maps.get(&config.name).ok_or(io::ErrorKind::NotFound.into()).and_then(|(map, file)| {
            CgroupMap::fill(file.try_clone_to_owned()?, (map.key_size(), map.value_size()), config)
        });
        filled.map(Some).map_err(|error| unreadable(self.bpf, &config.name, error))
    }

    /// Loads and attaches the programs: those that are chosen, and those that perf sources in plugin.yaml name.
    fn programs(&self, perf_readers: &mut Vec<PerfReader>) -> Result<Vec<Program>, LoadError> {
        let mut chosen = self.object.chosen(self.bpf.programs.as_deref())?;
        let sampled: Vec<_> = self.perf.values().filter_map(|perf| perf.samples.clone()).map(|s| s.program).collect();
        for named in self.object.chosen(Some(&sampled))? {
            if !chosen.contains(&named) {
                chosen.push(named);
            }
        }
        let specs = self.maps.get(USDT_SPECS);
        let mut specs = specs.map(|(map, file)| UsdtSpecs::new(file, map.value_size(), map.max_entries()));
        let mut programs = Vec::with_capacity(chosen.len());
        for (name, declared) in chosen {
            let mut program = Program { name: name.to_owned(), left_out: None, file: None, links: Links::default() };
            if let Err(error) = self.start(&mut program, declared, specs.as_mut(), perf_readers) {
                if self.bpf.failure_costs == FailureCost::Object {
                    return Err(error);
                }
                program.left_out = Some(LeftOut { reason: error.reason(), fault: error.to_string() });
            }
            programs.push(program);
        }
        run_marks(&mut programs);
        Ok(programs)
    }

    fn start(
        &self,
        program: &mut Program,
        declared: &Declared,
        specs: Option<&mut UsdtSpecs<'_>>,
        perf_readers: &mut Vec<PerfReader>,
    ) -> Result<(), LoadError> {
        let (path, name) = (self.path(), program.name.as_str());
        let section = declared.section.as_ref().map_err(|section| ObjectError::UnknownSection {
            path: path.to_owned(),
            program: name.to_owned(),
            section: section.clone(),
        })?;
        if let Some(what) = self.misfits.get(&declared.in_section) {
            return Err(LoadError::Lacking { path: path.to_owned(), program: name.to_owned(), what: what.clone() });
        }
        let parsed = self.parsed.programs.get(name);
        let function = parsed.and_then(|program| self.parsed.functions.get(&program.function_key()));
        let Some(function) = function else {
            let why = format!("program `{name}` is not among those that were parsed");
            return Err(LoadError::Load { path: path.to_owned(), why });
        };
        let object_types = self.object_types.as_ref().map(OwnedFd::as_fd);
        let file = program::load(name, section, function, &self.parsed.license, object_types, self.types.aya())
            .map_err(|refusal| LoadError::not_loaded(path, name, refusal, &self.unresolved))?;
        let file = program.file.insert(file);
        program.links = link::attach(file.as_fd(), &section.attach, specs)
            .map_err(|fault| LoadError::not_attached(path, name, &fault))?;
        if let Attach::PerfEvent(own) = &section.attach {
            let file = file.try_clone().map_err(|error| unreadable(self.bpf, name, error))?;
            sample(path, name, own.as_ref(), file, (self.perf, self.types), perf_readers)?;
        }
        Ok(())
    }
}

/// Runs the programs that are to run once, now that all are attached; then they are done.
fn run_marks(programs: &mut [Program]) {
    if programs.iter().any(|program| program.links.is_mark) {
        probe::run_mark();
    }
    programs.iter_mut().filter(|program| program.links.is_mark).for_each(|program| program.links.files.clear());
}

/// An object that aya has parsed, fitted to the running kernel as far as it goes.
struct Fitted {
    parsed: aya_obj::Object,
    /// The object's types, as this kernel takes them.
    own_types: Option<Vec<u8>>,
    misfits: HashMap<usize, String>,
    unresolved: Vec<String>,
}

impl Fitted {
    /// Begins again without a section whose questions the kernel's types do not answer: that costs its programs alone.
    fn new(bpf: &package::Bpf, types: &KernelTypes, globals: &[(String, Vec<u8>)]) -> Result<Self, LoadError> {
        let path = &bpf.object.path;
        let external = external_types(bpf)?;
        let mut externs = Externs::new(types.aya());
        let mut misfits = HashMap::new();
        loop {
            let without: HashSet<_> = misfits.keys().copied().collect();
            let prepared =
                prepare(&bpf.object.bytes, Some(&mut externs), &without).map_err(|unfit| unfit_for(path, unfit))?;
            let Prepared { bytes, unresolved } = prepared;
            let mut parsed = aya_obj::Object::parse(&bytes).map_err(|error| LoadError::refused(path, &error))?;
            let globals = globals.iter().map(|(name, bytes)| (name.as_str(), (bytes.as_slice(), true))).collect();
            parsed.patch_map_data(globals).map_err(|error| LoadError::refused(path, &error))?;
            let own_types = match aya::features().btf() {
                Some(features) => parsed.fixup_and_sanitize_btf(features),
                None => Ok(None),
            };
            let own_types = own_types.map_err(|error| LoadError::refused(path, &error))?.map(Btf::to_bytes);
            if parsed.has_btf_relocations() {
                let no_types = || LoadError::NoKernelBtf { path: path.clone() };
                let kernel = external.as_ref().or_else(|| types.aya()).ok_or_else(no_types)?;
                if let Err(error) = parsed.relocate_btf(kernel) {
                    match section_number(&error.section) {
                        Some(section) if bpf.failure_costs == FailureCost::Program => {
                            if misfits.insert(section, chain(&error)).is_none() {
                                continue;
                            }
                            return Err(LoadError::refused(path, &error));
                        }
                        _ => return Err(LoadError::refused(path, &error)),
                    }
                }
            }
            return Ok(Self { parsed, own_types, misfits, unresolved });
        }
    }
}

fn unfit_for(path: &Path, unfit: Unfit) -> LoadError {
    let path = path.to_owned();
    match unfit {
        Unfit::Malformed => LoadError::Load { path, why: "its sections or types do not parse".to_owned() },
        Unfit::NotConfigured(names) => LoadError::NotConfigured { path, names },
    }
}

/// The kernel's types from a file, if that is asked for.
fn external_types(bpf: &package::Bpf) -> Result<Option<Btf>, LoadError> {
    let Some(file) = &bpf.btf_path else { return Ok(None) };
    let parsed = Btf::parse_file(file, object::Endianness::default());
    parsed.map(Some).map_err(|error| LoadError::NotBtf {
        file: file.clone(),
        path: bpf.object.path.clone(),
        why: chain(&error),
    })
}

/// Writes the maps' descriptors and the functions' places into the instructions.
fn relocate(parsed: &mut aya_obj::Object, maps: &Maps) -> Result<(), String> {
    let text_sections: HashSet<usize> = parsed.functions.keys().map(|(section, _)| *section).collect();
    let files = maps.iter().map(|(name, map, file)| (name, file.as_raw_fd(), map));
    parsed.relocate_maps(files, &text_sections).map_err(|error| chain(&error))?;
    parsed.relocate_calls(&text_sections).map_err(|error| chain(&error))?;
    parsed.sanitize_functions(aya::features());
    Ok(())
}

/// Has a program run by the samples of the source that names it, or of its section's own event.
fn sample(
    path: &Path,
    program: &str,
    own: Option<&(Event, Rate)>,
    file: OwnedFd,
    (perf, types): (&PerfSources, &KernelTypes),
    readers: &mut Vec<PerfReader>,
) -> Result<(), LoadError> {
    let named = perf.iter().find_map(|(name, perf)| {
        let samples = perf.samples.as_ref().filter(|samples| samples.program == program)?;
        Some((name, samples.rate))
    });
    let (at, rate) = match (named, own) {
        (Some((name, rate)), _) => (readers.iter().position(|reader| reader.name == *name), rate),
        (None, Some((event, rate))) => {
            readers.push(PerfReader::new(program, std::slice::from_ref(event), types.opener()));
            (readers.len().checked_sub(1), *rate)
        }
        (None, None) => {
            return Err(LoadError::NoEvent { path: path.to_owned(), program: program.to_owned() });
        }
    };
    if let Some(reader) = at.and_then(|at| readers.get_mut(at)) {
        reader.run(rate, file);
        open(reader);
    }
    Ok(())
}

/// Globals as the bytes of their types, and the kernel symbols among them that this kernel does not show.
type Globals = (Vec<(String, Vec<u8>)>, Vec<String>);

fn globals(object: &ObjectFile, bpf: &package::Bpf) -> Result<Globals, LoadError> {
    let encode = |(name, value): (&String, &GlobalValue)| Ok((name.clone(), object.encode_global(name, value)?));
    let mut globals = bpf.globals.iter().map(encode).collect::<Result<Vec<_>, ObjectError>>()?;
    let symbols: Vec<_> = bpf.kaddrs.iter().map(String::as_str).collect();
    let found = if symbols.is_empty() { HashMap::new() } else { addresses(&symbols) };
    let mut missing = Vec::new();
    for symbol in &bpf.kaddrs {
        let name = format!("kaddr_{symbol}");
        let address = found.get(symbol).copied();
        globals.push((name.clone(), object.encode_global(&name, &GlobalValue::Unsigned(address.unwrap_or(0)))?));
        if address.is_none() {
            missing.push(symbol.clone());
        }
    }
    if bpf.failure_costs == FailureCost::Object && !missing.is_empty() {
        return Err(LoadError::NoSymbol { path: bpf.object.path.clone(), symbols: missing });
    }
    Ok((globals, missing))
}
