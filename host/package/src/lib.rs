//! A plugin package: a directory with a `plugin.yaml`, read and checked whole.
//!
//! Raw file → checked [`Package`], and no checks after that: paths lie inside the package, quantities are numbers, names are
//! legal. This crate reads files and does nothing else: it never looks into a component or a BPF object, but hands their bytes on as
//! it read them, once.

#![forbid(unsafe_code)]

mod artefact;
mod bpf;
mod builtin;
mod depth;
mod diagnostic;
mod drop_in;
mod error;
mod file;
mod folders;
mod located;
pub mod perf;
mod quantity;
mod trust;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;

pub use artefact::{Artefact, Digest};
use artefact::{read_artefact, read_bounded};
pub use bpf::{Bpf, CgroupIdMap, CgroupIdMapKind, FailureCost, GlobalValue, MaxEntries};
pub use builtin::Mistakes;
pub use depth::check_depth;
pub use diagnostic::Diagnostic;
pub use drop_in::DropIns;
pub use error::{FolderError, PackageError};
pub use folders::{Listing, PackageFolders};
pub use trust::{Require, Trust, TrustError};

/// A package after every check that needs no kernel and no engine.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    /// The author's version; empty: none is given.
    pub version: String,
    /// The `plugin.yaml`, or the drop-in configuration, that it is known by.
    pub file: PathBuf,
    /// The digest of `file`.
    pub digest: Digest,
    pub compat: Compat,
    pub component: Artefact,
    pub bpf: Option<Bpf>,
    /// Groups of perf events, by the name under which views read them.
    pub perf: perf::PerfSources,
    /// The free-form `config`, as JSON.
    pub config: String,
    /// The text of `file`, for diagnostics that point into it.
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

/// The limits of a package: the host's defaults, or those of its `limits:` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one component instance.
    pub memory_bytes: u64,
    /// Time of one `decode` call.
    pub decode: Duration,
    pub series: usize,
}

/// Checks the text of a `plugin.yaml`, without the files that it names.
///
/// # Errors
/// The first mistake, with its line.
pub fn check_text(file: &Path, text: &str) -> Result<(), PackageError> {
    file::parse(file, text).map(drop)
}

impl Package {
    /// The digest of all its files together: equal if and only if nothing of it changed.
    pub fn content(&self) -> Digest {
        let object = self.bpf.as_ref().map(|bpf| bpf.object.digest);
        Digest::of(format!("{} {} {object:?}", self.digest, self.component.digest).as_bytes())
    }

    /// The digest of everything that the kernel is given: programs, maps, their settings, perf events. Versions that differ in
    /// nothing else can be exchanged while programs and maps stay.
    pub fn kernel_part(&self) -> Digest {
        let set = |bpf: &Bpf| {
            let object = format!("{:?} {:?} {:?}", bpf.object.digest, bpf.globals, bpf.max_entries);
            let programs = format!("{:?} {:?} {:?}", bpf.programs, bpf.failure_costs, bpf.btf_path);
            format!("{object} {programs} {:?} {:?}", bpf.kaddrs, bpf.cgroup_id_map)
        };
        Digest::of(format!("{:?} {:?}", self.bpf.as_ref().map(set), self.perf).as_bytes())
    }

    /// Reads a `plugin.yaml` and the files that it names.
    ///
    /// # Errors
    /// A mistake in the file, with its line; a file that cannot be read or is too large.
    pub fn read(file: &Path) -> Result<Self, PackageError> {
        let text = read_bounded(file, limits::PACKAGE_FILE_BYTES, "expected a plugin.yaml")?;
        let digest = Digest::of(&text);
        let text = String::from_utf8(text)
            .map_err(|error| PackageError::Invalid(Diagnostic::whole(file, format!("is not UTF-8: {error}"))))?;
        let declared = file::parse(file, &text)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let component = read_component(folder, &declared.component)?;
        let bpf = declared.bpf.map(|bpf| bpf::read_bpf(folder, bpf)).transpose()?;
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

fn read_component(folder: &Path, name: &str) -> Result<Artefact, PackageError> {
    if builtin::is_named(name) {
        return Ok(builtin::component());
    }
    let hint = "`component` names it; build it (`cargo xtask build` for the packages of ebhost's repository) or correct the name";
    read_artefact(folder, name, limits::COMPONENT_BYTES, hint)
}
