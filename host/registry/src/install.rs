//! Installing packages: all of those that were asked for, or none.

use std::path::{Path, PathBuf};

use crate::{
    age::{OlderError, check_not_older},
    artifact::{Architecture, Recordings},
    fetch::{FetchError, Fetched, Source},
    folder::{FolderError, PluginFolder, Staged},
    manifest::annotation,
    pins::{Pins, PinsError, Record},
    policy::PolicyError,
    reference::Reference,
    verify::is_as_pinned,
};

/// Replacements that are refused unless a flag allows them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Permissions {
    /// `--allow-downgrade`: an older version.
    pub downgrade: bool,
    /// `--replace`: a package that came from elsewhere.
    pub replace: bool,
}

/// Where and how packages are installed.
#[derive(Debug)]
pub struct Target<'a> {
    pub folder: &'a Path,
    pub pins: &'a Path,
    pub architecture: Architecture,
    pub recordings: Recordings,
    pub permissions: Permissions,
}

/// A package after a pull.
#[derive(Debug, PartialEq, Eq)]
pub struct Installed {
    pub record: Record,
    /// The key that signed it.
    pub signed_by: Option<PathBuf>,
    pub change: Change,
}

/// How the folder differs from before.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    New,
    /// The record that it had.
    Replaced(Option<Record>),
    /// These very files were there.
    None,
}

/// Why packages are not installed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{reference}: {source}")]
    Folder { reference: Reference, source: FolderError },
    #[error(transparent)]
    Open(#[from] FolderError),
    #[error(transparent)]
    Pins(#[from] PinsError),
    #[error("{reference}: {source}")]
    Policy { reference: Reference, source: PolicyError },
    #[error("{reference}: {source}")]
    Older { reference: Reference, source: OlderError },
    #[error(
        "{reference}: found the package `{name}`, which is installed from {installed}; expected it from there; --replace takes it from another repository"
    )]
    Elsewhere { reference: Reference, name: String, installed: String },
    #[error(
        "{reference}: found the package `{name}` in {folder}, which `ebhost pull` did not put there; expected none; --replace takes its place"
    )]
    Foreign { reference: Reference, name: String, folder: PathBuf },
    #[error("{reference}: found the package `{name}`, which {other} is as well; expected each once")]
    Twice { reference: Reference, name: String, other: Reference },
}

/// Installs the packages of these references. They are fetched and checked one after the other, and put into their places together.
///
/// # Errors
/// One of them is refused; then none is installed.
pub fn install(
    source: &Source<'_>,
    references: &[Reference],
    target: &Target<'_>,
) -> Result<Vec<Installed>, InstallError> {
    let folder = PluginFolder::open(target.folder)?;
    let pins = Pins::read(target.pins)?;
    let mut staged: Vec<(Staged, Record)> = Vec::new();
    let mut installed = Vec::new();
    for (number, asked) in references.iter().enumerate() {
        let fetched = source.fetch(asked)?;
        if let Some(unchanged) = unchanged(&fetched, &folder, &pins) {
            installed.push(unchanged);
            continue;
        }
        let (package, record) = stage(source, &fetched, &folder, target, number)?;
        if let Some((_, other)) = staged.iter().find(|(_, other)| other.name == record.name) {
            let (reference, other) = (record.reference, other.reference.clone());
            return Err(InstallError::Twice { reference, name: record.name, other });
        }
        let before = pins.record(&record.name);
        check_replaced(&folder, before.as_ref(), &record, asked, target.permissions)?;
        let change = if folder.has(&record.name) { Change::Replaced(before) } else { Change::New };
        let signed_by = fetched.signed_by.map(Path::to_owned);
        installed.push(Installed { record: record.clone(), signed_by, change });
        staged.push((package, record));
    }
    if !staged.is_empty() {
        folder.commit(&staged, pins)?;
    }
    Ok(installed)
}

/// The package of this very artifact, if it is installed and none of its files was changed.
fn unchanged(fetched: &Fetched<'_>, folder: &PluginFolder, pins: &Pins) -> Option<Installed> {
    let record = pins.records().find(|record| {
        record.reference.digest == fetched.reference.digest
            && record.reference.repository == fetched.reference.repository
    })?;
    let signed_by = fetched.signed_by.map(Path::to_owned);
    is_as_pinned(folder.path(), pins, &record.name).then_some(Installed { record, signed_by, change: Change::None })
}

fn stage(
    source: &Source<'_>,
    fetched: &Fetched<'_>,
    folder: &PluginFolder,
    target: &Target<'_>,
    number: usize,
) -> Result<(Staged, Record), InstallError> {
    let reference = || fetched.reference.clone();
    let files = fetched.files(target.architecture, target.recordings)?;
    let staged =
        folder.stage(&files, number).map_err(|source| InstallError::Folder { reference: reference(), source })?;
    let checked = source.policy.check(fetched.rule, &staged.package);
    checked.map_err(|source| InstallError::Policy { reference: reference(), source })?;
    let own_version = Some(staged.package.version.as_str()).filter(|version| !version.is_empty());
    let record = Record {
        name: staged.package.name.clone(),
        version: own_version.or_else(|| fetched.annotation(annotation::VERSION)).map(str::to_owned),
        created: fetched.created(),
        reference: reference(),
    };
    Ok((staged, record))
}

/// Compares a package with the one whose place it is to take.
fn check_replaced(
    folder: &PluginFolder,
    before: Option<&Record>,
    now: &Record,
    asked: &Reference,
    permissions: Permissions,
) -> Result<(), InstallError> {
    let (reference, name) = (|| now.reference.clone(), || now.name.clone());
    let Some(before) = before else {
        if folder.has(&now.name) && !permissions.replace {
            return Err(InstallError::Foreign {
                reference: reference(),
                name: name(),
                folder: folder.path().to_owned(),
            });
        }
        return Ok(());
    };
    if before.reference.repository != now.reference.repository {
        if permissions.replace {
            return Ok(());
        }
        let installed = before.reference.repository.to_string();
        return Err(InstallError::Elsewhere { reference: reference(), name: name(), installed });
    }
    // An artifact that was named by its digest was chosen by the operator; a tag is the registry's word.
    if permissions.downgrade || asked.digest.is_some() {
        return Ok(());
    }
    check_not_older(before, now).map_err(|source| InstallError::Older { reference: reference(), source })
}
