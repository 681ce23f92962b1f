//! `ebhost verify`: what is installed against its pins, or artifacts in a registry against the policy.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    FleetError, VerifyArgs,
    pull::{folder_of, signed},
    session,
};
use ebhost_registry::{Architecture, Pins, Policy, PolicyError, Recordings, Reference, Source, verify_folder};

/// The exit status is 1 if a folder is not as its pins say.
pub(crate) fn verify(args: &VerifyArgs) -> Result<ExitCode, FleetError> {
    let (folders, references): (Vec<_>, Vec<_>) = args.what.iter().partition(|what| Path::new(what).is_dir());
    let mut is_sound = true;
    for folder in folders {
        is_sound &= verify_one_folder(args, Path::new(folder))?;
    }
    let expected = |text: &&String| format!("found `{text}`, expected a folder that is there, or a reference");
    let parsed = references.iter().map(|text| {
        text.parse::<Reference>().map_err(|error| FleetError::Arguments(format!("{}: {error}", expected(text))))
    });
    verify_references(args, &parsed.collect::<Result<Vec<_>, _>>()?)?;
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify_one_folder(args: &VerifyArgs, folder: &Path) -> Result<bool, FleetError> {
    let path = args.pins.clone().unwrap_or_else(|| folder.join("pins"));
    let policy = match Policy::find(&args.trust.flags()) {
        Ok(policy) => Some(policy),
        // Pins are enough to compare files.
        Err(PolicyError::None) => None,
        Err(error) => return Err(error.into()),
    };
    let listed = |source| FleetError::List { path: PathBuf::from(folder), source };
    let verified = verify_folder(folder, &Pins::read(&path)?, policy.as_ref()).map_err(listed)?;
    for finding in &verified.findings {
        println!("{finding}");
    }
    let (packages, files) = (verified.packages, verified.files);
    let what = format!("{}: {packages} packages, {files} pinned files", folder.display());
    match verified.findings.len() {
        0 => println!("{what}: as {} says", path.display()),
        count => println!("{what}: {count} findings"),
    }
    Ok(verified.findings.is_empty())
}

fn verify_references(args: &VerifyArgs, references: &[Reference]) -> Result<(), FleetError> {
    if references.is_empty() {
        return Ok(());
    }
    let policy = Policy::find(&args.trust.flags())?;
    let session = session(&args.connection)?;
    let source = Source { session: &session, policy: &policy, layout: folder_of(args.from.as_deref(), "--from")? };
    for reference in references {
        let fetched = source.fetch(reference)?;
        let files = fetched.files(Architecture::here(), Recordings::Keep)?;
        let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
        println!("{}: {} files, {bytes} bytes{}", fetched.reference, files.len(), signed(fetched.signed_by));
    }
    Ok(())
}
