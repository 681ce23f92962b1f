//! Comparing what is installed with its pins and the policy.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    pins::{Pin, Pins},
    policy::Policy,
};
use ebhost_limits as limits;
use ebhost_package::{Digest, PackageFolders};

/// A difference between a folder of packages and its pins, or the policy.
#[derive(Debug)]
pub enum Finding {
    Changed {
        path: PathBuf,
        found: Digest,
        expected: Digest,
    },
    Unreadable {
        path: PathBuf,
        source: io::Error,
    },
    /// A package whose files no pin names.
    Unpinned {
        package: String,
    },
    /// The policy would not take it today.
    Untrusted {
        package: String,
        why: String,
    },
}

/// A folder that was looked through.
#[derive(Debug, Default)]
pub struct Verified {
    pub packages: usize,
    pub files: usize,
    pub findings: Vec<Finding>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { path, found, expected } => {
                write!(
                    f,
                    "{}: found the sha256 {found}, expected {expected}: changed since it was pinned; pull it again",
                    path.display()
                )
            }
            Self::Unreadable { path, source } => {
                write!(f, "{}: is pinned and cannot be read: {source}; pull it again", path.display())
            }
            Self::Unpinned { package } => write!(
                f,
                "{package}: found no pin of its files, expected one of each; pull it, or add what `ebhost pack` prints"
            ),
            Self::Untrusted { package, why } => write!(f, "{package}: {why}"),
        }
    }
}

/// Compares every package of a folder with its pins, and where each came from with the policy, if there is one.
///
/// # Errors
/// The folder cannot be listed.
pub fn verify_folder(folder: &Path, pins: &Pins, policy: Option<&Policy>) -> io::Result<Verified> {
    let listed = PackageFolders { plugins: Some(folder.to_owned()), drop_ins: None }.list();
    let listing = listed.map_err(io::Error::other)?;
    let there =
        listing.files.iter().filter_map(|file| Some(file.parent()?.file_name()?.to_string_lossy().into_owned()));
    let mut names: BTreeSet<_> = there.collect();
    names.extend(pins.records().map(|record| record.name));
    let mut verified = Verified { packages: names.len(), ..Verified::default() };
    for name in &names {
        let pins = pins.of_package(name);
        verified.files += pins.len();
        if pins.is_empty() {
            verified.findings.push(Finding::Unpinned { package: name.clone() });
        }
        verified.findings.extend(pins.iter().filter_map(|pin| compare(folder, pin)));
    }
    let untrusted = |policy: &Policy| {
        let refused = |record: crate::pins::Record| {
            let why = policy.rule_for(&record.reference.repository).err()?.to_string();
            Some(Finding::Untrusted { package: record.name, why })
        };
        pins.records().filter_map(refused).collect::<Vec<_>>()
    };
    verified.findings.extend(policy.map(untrusted).into_iter().flatten());
    Ok(verified)
}

/// Whether a package has pins, and every file is as they say.
pub(crate) fn is_as_pinned(folder: &Path, pins: &Pins, name: &str) -> bool {
    let pins = pins.of_package(name);
    !pins.is_empty() && pins.iter().all(|pin| compare(folder, pin).is_none())
}

fn compare(folder: &Path, pin: &Pin) -> Option<Finding> {
    let path = folder.join(&pin.path);
    let read = match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is not a regular file")),
        Ok(metadata) if metadata.len() > limits::ARTIFACT_BYTES => {
            Err(io::Error::other("it is larger than any file of a package"))
        }
        Ok(_) => fs::read(&path),
        Err(error) => Err(error),
    };
    match read.map(|bytes| Digest::of(&bytes)) {
        Ok(found) if found == pin.digest => None,
        Ok(found) => Some(Finding::Changed { path, found, expected: pin.digest }),
        Err(source) => Some(Finding::Unreadable { path, source }),
    }
}
