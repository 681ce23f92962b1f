//! Loads a checked object into the kernel, attaches its programs and prepares the reads of its maps.
//!
//! All or nothing: what was loaded and attached before an error is gone when the error is returned, because everything
//! is owned by what was being built.

use std::{
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    thread,
};

use aya::{Ebpf, EbpfError, EbpfLoader, maps::Map, programs::ProgramError};

use super::{
    KernelTypes, ObjectError, ObjectFile,
    object::chain,
    read::MapReader,
    syscall::{self, RunStatistics},
};
use crate::{
    limits::VERIFIER_LOG_LINES,
    package::{self, MaxEntries},
};

/// An object in the kernel. Dropping it detaches and unloads everything.
#[derive(Debug)]
pub struct Loaded {
    ebpf: Ebpf,
    pub programs: Vec<String>,
    /// Readers of the maps that were asked for, in that order.
    pub maps: Vec<MapReader>,
    /// Of maps that an earlier version of the component asked for: a later one may ask again.
    spare: Vec<MapReader>,
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
        "this kernel ({}) shows no BTF at /sys/kernel/btf/vmlinux, which {path} needs: a kernel built with CONFIG_DEBUG_INFO_BTF=y",
        kernel_release()
    )]
    NoKernelBtf { path: PathBuf },
}

/// Loads, attaches, and prepares the reads of `maps`.
pub fn load(object: &ObjectFile, bpf: &package::Bpf, maps: &[&str], types: &KernelTypes) -> Result<Loaded, LoadError> {
    let path = &bpf.object.path;
    let chosen = object.chosen(bpf.programs.as_deref())?;
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
    let mut ebpf = loader.load(&bpf.object.bytes).map_err(|error| refused(path, &error))?;
    let mut programs = Vec::with_capacity(chosen.len());
    for (name, attach) in chosen {
        let Some(program) = ebpf.program_mut(name) else {
            let why = format!("program `{name}` is not among those that were loaded");
            return Err(LoadError::Load { path: path.clone(), why });
        };
        attach.attach(program, kernel_btf).map_err(|error| not_attached(path, name, error))?;
        programs.push(name.to_owned());
    }
    let maps = maps.iter().map(|name| reader(object, bpf, &mut ebpf, name, types)).collect::<Result<_, _>>()?;
    Ok(Loaded { ebpf, programs, maps, spare: Vec::new() })
}

impl Loaded {
    /// Reads these maps from now on, in this order. The programs stay attached and the maps stay what they are; after an
    /// error everything is as it was.
    pub fn choose(
        &mut self,
        object: &ObjectFile,
        bpf: &package::Bpf,
        maps: &[&str],
        types: &KernelTypes,
    ) -> Result<(), LoadError> {
        let is_there = |name: &str| self.maps.iter().chain(&self.spare).any(|map| map.name == name);
        let new: Vec<_> = maps.iter().copied().filter(|name| !is_there(name)).collect();
        for name in new {
            let map = reader(object, bpf, &mut self.ebpf, name, types)?;
            self.spare.push(map);
        }
        self.spare.append(&mut self.maps);
        for name in maps {
            if let Some(place) = self.spare.iter().position(|map| map.name == *name) {
                self.maps.push(self.spare.swap_remove(place));
            }
        }
        Ok(())
    }

    /// How often and how long a program ran; none: the kernel does not say.
    pub fn run_statistics(&self, program: &str) -> Option<RunStatistics> {
        let fd = self.ebpf.program(program)?.fd().ok()?;
        syscall::run_statistics(fd.as_fd()).ok()
    }
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
fn loader<'a>(types: &'a KernelTypes) -> (EbpfLoader<'a>, Option<&'a aya::Btf>) {
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

fn reader(
    object: &ObjectFile,
    bpf: &package::Bpf,
    ebpf: &mut Ebpf,
    name: &str,
    types: &KernelTypes,
) -> Result<MapReader, LoadError> {
    let mut shape = object.map(name, "the plugin's manifest")?;
    if let Some(entries) = bpf.max_entries.get(name) {
        shape.max_entries = entries.on(types.cpus);
    }
    let unreadable = |error| LoadError::Map { path: bpf.object.path.clone(), map: name.to_owned(), error };
    let data = match ebpf.take_map(name) {
        Some(
            Map::Array(data)
            | Map::PerCpuArray(data)
            | Map::HashMap(data)
            | Map::LruHashMap(data)
            | Map::PerCpuHashMap(data)
            | Map::PerCpuLruHashMap(data)
            | Map::LpmTrie(data),
        ) => data,
        _ => {
            let error = io::Error::other("expected a hash, LRU hash, array, their per-CPU forms, or an LPM trie");
            return Err(unreadable(error));
        }
    };
    MapReader::new(name, shape, data, types.cpus).map_err(unreadable)
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
