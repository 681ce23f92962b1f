//! Loads a checked object into the kernel, opens its perf events, attaches its programs and prepares the reads of its sources.
//!
//! After an error everything that was loaded and attached is gone, because it was owned by the value that was being built. A program
//! that fails costs the whole object or itself alone, as the package says (`failure_costs`).

mod fit;
mod globals;
mod program;
mod samples;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
    sync::Arc,
};

use crate::{
    KernelContext, LoadError, ObjectError, ObjectFile,
    attach::{Attach, Links, UsdtSpecs, link},
    cgroup_map::CgroupMap,
    loaded::{LeftOut, Loaded, Program, Wanted},
    maps::Maps,
    object::{ProgramDeclaration, chain},
    perf::PerfReader,
    source::Source,
    sys,
    unread_maps::{UnreadMaps, reader},
};
use ebhost_package as package;
use ebhost_package::{
    FailureCost,
    perf::{Perf, PerfSources},
};
use fit::Fitted;
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
    let mut loading = Loading::begin(object, bpf, perf, context)?;
    for reader in &mut perf_readers {
        loading.fill(reader, &perf[&reader.name])?;
        if perf[&reader.name].samples.is_none() {
            open(reader);
        }
    }
    // Buffers are open and cgroups known before the first program runs, so that no event is written into a buffer that nobody reads.
    let is_map = |wanted: &&Wanted<'_>| !perf.contains_key(wanted.name);
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
    parsed: aya_obj::Object,
    /// The object's BTF in the kernel.
    btf: Option<OwnedFd>,
    maps: Maps,
    /// Sections that this kernel's types do not fit, by index, and why.
    misfits: HashMap<usize, String>,
    unresolved: Vec<String>,
    missing_symbols: Vec<String>,
}

impl<'a> Loading<'a> {
    /// Fits the object to the kernel and creates its maps.
    fn begin(
        object: &'a ObjectFile,
        bpf: &'a package::Bpf,
        perf: &'a PerfSources,
        context: &'a KernelContext,
    ) -> Result<Self, LoadError> {
        let path = &bpf.object.path;
        if let Some(name) = perf.keys().find(|name| object.maps.contains_key(*name)) {
            return Err(LoadError::SameName { path: path.clone(), name: name.clone() });
        }
        let globals = Globals::new(object, bpf)?;
        for name in bpf.max_entries.keys() {
            object.map(name, "`bpf.max_entries` in plugin.yaml")?;
        }
        let cpus = sys::possible_cpus().map_err(|error| LoadError::PossibleCpus { path: path.clone(), error })?;
        let Fitted { mut parsed, own_btf, misfits, unresolved } = Fitted::new(bpf, context, &globals)?;
        let btf = own_btf.and_then(|btf| sys::btf_load(&btf).ok());
        for (name, entries) in &bpf.max_entries {
            if let Some(map) = parsed.maps.get_mut(name) {
                map.set_max_entries(entries.on(cpus));
            }
        }
        let mut declared: BTreeMap<String, aya_obj::Map> = parsed.maps.drain().collect();
        let maps = Maps::create(&mut declared, btf.as_ref().map(OwnedFd::as_fd))
            .map_err(|(map, error)| LoadError::no_map(path, map, error))?;
        relocate(&mut parsed, &declared, &maps).map_err(|why| LoadError::Load { path: path.clone(), why })?;
        let missing_symbols = globals.missing_symbols;
        Ok(Self { object, bpf, perf, context, parsed, btf, maps, misfits, unresolved, missing_symbols })
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
        let sampled: Vec<_> = self.perf.values().filter_map(|perf| perf.samples.clone()).map(|s| s.program).collect();
        for named in self.object.chosen(Some(&sampled))? {
            if !chosen.contains(&named) {
                chosen.push(named);
            }
        }
        let specs: Option<Arc<_>> = self.maps.get(UsdtSpecs::MAP).cloned();
        let mut specs = specs.as_deref().map(UsdtSpecs::new);
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
        samples::run_marked(&mut programs);
        Ok(programs)
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
        if let Some(what) = self.misfits.get(&declared.section_index) {
            return Err(LoadError::Lacking { path: path.to_owned(), program: name.to_owned(), what: what.clone() });
        }
        let parsed = self.parsed.programs.get(name);
        let function = parsed.and_then(|program| self.parsed.functions.get(&program.function_key()));
        let Some(function) = function else {
            let why = format!("program `{name}` is not among those that were parsed");
            return Err(LoadError::Load { path: path.to_owned(), why });
        };
        let object = ObjectData { license: &self.parsed.license, btf: self.btf.as_ref().map(OwnedFd::as_fd) };
        let file = program::load(name, section, function, object, self.context.btf())
            .map_err(|error| LoadError::not_loaded(path, name, error, &self.unresolved))?;
        let file = program.file.insert(file);
        program.links = link::attach(file.as_fd(), &section.attach, specs)
            .map_err(|error| LoadError::not_attached(path, name, &error))?;
        if let Attach::PerfEvent(own) = &section.attach {
            let file = file.try_clone().map_err(|error| LoadError::unreadable(path, name, error))?;
            self.sample(name, own.as_ref(), file, perf_readers)?;
        }
        Ok(())
    }
}

/// Writes the maps' descriptors and the offsets of called functions into the instructions.
fn relocate(
    parsed: &mut aya_obj::Object,
    declared: &BTreeMap<String, aya_obj::Map>,
    maps: &Maps,
) -> Result<(), String> {
    let text_sections: HashSet<usize> = parsed.functions.keys().map(|(section, _)| *section).collect();
    let files = declared.iter().filter_map(|(name, declared)| {
        let map = maps.get(name)?;
        Some((name.as_str(), map.as_fd().as_raw_fd(), declared))
    });
    parsed.relocate_maps(files, &text_sections).map_err(|error| chain(&error))?;
    parsed.relocate_calls(&text_sections).map_err(|error| chain(&error))?;
    parsed.sanitize_functions(aya::features());
    Ok(())
}
