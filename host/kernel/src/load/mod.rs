//! Loads a checked object into the kernel, opens its perf events, attaches its programs and prepares the reads of its sources.
//!
//! After an error everything that was loaded and attached is gone, because it was owned by the value that was being built. A program
//! that fails costs the whole object or itself alone, as the package says (`failure_costs`).

mod globals;
mod program;
mod samples;

use std::{
    collections::BTreeSet,
    ffi::CString,
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
    sync::Arc,
};

use crate::{
    KernelContext, LoadError, MapShape, ObjectError, ObjectFile,
    attach::{
        Attach, AttachError, UsdtSpecs,
        link::{self, RunBy},
    },
    cgroup_map::CgroupMap,
    error::BtfRemedy,
    externs::{self, DeniedSymbol},
    loaded::{LeftOut, Loaded, Program, Wanted},
    maps::{Maps, full_size},
    object::ProgramDeclaration,
    perf::PerfReader,
    source::Source,
    sys,
    types::{KernelBtf, ModuleFds},
    unread_maps::{UnreadMaps, reader},
};
use ebhost_object::{BtfFeatures, InitialValue, MapFds, Object, core::Missing};
use ebhost_package as package;
use ebhost_package::{
    BtfFile, FailureCost, ProgramChoice,
    perf::{Perf, PerfSources},
};
use globals::Globals;
use program::ObjectData;
pub(crate) use program::ProgramError;

/// Opens the perf events, loads and attaches the object, and prepares the reads of the `wanted` sources.
///
/// # Errors
/// See [`LoadError`]. Nothing is left in the kernel then.
pub fn load(
    object: Option<(&ObjectFile, &package::Bpf)>,
    perf: &PerfSources,
    wanted: &[Wanted<'_>],
    map_memory_limit_bytes: u64,
    context: &KernelContext,
) -> Result<Loaded, LoadError> {
    let perf_reader = |(name, perf): (&String, &Perf)| PerfReader::new(name, &perf.events, context.opener());
    let mut perf_readers: Vec<_> = perf.iter().map(perf_reader).collect();
    let Some((object, bpf)) = object else {
        perf_readers.iter_mut().for_each(open);
        let sources =
            wanted.iter().filter_map(|wanted| take(&mut perf_readers, wanted.name)).map(Source::Perf).collect();
        return Ok(loaded(UnreadMaps::default(), sources, perf_readers));
    };
    let mut loading = Loading::begin(object, bpf, perf, map_memory_limit_bytes, context)?;
    for reader in &mut perf_readers {
        loading.fill(reader, &perf[&reader.name])?;
        if perf[&reader.name].samples.is_none() {
            open(reader);
        }
    }
    // Buffers are open and cgroups known before the first program runs, so that no event is written into a buffer that nobody reads.
    let is_map = |wanted: &&Wanted<'_>| !perf.contains_key(wanted.name);
    loading.check_deletable()?;
    let cgroup_map = loading.cgroup_map()?;
    let maps = wanted.iter().filter(is_map).map(|wanted| reader(object, bpf, &loading.maps, wanted, context));
    let mut maps = maps.collect::<Result<Vec<_>, _>>()?.into_iter();
    let programs = loading.programs(&mut perf_readers)?;
    let source = |wanted: &Wanted<'_>| take(&mut perf_readers, wanted.name).map(Source::Perf).or_else(|| maps.next());
    let sources = wanted.iter().filter_map(source).collect();
    let Loading { maps, missing_symbols, .. } = loading;
    let unread = UnreadMaps::new(maps);
    unread.opened(wanted.iter().filter(is_map).map(|wanted| wanted.name));
    Ok(Loaded { programs, missing_symbols, cgroup_map, ..loaded(unread, sources, perf_readers) })
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

/// Opens the events of a source. Events that cannot be opened say why in their states, and are tried again at every read.
fn open(reader: &mut PerfReader) {
    let _ = reader.read();
}

fn take(readers: &mut Vec<PerfReader>, name: &str) -> Option<PerfReader> {
    readers.iter().position(|reader| reader.name == name).map(|at| readers.remove(at))
}

/// An object whose maps are in the kernel and whose programs are ready to be loaded.
struct Loading<'a> {
    object: &'a ObjectFile,
    bpf: &'a package::Bpf,
    perf: &'a PerfSources,
    context: &'a KernelContext,
    /// With globals set, externs resolved, and adapted to the kernel's types.
    parsed: Object,
    license: CString,
    /// The object's BTF in the kernel.
    btf: Option<OwnedFd>,
    maps: Maps,
    /// Descriptors of the maps, in the order of the object's maps.
    map_fds: Vec<i32>,
    /// The types of the running kernel, or why it shows none.
    types: Result<KernelBtf, String>,
    modules: ModuleFds,
    /// Accesses that this kernel's types do not have.
    missing: Vec<Missing>,
    /// Symbols of modules whose types this thread may not open.
    denied: Vec<DeniedSymbol>,
    missing_symbols: Vec<String>,
}

impl<'a> Loading<'a> {
    /// Fits the object to the kernel and creates its maps.
    fn begin(
        object: &'a ObjectFile,
        bpf: &'a package::Bpf,
        perf: &'a PerfSources,
        map_memory_limit_bytes: u64,
        context: &'a KernelContext,
    ) -> Result<Self, LoadError> {
        let path = &bpf.object.path;
        if let Some(name) = perf.keys().find(|name| object.maps.contains_key(*name)) {
            return Err(LoadError::SameName { path: path.clone(), name: name.clone() });
        }
        let globals = Globals::new(object, bpf)?;
        bpf.max_entries.iter().try_for_each(|(name, size)| object.check_size(name, *size))?;
        let cpus = sys::possible_cpus().map_err(|error| LoadError::PossibleCpus { path: path.clone(), error })?;
        let mut parsed = object.parsed().clone();
        for (name, value) in &globals.values {
            if !parsed.set_global(name, value) {
                return Err(LoadError::Load { path: path.clone(), why: format!("its global `{name}` cannot be set") });
            }
        }
        let mut modules = ModuleFds::default();
        // A symbol that is absent is an error of the programs that refer to it, when they are linked.
        let types = context.types();
        let denied = externs::resolve(&mut parsed, types.as_ref().ok(), &mut modules)
            .map_err(|names| LoadError::NotConfigured { path: path.clone(), names })?;
        let missing = adapt(&mut parsed, bpf, types.as_ref())?;
        let btf = load_btf(&parsed);
        for (name, entries) in &bpf.max_entries {
            for map in parsed.maps.iter_mut().filter(|map| map.name == *name) {
                map.max_entries = entries.on(cpus);
            }
        }
        if let Ok(types) = &types {
            parsed.maps.iter_mut().filter(|map| is_unknown_storage(map, types)).for_each(stand_in);
        }
        check_memory(path, &parsed.maps, cpus, map_memory_limit_bytes)?;
        let maps = Maps::create(&mut parsed.maps, btf.as_ref().map(OwnedFd::as_fd))
            .map_err(|(map, error)| LoadError::no_map(path, map, error))?;
        let fd = |map: &ebhost_object::Map| maps.get(&map.name).map_or(-1, |map| map.as_fd().as_raw_fd());
        let map_fds = parsed.maps.iter().map(fd).collect();
        let license = CString::new(parsed.license.clone()).unwrap_or_default();
        let missing_symbols = globals.missing_symbols;
        let loading = Self {
            object,
            bpf,
            perf,
            context,
            parsed,
            license,
            btf,
            maps,
            map_fds,
            types,
            modules,
            missing,
            denied,
            missing_symbols,
        };
        loading.fill_maps_of_maps()?;
        Ok(loading)
    }

    fn path(&self) -> &Path {
        &self.bpf.object.path
    }

    /// Gives a perf source the arrays that it puts its events into, as plugin.yaml says.
    fn fill(&mut self, reader: &mut PerfReader, perf: &Perf) -> Result<(), LoadError> {
        let mut maps = Vec::with_capacity(perf.maps.len());
        for name in &perf.maps {
            self.object.map(name, "`perf` in plugin.yaml")?;
            let map = self.maps.for_events(name);
            maps.push(map.map_err(|error| LoadError::unreadable(self.path(), name, error))?);
        }
        reader.fill(maps);
        Ok(())
    }

    /// Checks that entries can be deleted from the maps for which plugin.yaml allows it.
    fn check_deletable(&self) -> Result<(), LoadError> {
        for name in &self.bpf.delete_departed {
            self.object.map(name, "`delete_departed`")?;
            if self.maps.get(name).is_some_and(|map| map.shape().is_array()) {
                let why =
                    "found an array in `delete_departed`, expected a map whose entries can be deleted, such as a hash";
                return Err(LoadError::unreadable(self.path(), name, io::Error::other(why)));
            }
        }
        Ok(())
    }

    /// Fills the cgroup id map, if there is one.
    fn cgroup_map(&self) -> Result<Option<CgroupMap>, LoadError> {
        let Some(config) = &self.bpf.cgroup_id_map else { return Ok(None) };
        self.object.map(&config.name, "`cgroup_id_map`")?;
        let map = self.maps.get(&config.name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
        let filled = map.and_then(|map| CgroupMap::fill(map, config));
        filled.map(Some).map_err(|error| LoadError::unreadable(self.path(), &config.name, error))
    }

    /// Loads and attaches the programs: those that are chosen, and those that perf sources in plugin.yaml name.
    fn programs(&self, perf_readers: &mut Vec<PerfReader>) -> Result<Vec<Program>, LoadError> {
        let mut chosen = self.object.chosen(self.bpf.programs.as_deref())?;
        let sampled = self.perf.values().filter_map(|perf| perf.samples.as_ref());
        let sampled: Vec<_> = sampled.map(|samples| ProgramChoice::from(samples.program.as_str())).collect();
        for named in self.object.chosen(Some(&sampled))? {
            if !chosen.contains(&named) {
                chosen.push(named);
            }
        }
        let specs: Option<Arc<_>> = self.maps.get(UsdtSpecs::MAP).cloned();
        let mut specs = specs.as_deref().map(UsdtSpecs::new);
        let mut programs = Vec::with_capacity(chosen.len());
        for alternatives in chosen {
            programs.push(self.start_one(&alternatives, specs.as_mut(), perf_readers)?);
        }
        self.fill_program_arrays(&programs)?;
        samples::run_marked(&mut programs);
        Ok(programs)
    }

    /// Puts programs into the slots that `.values` of a program array gives them. The slot of a program that was not loaded stays empty.
    fn fill_program_arrays(&self, programs: &[Program]) -> Result<(), LoadError> {
        for map in &self.parsed.maps {
            for initial in &map.initial {
                let InitialValue::Program { index, name } = initial else { continue };
                let program = programs.iter().find(|program| program.name == *name);
                let Some(file) = program.and_then(|program| program.file.as_ref()) else { continue };
                self.set_slot(&map.name, *index, file.as_raw_fd())?;
            }
        }
        Ok(())
    }

    /// Puts maps into the slots that `.values` of a map of maps gives them.
    fn fill_maps_of_maps(&self) -> Result<(), LoadError> {
        for map in &self.parsed.maps {
            for initial in &map.initial {
                let InitialValue::Map { index, name } = initial else { continue };
                let Some(inner) = self.maps.get(name) else { continue };
                self.set_slot(&map.name, *index, inner.as_fd().as_raw_fd())?;
            }
        }
        Ok(())
    }

    fn set_slot(&self, map: &str, index: u32, fd: i32) -> Result<(), LoadError> {
        let Some(outer) = self.maps.get(map) else { return Ok(()) };
        outer
            .update(&index.to_ne_bytes(), &fd.to_ne_bytes())
            .map_err(|error| LoadError::unreadable(self.path(), map, error))
    }

    /// Loads and attaches the first program that the kernel takes. If it takes none, that costs the object or this program alone, as
    /// plugin.yaml says.
    fn start_one(
        &self,
        alternatives: &[(&str, &ProgramDeclaration)],
        mut specs: Option<&mut UsdtSpecs<'_>>,
        perf_readers: &mut Vec<PerfReader>,
    ) -> Result<Program, LoadError> {
        let mut refused = Vec::new();
        for (name, declared) in alternatives {
            let mut program = Program::new(name);
            match self.start(&mut program, declared, specs.as_deref_mut(), perf_readers) {
                Ok(()) => return Ok(program),
                Err(error) => refused.push((program, error)),
            }
        }
        let (mut programs, mut errors): (Vec<_>, Vec<_>) = refused.into_iter().unzip();
        let first = programs.swap_remove(0);
        let error = if errors.len() == 1 { errors.remove(0) } else { LoadError::no_alternative(self.path(), errors) };
        if self.bpf.failure_costs == FailureCost::Object {
            return Err(error);
        }
        let left_out = LeftOut { reason: error.reason(), fault: error.to_string() };
        Ok(Program { left_out: Some(left_out), ..first })
    }

    /// Loads and attaches one program.
    fn start(
        &self,
        program: &mut Program,
        declared: &ProgramDeclaration,
        specs: Option<&mut UsdtSpecs<'_>>,
        perf_readers: &mut Vec<PerfReader>,
    ) -> Result<(), LoadError> {
        let (path, name) = (self.path(), program.name.as_str());
        let section = declared.section.as_ref().map_err(|section| ObjectError::UnknownSection {
            path: path.to_owned(),
            program: name.to_owned(),
            section: section.clone(),
        })?;
        if let Attach::Unplaced { expected, .. } = section.attach
            && section.attach.is_loaded_for_its_target()
        {
            return Err(LoadError::not_attached(path, name, AttachError::unplaced(expected)));
        }
        let linked = self.parsed.link(name, MapFds(&self.map_fds));
        let linked = linked.map_err(|error| LoadError::not_linked(path, name, &error, &self.denied))?;
        let btf = self.btf.as_ref().map(OwnedFd::as_fd);
        let object = ObjectData { license: &self.license, btf, modules: &self.modules };
        let file = program::load(name, section, &linked, object, self.types.as_ref())
            .map_err(|error| LoadError::not_loaded(path, name, error, &self.missing))?;
        let file = program.file.insert(file);
        program.links = link::attach(file.as_fd(), &section.attach, specs)
            .map_err(|error| LoadError::not_attached(path, name, error))?;
        if let Attach::PerfEvent(own) = &section.attach {
            if own.is_some() {
                program.links.run = RunBy::Samples;
            }
            let file = file.try_clone().map_err(|error| LoadError::unreadable(path, name, error))?;
            self.sample(name, own.as_ref(), file, perf_readers)?;
        }
        Ok(())
    }
}

/// Whether a map keeps values with kernel objects of a kind that this kernel has no such maps for. (Task storage is there from Linux 5.11 on.)
fn is_unknown_storage(map: &ebhost_object::Map, types: &KernelBtf) -> bool {
    MapShape::declared(map).is_storage() && !types.has_map_type(map.kind)
}

/// Makes a map that this kernel cannot create an array of one number. A program may refer to it where the verifier never gets, because it asks
/// by CO-RE what the kernel has; a program that uses it is refused.
fn stand_in(map: &mut ebhost_object::Map) {
    *map = ebhost_object::Map {
        kind: aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
        key_size: size_of::<u32>() as u32,
        value_size: size_of::<u64>() as u32,
        max_entries: 1,
        flags: 0,
        key_type: 0,
        value_type: 0,
        pinned: false,
        ..map.clone()
    };
}

/// Refuses maps that would take more memory than the package may have, before any of them is created.
fn check_memory(path: &Path, maps: &[ebhost_object::Map], cpus: usize, limit_bytes: u64) -> Result<(), LoadError> {
    let sizes: Vec<_> = maps.iter().map(|map| (full_size(MapShape::declared(map), cpus), map.name.as_str())).collect();
    let needed_bytes = sizes.iter().fold(0u64, |sum, (bytes, _)| sum.saturating_add(*bytes));
    match sizes.iter().max() {
        Some((largest_bytes, largest)) if needed_bytes > limit_bytes => Err(LoadError::MapMemory {
            path: path.to_owned(),
            needed_bytes,
            limit_bytes,
            largest: (*largest).to_owned(),
            largest_bytes: *largest_bytes,
        }),
        _ => Ok(()),
    }
}

/// Adapts the object to the kernel's types, or to those of a file. Returns the accesses that these do not have.
fn adapt(
    parsed: &mut Object,
    bpf: &package::Bpf,
    running: Result<&KernelBtf, &String>,
) -> Result<Vec<Missing>, LoadError> {
    if !parsed.needs_kernel_types() {
        return Ok(Vec::new());
    }
    let path = &bpf.object.path;
    let no_btf = |why: &String, remedy| LoadError::NoKernelBtf { path: path.clone(), why: why.clone(), remedy };
    let external;
    let types = match &bpf.btf_file {
        BtfFile::Given(file) => {
            external = KernelBtf::from_file(file).map_err(|why| LoadError::NotBtf {
                file: file.clone(),
                path: path.clone(),
                why,
            })?;
            &external
        }
        BtfFile::NotGiven => running.map_err(|why| no_btf(why, BtfRemedy::KernelOrFile))?,
        BtfFile::NotTaken => running.map_err(|why| no_btf(why, BtfRemedy::Kernel))?,
    };
    Ok(parsed.relocate(types).missing)
}

/// Loads the object's BTF as this kernel takes it; without it programs and maps are loaded all the same.
fn load_btf(parsed: &Object) -> Option<OwnedFd> {
    [BtfFeatures::ALL, BtfFeatures::NONE]
        .into_iter()
        .find_map(|features| sys::btf_load(&parsed.kernel_btf(features)?).ok())
}
