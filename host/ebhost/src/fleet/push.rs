//! `ebhost push`: a package, or an artifact of a layout folder, into a registry.

use std::{
    env,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use super::{FleetError, PushArgs, layout, password, session};
use ebhost_package::{Package, Settings, read_offer};
use ebhost_registry::{Description, Draft, Reference, Session, SigningKey, copy_from_layout, signature};

/// Pushes. `loads` says whether a package does, and prints why not.
pub(crate) fn push(args: &PushArgs, loads: impl FnOnce(&Path) -> bool) -> Result<ExitCode, FleetError> {
    let reference = &args.reference;
    if reference.digest.is_some() {
        return Err(FleetError::Digest { reference: reference.to_string() });
    }
    let key = args.sign_key.as_deref().map(|path| SigningKey::read(path, password::read)).transpose()?;
    let (layout, folder) = (layout(&args.package), Path::new(&args.package));
    if layout.is_none() && !loads(folder) {
        return Err(FleetError::Unsound { package: folder.to_owned() });
    }
    let session = session(&args.connection)?;
    let pushed = match layout {
        Some(path) => push_layout(args, path, &session)?,
        None => push_folder(args, folder, &session)?,
    };
    if let (Some(key), Some(digest)) = (key, pushed.digest) {
        signature::sign(&session.writer(&pushed.repository)?, &pushed.repository, digest, &key)?;
    }
    println!("{pushed}");
    Ok(ExitCode::SUCCESS)
}

fn push_folder(args: &PushArgs, folder: &Path, session: &Session) -> Result<Reference, FleetError> {
    let file = if folder.is_dir() { folder.join("plugin.yaml") } else { folder.to_owned() };
    let package = Package::read(&file, &Settings::default())?;
    let version = Some(package.version.clone()).filter(|version| !version.is_empty());
    let no_tag = || FleetError::NoTag { reference: args.reference.to_string() };
    let tag = args.reference.tag.clone().or(version).ok_or_else(no_tag)?;
    // A version need not be a tag.
    let reference: Reference = format!("{}:{tag}", args.reference.repository)
        .parse()
        .map_err(|error: ebhost_registry::ReferenceError| FleetError::Arguments(error.to_string()))?;
    let about = Description {
        title: package.name.clone(),
        summary: read_offer(&file, &Settings::default())?.about.summary,
        source: args.source.clone(),
        created: created(),
    };
    let draft = Draft::new(&package, &args.objects, args.recordings(), &about)?;
    let digest = draft.store(&session.writer(&reference.repository)?, &tag)?;
    Ok(reference.at(digest))
}

fn push_layout(args: &PushArgs, path: &Path, session: &Session) -> Result<Reference, FleetError> {
    // A name may have colons; the folder has none.
    let text = path.to_string_lossy();
    let (folder, name) = text.split_once(':').map_or((&*text, None), |(folder, name)| (folder, Some(name)));
    if !args.objects.is_empty() {
        return Err(FleetError::Arguments(
            "found --bpf beside a layout folder, expected a package: an artifact is copied as it is".to_owned(),
        ));
    }
    let own_tag = name.and_then(|name| name.rsplit(':').next()).filter(|tag| !tag.contains('/'));
    let no_tag = || FleetError::NoTag { reference: args.reference.to_string() };
    let tag = args.reference.tag.as_deref().or(own_tag).ok_or_else(no_tag)?;
    let to = session.writer(&args.reference.repository)?;
    let digest = copy_from_layout(Path::new(folder), name, &to, tag)?;
    Ok(Reference { tag: Some(tag.to_owned()), ..args.reference.at(digest) })
}

/// Now, or `$SOURCE_DATE_EPOCH` for artifacts that can be made again.
fn created() -> SystemTime {
    let fixed = env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    fixed.map_or_else(SystemTime::now, |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}
