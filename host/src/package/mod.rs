//! A plugin package: a directory with a `plugin.yaml`, read and checked whole.
//!
//! Raw file → checked `Package`, and then no more checks: paths lie inside the package, quantities are numbers, names are
//! legal. It reads files and nothing else: it never looks into a component or a BPF object, whose bytes it hands on just
//! as it read them, once.

mod file;
pub mod perf;
mod quantity;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{limits, tables::LookupTable};

pub use file::Place;

/// A package after every check that needs no kernel and no engine.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    /// Its `plugin.yaml`, for messages.
    pub file: PathBuf,
    pub component: Artefact,
    pub bpf: Option<Bpf>,
    /// Groups of perf events, by the name of the source that each is.
    pub perf: perf::PerfSources,
    /// The free-form `config`, as JSON.
    pub config: String,
    /// Lookup tables that its manifest may name.
    pub grants: Vec<LookupTable>,
    pub limits: Limits,
}

/// A file of the package and its bytes, read once.
#[derive(Debug)]
pub struct Artefact {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

/// The BPF object and what is set in it before it is loaded.
#[derive(Debug)]
pub struct Bpf {
    pub object: Artefact,
    pub globals: BTreeMap<String, GlobalValue>,
    pub max_entries: BTreeMap<String, MaxEntries>,
    /// Programs to attach; none: all of the object's.
    pub programs: Option<Vec<String>>,
}

/// A value for a `const volatile` global, before it meets the global's type.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(untagged)]
pub enum GlobalValue {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
}

/// A map's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxEntries {
    Fixed(u32),
    PerCpu(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    pub decode: Duration,
    pub series: usize,
}

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("{path}: cannot be read: {error}; {hint}")]
    Unreadable { path: PathBuf, error: io::Error, hint: &'static str },
    #[error("{0}")]
    Invalid(Place),
    #[error("{path}: found {found} bytes, expected at most {most}: is this the right file?")]
    TooLarge { path: PathBuf, found: u64, most: u64 },
}

/// Why no package can be looked for.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{path}: cannot be listed: {error}; --plugins takes a folder whose subfolders hold a plugin.yaml each")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error(
        "{path}: found no plugin package; expected subfolders with a plugin.yaml each, such as {path}/biolatency/plugin.yaml"
    )]
    Empty { path: PathBuf },
}

/// The `plugin.yaml` files in the direct subfolders of `folder`, by name.
pub fn discover(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let unreadable = |error| FolderError::Unreadable { path: folder.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path().join("plugin.yaml");
        if file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(FolderError::Empty { path: folder.to_owned() });
    }
    files.sort();
    Ok(files)
}

impl Package {
    /// Reads a `plugin.yaml` and the files that it names.
    pub fn read(file: &Path) -> Result<Self, PackageError> {
        let text = read_bounded(file, limits::PACKAGE_FILE_BYTES, "expected a plugin.yaml")?;
        let text = String::from_utf8(text)
            .map_err(|error| PackageError::Invalid(Place::whole(file, format!("is not UTF-8: {error}"))))?;
        let declared = file::parse(file, &text)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let component = read_artefact(
            folder,
            &declared.component,
            limits::COMPONENT_BYTES,
            "`component` names it; build it (`cargo xtask build` for the packages of ebhost's repository) or mend the name",
        )?;
        let bpf = declared.bpf.map(|bpf| read_bpf(folder, bpf)).transpose()?;
        Ok(Self {
            name: declared.name,
            file: file.to_owned(),
            component,
            bpf,
            perf: declared.perf,
            config: declared.config,
            grants: declared.grants,
            limits: declared.limits,
        })
    }
}

fn read_bpf(folder: &Path, declared: file::Bpf) -> Result<Bpf, PackageError> {
    let hint = "`bpf.object` names it; build it (`cargo xtask build` for the packages of ebhost's repository) or mend the name";
    Ok(Bpf {
        object: read_artefact(folder, &declared.object, limits::OBJECT_BYTES, hint)?,
        globals: declared.globals,
        max_entries: declared.max_entries,
        programs: declared.programs,
    })
}

fn read_artefact(folder: &Path, name: &str, most: u64, hint: &'static str) -> Result<Artefact, PackageError> {
    let path = folder.join(name);
    let bytes = read_bounded(&path, most, hint)?;
    Ok(Artefact { path, bytes })
}

fn read_bounded(path: &Path, most: u64, hint: &'static str) -> Result<Vec<u8>, PackageError> {
    let unreadable = |error| PackageError::Unreadable { path: path.to_owned(), error, hint };
    let found = fs::metadata(path).map_err(unreadable)?.len();
    if found > most {
        return Err(PackageError::TooLarge { path: path.to_owned(), found, most });
    }
    fs::read(path).map_err(unreadable)
}
