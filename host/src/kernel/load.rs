//! Loads a checked object into the kernel, opens its perf events, attaches its programs and prepares the reads of its sources.
//!
//! All or nothing: what was loaded and attached before an error is gone when the error is returned, because everything
//! is owned by what was being built.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    thread,
};

use aya::{Btf, Ebpf, EbpfError, EbpfLoader, maps::Map, programs::ProgramError};

use super::{
    KernelTypes, ObjectError, ObjectFile,
    attach::Attach,
    events::{Drops, EventReader},
    object::chain,
    perf::PerfReader,
    read::MapReader,
    source::Source,
    syscall::{self, RunStatistics},
};
use crate::{
    limits::VERIFIER_LOG_LINES,
    package::{
        self, MaxEntries,
        perf::{Event, Perf, PerfSources, Rate},
    },
};

/// A package's object and perf events in the kernel. Dropping it detaches, closes and unloads everything.
#[derive(Debug)]
pub struct Loaded {
    ebpf: Option<Ebpf>,
    pub programs: Vec<String>,
    /// The sources that were asked for, in that order.
    pub sources: Vec<Source>,
    /// Perf events that no view reads: they run programs, or are read by them.
    pub others: Vec<PerfReader>,
    /// What an earlier version of the component asked for: a later one may ask again.
    spare: Vec<Source>,
}

/// A source that views read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub name: &'a str,
    /// The sizes of the views' values, each once.
    pub value_sizes: Vec<usize>,
}

/// Why an object is not in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("{path}: {why}: not permitted; {}", privileges())]
    NotPermitted { path: PathBuf, why: String },
    #[error("{path}: the kernel's verifier refuses program `{program}` ({error}); the end of its log:\n{log}")]
    Verifier { path: PathBuf, program: String, error: io::Error, log: String },
    #[error(
        "{path}: program `{program}` cannot be attached: {why}; does this kernel ({}) have that tracepoint?",
        kernel_release()
    )]
    Attach { path: PathBuf, program: String, why: String },
    #[error("{path}: cannot be loaded: {why}")]
    Load { path: PathBuf, why: String },
    #[error("{path}: map `{map}` cannot be read: {error}")]
    Map { path: PathBuf, map: String, error: io::Error },
    #[error(
        "{path}: program `{program}` is in section `perf_event`, which names no event: expected a source under `perf:` in \
         plugin.yaml with `program: {program}`, or the section `perf_event/type=T,config=C,frequency=F`"
    )]
    NoEvent { path: PathBuf, program: String },
    #[error("{path}: has a map `{name}`, and `perf` in plugin.yaml has a source of that name; rename the source")]
    SameName { path: PathBuf, name: String },
    #[error(
        "this kernel ({}) shows no BTF at /sys/kernel/btf/vmlinux, which {path} needs: a kernel built with CONFIG_DEBUG_INFO_BTF=y",
        kernel_release()
    )]
    NoKernelBtf { path: PathBuf },
}

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
        return Ok(Loaded { ebpf: None, programs: Vec::new(), sources, others: perf_readers, spare: Vec::new() });
    };
    let mut loading = Loading::begin(object, bpf, perf, types)?;
    for reader in &mut perf_readers {
        loading.fill(reader, &perf[&reader.name])?;
        if perf[&reader.name].samples.is_none() {
            open(reader);
        }
    }
    // Buffers are open before the first program runs, so that no event is written to none.
    let is_map = |wanted: &&Wanted<'_>| !perf.contains_key(wanted.name);
    let maps = wanted.iter().filter(is_map).map(|wanted| loading.reader(wanted)).collect::<Result<Vec<_>, _>>()?;
    let programs = loading.attach(&mut perf_readers)?;
    let mut maps = maps.into_iter();
    let source = |wanted: &Wanted<'_>| take(&mut perf_readers, wanted.name).map(Source::Perf).or_else(|| maps.next());
    let sources = wanted.iter().filter_map(source).collect();
    Ok(Loaded { ebpf: Some(loading.ebpf), programs, sources, others: perf_readers, spare: Vec::new() })
}

/// Opens what can be opened; what cannot says so in its states, and is tried again at every read.
fn open(reader: &mut PerfReader) {
    let _ = reader.read();
}

fn take(readers: &mut Vec<PerfReader>, name: &str) -> Option<PerfReader> {
    readers.iter().position(|reader| reader.name == name).map(|at| readers.remove(at))
}

impl Loaded {
    /// Reads these sources from now on, in this order. The programs stay attached and the maps stay what they are; after an
    /// error everything is as it was.
    pub fn choose(
        &mut self,
        object: Option<(&ObjectFile, &package::Bpf)>,
        wanted: &[Wanted<'_>],
        types: &KernelTypes,
    ) -> Result<(), LoadError> {
        for wanted in wanted {
            let perf = self.others.iter().any(|reader| reader.name == wanted.name);
            let is_there = perf || self.sources.iter().chain(&self.spare).any(|source| source.name() == wanted.name);
            if let (false, Some((object, bpf)), Some(ebpf)) = (is_there, object, &mut self.ebpf) {
                self.spare.push(reader(object, bpf, ebpf, wanted, types)?);
            }
        }
        let mut all: Vec<_> = self.spare.drain(..).chain(self.sources.drain(..)).collect();
        all.extend(self.others.drain(..).map(Source::Perf));
        for wanted in wanted {
            if let Some(place) = all.iter().position(|source| source.name() == wanted.name) {
                let mut source = all.swap_remove(place);
                if let Source::Events(events) = &mut source {
                    events.announce(&wanted.value_sizes);
                }
                self.sources.push(source);
            }
        }
        for source in all {
            match source {
                Source::Perf(reader) => self.others.push(reader),
                source => self.spare.push(source),
            }
        }
        Ok(())
    }

    /// How often and how long a program ran; none: the kernel does not say.
    pub fn run_statistics(&self, program: &str) -> Option<RunStatistics> {
        let fd = self.ebpf.as_ref()?.program(program)?.fd().ok()?;
        syscall::run_statistics(fd.as_fd()).ok()
    }

    /// Every perf source.
    pub fn perf(&self) -> impl Iterator<Item = &PerfReader> {
        let read = self.sources.iter().filter_map(|source| match source {
            Source::Perf(reader) => Some(reader),
            Source::Map(_) | Source::Events(_) => None,
        });
        read.chain(&self.others)
    }

    /// What has become of perf events since this was last asked, a line each.
    pub fn perf_news(&mut self) -> Vec<String> {
        let read = self.sources.iter_mut().filter_map(|source| match source {
            Source::Perf(reader) => Some(reader),
            Source::Map(_) | Source::Events(_) => None,
        });
        read.chain(&mut self.others).flat_map(PerfReader::news).collect()
    }
}

/// An object whose maps are in the kernel.
struct Loading<'a> {
    object: &'a ObjectFile,
    bpf: &'a package::Bpf,
    perf: &'a PerfSources,
    types: &'a KernelTypes,
    kernel_btf: &'a Btf,
    ebpf: Ebpf,
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
        let globals = globals(object, bpf)?;
        let (mut loader, kernel_btf) = loader(types);
        let Some(kernel_btf) = kernel_btf else {
            return Err(LoadError::NoKernelBtf { path: path.clone() });
        };
        loader.btf(Some(kernel_btf)).allow_unsupported_maps();
        for (name, bytes) in &globals {
            loader.override_global(name, bytes.as_slice(), true);
        }
        for (name, entries) in &bpf.max_entries {
            object.map(name, "`bpf.max_entries` in plugin.yaml")?;
            loader.map_max_entries(name, entries.on(types.cpus));
        }
        let ebpf = loader.load(&bpf.object.bytes).map_err(|error| refused(path, &error))?;
        Ok(Self { object, bpf, perf, types, kernel_btf, ebpf })
    }

    /// Gives a perf source the arrays that plugin.yaml has it fill.
    fn fill(&mut self, reader: &mut PerfReader, perf: &Perf) -> Result<(), LoadError> {
        let mut maps = Vec::with_capacity(perf.maps.len());
        for name in &perf.maps {
            let shape = self.object.map(name, "`perf` in plugin.yaml")?;
            match self.ebpf.take_map(name) {
                Some(Map::PerfEventArray(data)) if shape.is_perf_event_array() => maps.push(data),
                _ => {
                    let error = "expected a perf event array, named by one event alone";
                    return Err(self.unreadable(name, io::Error::other(error)));
                }
            }
        }
        reader.fill(maps);
        Ok(())
    }

    /// Attaches the programs: those that are chosen, and those that perf sources in plugin.yaml name.
    fn attach(&mut self, perf_readers: &mut Vec<PerfReader>) -> Result<Vec<String>, LoadError> {
        let path = &self.bpf.object.path;
        let mut chosen = self.object.chosen(self.bpf.programs.as_deref())?;
        let sampled: Vec<_> = self.perf.values().filter_map(|perf| perf.samples.clone()).map(|s| s.program).collect();
        for named in self.object.chosen(Some(&sampled))? {
            if !chosen.contains(&named) {
                chosen.push(named);
            }
        }
        let mut programs = Vec::with_capacity(chosen.len());
        for (name, attach) in chosen {
            let Some(program) = self.ebpf.program_mut(name) else {
                let why = format!("program `{name}` is not among those that were loaded");
                return Err(LoadError::Load { path: path.clone(), why });
            };
            attach.attach(program, self.kernel_btf).map_err(|error| not_attached(path, name, error))?;
            if let Attach::PerfEvent(own) = attach {
                let file =
                    program.fd().and_then(|file| file.as_fd().try_clone_to_owned().map_err(ProgramError::IOError));
                let file = file.map_err(|error| not_attached(path, name, error))?;
                sample(path, name, own.as_ref(), file, (self.perf, self.types), perf_readers)?;
            }
            programs.push(name.to_owned());
        }
        Ok(programs)
    }

    fn reader(&mut self, wanted: &Wanted<'_>) -> Result<Source, LoadError> {
        reader(self.object, self.bpf, &mut self.ebpf, wanted, self.types)
    }

    fn unreadable(&self, map: &str, error: io::Error) -> LoadError {
        unreadable(self.bpf, map, error)
    }
}

/// What reads a map for its views.
fn reader(
    object: &ObjectFile,
    bpf: &package::Bpf,
    ebpf: &mut Ebpf,
    wanted: &Wanted<'_>,
    types: &KernelTypes,
) -> Result<Source, LoadError> {
    let name = wanted.name;
    let mut shape = object.map(name, "the plugin's manifest")?;
    if let Some(entries) = bpf.max_entries.get(name) {
        shape.max_entries = entries.on(types.cpus);
    }
    let source = match ebpf.take_map(name) {
        Some(
            Map::Array(data)
            | Map::PerCpuArray(data)
            | Map::HashMap(data)
            | Map::LruHashMap(data)
            | Map::PerCpuHashMap(data)
            | Map::PerCpuLruHashMap(data)
            | Map::LpmTrie(data),
        ) => MapReader::new(name, shape, data, types.cpus).map(|map| Source::Map(Box::new(map))),
        Some(map @ (Map::RingBuf(_) | Map::PerfEventArray(_))) => {
            let drops = drops(object, ebpf, name).map_err(|error| unreadable(bpf, name, error))?;
            EventReader::new(name, map, &wanted.value_sizes, drops).map(Source::Events)
        }
        _ => Err(io::Error::other(
            "expected a hash, LRU hash, array, their per-CPU forms, an LPM trie, a ring buffer, or a perf event \
             array that `perf` does not name",
        )),
    };
    source.map_err(|error| unreadable(bpf, name, error))
}

fn drops(object: &ObjectFile, ebpf: &Ebpf, buffer: &str) -> io::Result<Option<Drops>> {
    let found = object.drops(buffer).and_then(|counter| {
        let (globals, shape) = (ebpf.map(&counter.map)?, object.maps.get(&counter.map)?);
        Some(Drops::new(counter, globals, *shape))
    });
    found.transpose()
}

fn unreadable(bpf: &package::Bpf, map: &str, error: io::Error) -> LoadError {
    LoadError::Map { path: bpf.object.path.clone(), map: map.to_owned(), error }
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

impl MaxEntries {
    fn on(self, cpus: usize) -> u32 {
        match self {
            Self::Fixed(entries) => entries,
            Self::PerCpu(entries) => entries.saturating_mul(u32::try_from(cpus).unwrap_or(u32::MAX)),
        }
    }
}

/// A new loader parses the kernel's types, 25 ms of CPU, and keeps them to itself; attaching needs them too. So the first time
/// both are parsed side by side.
fn loader<'a>(types: &'a KernelTypes) -> (EbpfLoader<'a>, Option<&'a Btf>) {
    thread::scope(|scope| {
        let ours = scope.spawn(|| types.aya());
        let loader = EbpfLoader::new();
        (loader, ours.join().unwrap_or_default())
    })
}

/// The globals that plugin.yaml sets, as the bytes of their types.
fn globals(object: &ObjectFile, bpf: &package::Bpf) -> Result<Vec<(String, Vec<u8>)>, ObjectError> {
    bpf.globals.iter().map(|(name, value)| Ok((name.clone(), object.encode_global(name, value)?))).collect()
}

fn refused(path: &Path, error: &EbpfError) -> LoadError {
    let why = chain(error);
    if is_permission(error) {
        LoadError::NotPermitted { path: path.to_owned(), why: "BPF maps cannot be created".to_owned() }
    } else {
        LoadError::Load { path: path.to_owned(), why }
    }
}

fn not_attached(path: &Path, program: &str, error: ProgramError) -> LoadError {
    let (path, program) = (path.to_owned(), program.to_owned());
    match error {
        // Without a log the verifier never saw the program.
        ProgramError::LoadError { io_error, verifier_log } if !verifier_log.to_string().trim().is_empty() => {
            LoadError::Verifier { path, program, error: io_error, log: end_of(&verifier_log.to_string()) }
        }
        error if is_permission(&error) => {
            LoadError::NotPermitted { path, why: format!("program `{program}` cannot be loaded") }
        }
        error => LoadError::Attach { path, program, why: chain(&error) },
    }
}

fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io_error) = error.downcast_ref::<io::Error>() {
            return io_error.kind() == io::ErrorKind::PermissionDenied;
        }
        cause = error.source();
    }
    false
}

fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(VERIFIER_LOG_LINES)..].join("\n")
}

fn privileges() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    let user = field("Uid:").split_whitespace().nth(1).unwrap_or("?").to_owned();
    format!(
        "found user {user} with the effective capabilities {}, expected root, or CAP_BPF and CAP_PERFMON \
         (`setcap cap_bpf,cap_perfmon+ep` on the binary, or AmbientCapabilities= in its unit)",
        field("CapEff:")
    )
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned())
}
