//! A plugin package: a directory with a `plugin.yaml`, read and checked whole.
//!
//! Raw file → checked `Package`, and then no more checks: paths lie inside the package, quantities are numbers, names are
//! legal. It reads files and nothing else: it never looks into a component or a BPF object, whose bytes it hands on just
//! as it read them, once.

mod builtin;
mod drop_in;
mod file;
mod folders;
mod located;
pub mod perf;
mod quantity;
mod trust;

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;

pub use builtin::Mistakes;
pub use drop_in::DropIns;
pub use file::Diagnostic;
pub use folders::PackageFolders;
pub use trust::{Require, Trust, TrustError};

/// A package after every check that needs no kernel and no engine.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    /// As its author numbers it; empty: not at all.
    pub version: String,
    /// Its `plugin.yaml`, for messages.
    pub file: PathBuf,
    /// Of the bytes of `plugin.yaml`.
    pub digest: Digest,
    pub compat: Compat,
    pub component: Artefact,
    pub bpf: Option<Bpf>,
    /// Groups of perf events, by the name of the source that each is.
    pub perf: perf::PerfSources,
    /// The free-form `config`, as JSON.
    pub config: String,
    /// Of `file`, to point into.
    pub text: String,
    /// Lookup tables that its manifest may name.
    pub grants: Vec<LookupTable>,
    pub limits: Limits,
}

/// The rules that a package's names and numbers follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    /// The plugin contract's.
    Native,
    /// Those of cloudflare/ebpf_exporter: its prefix, any name for a counter, numbers printed like Go's floats.
    EbpfExporter,
}

impl Compat {
    /// The prefix of the families' names; `own` is that of plugins.
    pub fn namespace(self, own: &str) -> &str {
        match self {
            Self::Native => own,
            Self::EbpfExporter => "ebpf_exporter",
        }
    }
}

/// A file of the package and its bytes, read once.
#[derive(Debug)]
pub struct Artefact {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// Of those same bytes.
    pub digest: Digest,
}

impl Artefact {
    pub fn new(path: PathBuf, bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), path, bytes }
    }
}

/// A sha256; it prints in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The BPF object and what is set in it before it is loaded.
#[derive(Debug)]
pub struct Bpf {
    pub object: Artefact,
    pub globals: BTreeMap<String, GlobalValue>,
    pub max_entries: BTreeMap<String, MaxEntries>,
    /// Programs to attach; none: all of the object's.
    pub programs: Option<Vec<String>>,
    /// What a program costs that cannot be loaded or attached.
    pub failure_costs: FailureCost,
    /// Kernel symbols whose addresses the globals `kaddr_SYMBOL` are set to.
    pub kaddrs: Vec<String>,
    pub cgroup_id_map: Option<CgroupIdMap>,
    /// A file with the kernel's types; none: the kernel shows them itself.
    pub btf_path: Option<PathBuf>,
}

/// What a program costs that cannot be loaded or attached, or whose section is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCost {
    /// All of the object: what a package counts, it counts whole.
    #[default]
    Object,
    /// That program alone; the log, the status page and `ebhost_program_attached` tell.
    Program,
}

/// A map that is kept filled with the cgroups whose paths match: each has the value 1.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupIdMap {
    /// The map's name; its values are `u64`.
    pub name: String,
    #[serde(rename = "type", default)]
    pub kind: CgroupIdMapKind,
    /// Of which one has to match anywhere in the path, which begins with the cgroup mount.
    #[serde(deserialize_with = "regexps")]
    pub regexps: Vec<regex::Regex>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupIdMapKind {
    /// A hash with the cgroup's id, a `u64`, for a key.
    #[default]
    Hash,
    /// Storage that belongs to the cgroup itself.
    CgrpStorage,
}

impl Bpf {
    /// An object as it is, with nothing set in it.
    pub fn of(object: Artefact) -> Self {
        Self {
            object,
            globals: BTreeMap::new(),
            max_entries: BTreeMap::new(),
            programs: None,
            failure_costs: FailureCost::Object,
            kaddrs: Vec::new(),
            cgroup_id_map: None,
            btf_path: None,
        }
    }
}

fn regexps<'de, D: serde::Deserializer<'de>>(texts: D) -> Result<Vec<regex::Regex>, D::Error> {
    use serde::{Deserialize as _, de::Error as _};
    let texts = Vec::<String>::deserialize(texts)?;
    texts.iter().map(|text| regex::Regex::new(text).map_err(D::Error::custom)).collect()
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

impl MaxEntries {
    /// Entries on a machine with so many possible CPUs.
    pub fn on(self, cpus: usize) -> u32 {
        match self {
            Self::Fixed(entries) => entries,
            Self::PerCpu(entries) => entries.saturating_mul(u32::try_from(cpus).unwrap_or(u32::MAX)),
        }
    }
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
    Invalid(Diagnostic),
    #[error("{0}")]
    Mistakes(Mistakes),
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
    #[error("{path}: found {found} packages, expected at most {}: is this the right folder?", limits::PACKAGES)]
    TooMany { path: PathBuf, found: usize },
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
    if files.len() > limits::PACKAGES {
        return Err(FolderError::TooMany { path: folder.to_owned(), found: files.len() });
    }
    Ok(files)
}

/// Checks the text of a `plugin.yaml`; the files that it names are not looked at.
pub fn check_text(file: &Path, text: &str) -> Result<(), PackageError> {
    file::parse(file, text).map(drop)
}

impl Package {
    /// Of all its files together: equal if and only if nothing of it changed.
    pub fn content(&self) -> Digest {
        let object = self.bpf.as_ref().map(|bpf| bpf.object.digest);
        Digest::of(format!("{} {} {object:?}", self.digest, self.component.digest).as_bytes())
    }

    /// Of what the kernel is given: programs, maps and what is set in them, perf events.
    pub fn kernel_part(&self) -> Digest {
        let set = |bpf: &Bpf| {
            let object = format!("{:?} {:?} {:?}", bpf.object.digest, bpf.globals, bpf.max_entries);
            let programs = format!("{:?} {:?} {:?}", bpf.programs, bpf.failure_costs, bpf.btf_path);
            format!("{object} {programs} {:?} {:?}", bpf.kaddrs, bpf.cgroup_id_map)
        };
        Digest::of(format!("{:?} {:?}", self.bpf.as_ref().map(set), self.perf).as_bytes())
    }

    /// Reads a `plugin.yaml` and the files that it names.
    pub fn read(file: &Path) -> Result<Self, PackageError> {
        let text = read_bounded(file, limits::PACKAGE_FILE_BYTES, "expected a plugin.yaml")?;
        let digest = Digest::of(&text);
        let text = String::from_utf8(text)
            .map_err(|error| PackageError::Invalid(Diagnostic::whole(file, format!("is not UTF-8: {error}"))))?;
        let declared = file::parse(file, &text)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let component = read_component(folder, &declared.component)?;
        let bpf = declared.bpf.map(|bpf| read_bpf(folder, bpf)).transpose()?;
        Ok(Self {
            name: declared.name,
            version: declared.version,
            file: file.to_owned(),
            digest,
            compat: Compat::Native,
            component,
            bpf,
            perf: declared.perf,
            config: declared.config,
            text,
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
        failure_costs: declared.failure_costs,
        kaddrs: declared.kaddrs,
        cgroup_id_map: declared.cgroup_id_map,
        btf_path: None,
    })
}

fn read_component(folder: &Path, name: &str) -> Result<Artefact, PackageError> {
    if builtin::is_named(name) {
        return Ok(builtin::component());
    }
    let hint =
        "`component` names it; build it (`cargo xtask build` for the packages of ebhost's repository) or mend the name";
    read_artefact(folder, name, limits::COMPONENT_BYTES, hint)
}

fn read_artefact(folder: &Path, name: &str, most: u64, hint: &'static str) -> Result<Artefact, PackageError> {
    let path = folder.join(name);
    let bytes = read_bounded(&path, most, hint)?;
    Ok(Artefact::new(path, bytes))
}

fn read_bounded(path: &Path, most: u64, hint: &'static str) -> Result<Vec<u8>, PackageError> {
    let unreadable = |error| PackageError::Unreadable { path: path.to_owned(), error, hint };
    // Not to wait at a FIFO; and the size is asked of what was opened, which the name may no longer mean.
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let found = metadata.len().max(bytes.len() as u64);
    if found > most {
        return Err(PackageError::TooLarge { path: path.to_owned(), found, most });
    }
    Ok(bytes)
}
