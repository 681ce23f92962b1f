//! `ebhost pull`: packages from registries into the folder of a host.

use std::{path::Path, process::ExitCode};

use super::{FleetError, PullArgs, layout, session};
use ebhost_registry::{
    Change, Installed, Permissions, Policy, Record, Reference, Source, Target, install, read_lock, write_lock,
};

pub(crate) fn pull(args: &PullArgs) -> Result<ExitCode, FleetError> {
    let references = match &args.locked {
        Some(file) => read_lock(file)?,
        None if args.references.is_empty() => return Err(FleetError::Nothing),
        None => args.references.clone(),
    };
    let policy = Policy::find(&args.trust.flags())?;
    let session = session(&args.connection)?;
    let source = Source { session: &session, policy: &policy, layout: folder_of(args.from.as_deref(), "--from")? };
    let pulled = match folder_of(args.to.as_deref(), "--to")? {
        Some(folder) => copy(&source, &references, folder)?,
        None => install_all(args, &source, &references)?,
    };
    if let Some(file) = &args.lock {
        write_lock(file, &pulled)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of an argument `oci:PATH`.
pub(super) fn folder_of<'a>(text: Option<&'a str>, flag: &str) -> Result<Option<&'a Path>, FleetError> {
    let wrong =
        |text: &str| FleetError::Arguments(format!("found {flag} `{text}`, expected a layout folder as in oci:PATH"));
    text.map(|text| layout(text).ok_or_else(|| wrong(text))).transpose()
}

/// Copies artifacts into a layout folder. All of them are found and their signatures checked before the first is written.
fn copy(source: &Source<'_>, references: &[Reference], folder: &Path) -> Result<Vec<Reference>, FleetError> {
    let fetched = references.iter().map(|reference| source.fetch(reference)).collect::<Result<Vec<_>, _>>()?;
    for artifact in &fetched {
        artifact.copy_to(folder)?;
        println!("{}: copied to {}{}", artifact.reference, folder.display(), signed(artifact.signed_by));
    }
    Ok(fetched.into_iter().map(|artifact| artifact.reference).collect())
}

fn install_all(args: &PullArgs, source: &Source<'_>, references: &[Reference]) -> Result<Vec<Reference>, FleetError> {
    let pins = args.pins.clone().unwrap_or_else(|| args.plugins.join("pins"));
    let target = Target {
        folder: &args.plugins,
        pins: &pins,
        architecture: args.architecture(),
        recordings: args.recordings(),
        permissions: Permissions { downgrade: args.allow_downgrade, replace: args.replace },
    };
    let installed = install(source, references, &target)?;
    for package in &installed {
        println!("{}", sentence(package));
    }
    Ok(installed.into_iter().map(|package| package.record.reference).collect())
}

/// `runqlat 1.2.0: installed in the place of 1.1.0, signed by acme.pub: ghcr.io/…`.
fn sentence(package: &Installed) -> String {
    let change = match &package.change {
        Change::New => "installed".to_owned(),
        Change::Replaced(Some(before)) => format!("installed in the place of {}", version(before)),
        Change::Replaced(None) => "installed in the place of a package that was not pulled".to_owned(),
        Change::None => "is there already".to_owned(),
    };
    let signed = signed(package.signed_by.as_deref());
    format!("{} {}: {change}{signed}: {}", package.record.name, version(&package.record), package.record.reference)
}

fn version(record: &Record) -> &str {
    record.version.as_deref().unwrap_or("without a version")
}

pub(super) fn signed(by: Option<&Path>) -> String {
    by.map_or_else(|| ", not signed".to_owned(), |key| format!(", signed by {}", key.display()))
}
