//! The lock file of a fleet: a reference with its digest in each line, so that every host gets the same bytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    reference::{Reference, ReferenceError},
    write::write_file,
};
use ebhost_limits as limits;

/// Begins a lock file.
const HEAD: &str = "# Packages of this fleet, each by its digest: `ebhost pull --lock FILE REFERENCE` writes a line, `ebhost pull --locked FILE` installs them.\n";

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{path}: cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: cannot be written: {source}")]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{path}:{line}: {source}")]
    Line { path: PathBuf, line: usize, source: ReferenceError },
    #[error("{path}:{line}: found `{found}`, expected a digest in it; `ebhost pull --lock {path} {found}` writes it")]
    NoDigest { path: PathBuf, line: usize, found: String },
    #[error("{path}: found no reference, expected one in each line, such as ghcr.io/acme/runqlat:1.2.0@sha256:…")]
    Empty { path: PathBuf },
}

/// Reads the references of a lock file.
///
/// # Errors
/// The file cannot be read, a line is no reference with a digest, or there is none.
pub fn read_lock(path: &Path) -> Result<Vec<Reference>, LockError> {
    let text = text(path)?;
    let references = lines(path, &text).collect::<Result<Vec<_>, _>>()?;
    if references.is_empty() { Err(LockError::Empty { path: path.to_owned() }) } else { Ok(references) }
}

/// Writes references with their digests into a lock file, in the place of those of the same repositories.
///
/// # Errors
/// The file is there and no lock file, or cannot be written.
pub fn write_lock(path: &Path, references: &[Reference]) -> Result<(), LockError> {
    let text = if path.exists() { text(path)? } else { HEAD.to_owned() };
    for line in lines(path, &text) {
        line?;
    }
    let is_replaced = |line: &str| {
        let old = line.parse::<Reference>();
        old.is_ok_and(|old| references.iter().any(|new| new.repository == old.repository))
    };
    let mut new: String =
        text.lines().filter(|line| !is_replaced(line.trim())).map(|line| format!("{line}\n")).collect();
    new.extend(references.iter().map(|reference| format!("{reference}\n")));
    write_file(path, new.as_bytes()).map_err(|source| LockError::Unwritable { path: path.to_owned(), source })
}

fn text(path: &Path) -> Result<String, LockError> {
    let unreadable = |source| LockError::Unreadable { path: path.to_owned(), source };
    match fs::metadata(path).map_err(unreadable)?.len() {
        size if size > limits::REGISTRY_FILE_BYTES => Err(unreadable(io::Error::other(format!(
            "found {size} bytes, expected at most {}",
            limits::REGISTRY_FILE_BYTES
        )))),
        _ => fs::read_to_string(path).map_err(unreadable),
    }
}

fn lines<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = Result<Reference, LockError>> + 'a {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')).map(|(line, text)| {
        let reference: Reference =
            text.parse().map_err(|source| LockError::Line { path: path.to_owned(), line, source })?;
        match reference.digest {
            Some(_) => Ok(reference),
            None => Err(LockError::NoDigest { path: path.to_owned(), line, found: text.to_owned() }),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_digest_is_no_lock() {
        let path = Path::new("/dev/shm").join(format!("ebhost-lock-{}", std::process::id()));
        let digest = |text: &[u8]| crate::OciDigest::of(text);
        let reference = |text: String| -> Reference { text.parse().unwrap() };
        let (one, two) =
            (reference(format!("a.io/x:1@{}", digest(b"1"))), reference(format!("a.io/y@{}", digest(b"2"))));
        write_lock(&path, &[one, two.clone()]).unwrap();
        let newer = reference(format!("a.io/x:2@{}", digest(b"3")));
        write_lock(&path, std::slice::from_ref(&newer)).unwrap();
        assert_eq!(read_lock(&path).unwrap(), [two, newer]);
        fs::write(&path, "# head\n\na.io/x:1\n").unwrap();
        let message = read_lock(&path).unwrap_err().to_string();
        assert!(message.contains(":3: found `a.io/x:1`, expected a digest"), "{message}");
        assert!(write_lock(&path, &[]).is_err(), "a file of another kind is not written over");
        fs::write(&path, "# head\n").unwrap();
        assert!(matches!(read_lock(&path), Err(LockError::Empty { .. })));
        fs::remove_file(&path).unwrap();
    }
}
