//! A plugin package: a directory with a `plugin.yaml`, read and checked whole.
//!
//! Raw file → checked [`Package`], and no checks after that: paths lie inside the package, quantities are numbers, names are
//! legal. This crate reads files and does nothing else: it never looks into a component or a BPF object, but hands their bytes on as
//! it read them, once.

#![forbid(unsafe_code)]

mod artefact;
mod as_written;
mod bounds;
mod bpf;
mod builtin;
mod depth;
mod diagnostic;
mod drop_in;
mod error;
mod file;
mod folders;
mod located;
mod options;
mod package_limits;
pub mod perf;
mod quantity;
mod settings;
mod suggestion;
mod trust;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;

pub use artefact::{Artefact, Digest};
use artefact::{read_artefact, read_bounded};
pub use bounds::{ChosenBounds, WantedBounds};
pub use bpf::{Bpf, BtfFile, CgroupIdMap, CgroupIdMapKind, FailureCost, GlobalValue, MaxEntries, ProgramChoice};
pub use builtin::Mistakes;
pub use depth::check_depth;
pub use diagnostic::Diagnostic;
pub use drop_in::DropIns;
pub use error::{FolderError, PackageError};
pub use file::{About, Switch};
pub use folders::{Listing, PackageFolders, Read};
pub use options::{OptionKind, PackageOption, PackageOptions, truth};
pub use package_limits::Limits;
pub use quantity::CpuShare;
pub use settings::{FlagSetting, Setting, Settings};
pub use suggestion::{did_you_mean, nearest};
pub use trust::{Require, Trust, TrustError, parse_pin};

/// A package after every check that needs no kernel and no engine.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    /// The author's version; empty: none is given.
    pub version: String,
    /// The license that others may use it under; empty: none is given.
    pub license: String,
    /// The `plugin.yaml`, or the drop-in configuration, that it is known by.
    pub file: PathBuf,
    /// The digest of `file`.
    pub digest: Digest,
    pub compat: Compat,
    pub component: Artefact,
    pub bpf: Option<Bpf>,
    /// Groups of perf events, by the name under which views read them.
    pub perf: perf::PerfSources,
    /// The free-form `config`, as JSON. That of the builtin component has every scalar as the text that is written.
    pub config: String,
    /// For the builtin component.
    pub syscall_names: SyscallNames,
    /// The text of `file`, for diagnostics that point into it.
    pub text: String,
    /// Lookup tables that its manifest may name.
    pub grants: Vec<LookupTable>,
    pub limits: Limits,
    /// The bounds that the operator wants for its histograms.
    pub bounds: ChosenBounds,
    /// The value of each option that the package has.
    pub choices: BTreeMap<String, serde_json::Value>,
}

/// The options of a package, and whether it is loaded without a setting.
#[derive(Debug)]
pub struct Offer {
    pub name: String,
    /// Its author's description.
    pub about: About,
    pub default: Switch,
    /// Whether it is loaded with the settings.
    pub switch: Switch,
    pub options: PackageOptions,
    /// Names of options that nothing depends on.
    pub unused: Vec<String>,
    /// The value of each option with the settings, or why they are refused.
    pub choices: Result<BTreeMap<String, serde_json::Value>, PackageError>,
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

/// The list that names of system calls in labels are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyscallNames {
    /// The kernel's, as in `asm/unistd.h`.
    #[default]
    Kernel,
    /// Those of ebpf_exporter, where 37 of them differ on x86_64 (`futex_time64` for `futex`).
    EbpfExporter,
}

/// Checks the text of a `plugin.yaml`, without the files that it names.
///
/// # Errors
/// The first mistake, with its line.
pub fn check_text(file: &Path, text: &str) -> Result<(), PackageError> {
    file::parse(file, text)?.resolve(&Settings::default()).map(drop)
}

/// Reads the options of a package, without the files that its `plugin.yaml` names.
///
/// # Errors
/// A mistake in the file, with its line; a file that cannot be read or is too large.
pub fn read_offer(file: &Path, settings: &Settings) -> Result<Offer, PackageError> {
    let (text, _) = read_text(file)?;
    let draft = file::parse(file, &text)?;
    Ok(Offer {
        name: draft.name().to_owned(),
        about: draft.about().clone(),
        default: draft.default_switch(),
        switch: draft.switch(settings),
        options: draft.options().clone(),
        unused: draft.unused_options(),
        choices: draft.resolve(settings).map(|declared| declared.choices),
    })
}

fn read_text(file: &Path) -> Result<(String, Digest), PackageError> {
    let text = read_bounded(file, limits::PACKAGE_FILE_BYTES, "expected a plugin.yaml")?;
    let digest = Digest::of(&text);
    let text = String::from_utf8(text)
        .map_err(|error| PackageError::Invalid(Diagnostic::whole(file, format!("is not UTF-8: {error}"))))?;
    Ok((text, digest))
}

impl Package {
    /// The digest of all its files and settings together: equal if and only if nothing of it changed.
    pub fn content(&self) -> Digest {
        let object = self.bpf.as_ref().map(|bpf| bpf.object.digest);
        let choices = (&self.choices, self.limits, self.bounds.digest_text());
        Digest::of(format!("{} {} {object:?} {choices:?}", self.digest, self.component.digest).as_bytes())
    }

    /// The digest of everything that the kernel is given: programs, maps, their settings, perf events. Versions that differ in
    /// nothing else can be exchanged while programs and maps stay.
    pub fn kernel_part(&self) -> Digest {
        let set = |bpf: &Bpf| {
            let object = format!("{:?} {:?} {:?}", bpf.object.digest, bpf.globals, bpf.max_entries);
            let programs = format!("{:?} {:?} {:?}", bpf.programs, bpf.failure_costs, bpf.btf_file);
            format!("{object} {programs} {:?} {:?} {:?}", bpf.kaddrs, bpf.cgroup_id_map, bpf.delete_departed)
        };
        Digest::of(format!("{:?} {:?}", self.bpf.as_ref().map(set), self.perf).as_bytes())
    }

    /// Replaces its `config` by the contents of a YAML or JSON file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a mapping.
    pub fn replace_config(&mut self, file: &Path) -> Result<(), PackageError> {
        let bytes = read_bounded(file, limits::PACKAGE_FILE_BYTES, "expected the contents of `config:`")?;
        self.config = file::parse_config(file, &String::from_utf8_lossy(&bytes))?;
        Ok(())
    }

    /// Reads a `plugin.yaml` and the files that it names, whether the settings switch the package off or not.
    ///
    /// # Errors
    /// A mistake in the file or in the package's settings, with its line; a file that cannot be read or is too large.
    pub fn read(file: &Path, settings: &Settings) -> Result<Self, PackageError> {
        let (text, digest) = read_text(file)?;
        let draft = file::parse(file, &text)?;
        Self::read_files(file, draft.resolve(settings)?, text, digest)
    }

    /// Reads a package unless it is switched off: then nothing of it but its `plugin.yaml` is read.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    fn read_if_on(file: &Path, settings: &Settings) -> Result<Read, PackageError> {
        let (text, digest) = read_text(file)?;
        let draft = file::parse(file, &text)?;
        match draft.switch(settings) {
            Switch::Off => Ok(Read::SwitchedOff { name: draft.name().to_owned() }),
            Switch::On => {
                let declared = draft.resolve(settings)?;
                Ok(Read::Package(Box::new(Self::read_files(file, declared, text, digest)?)))
            }
        }
    }

    fn read_files(file: &Path, declared: file::Declared, text: String, digest: Digest) -> Result<Self, PackageError> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let component = read_component(folder, &declared.component)?;
        let bpf = declared.bpf.map(|bpf| bpf::read_bpf(folder, bpf)).transpose()?;
        Ok(Self {
            name: declared.name,
            version: declared.version,
            license: declared.license,
            file: file.to_owned(),
            digest,
            compat: Compat::Native,
            component,
            bpf,
            perf: declared.perf,
            config: declared.config,
            syscall_names: SyscallNames::Kernel,
            text,
            grants: declared.grants,
            limits: declared.limits,
            bounds: declared.bounds,
            choices: declared.choices,
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
