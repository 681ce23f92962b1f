//! Files of a package, read once and whole.

use std::{
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::PackageError;

/// A file of a package and its bytes, read once: the bytes that were checked are those that run.
#[derive(Debug)]
pub struct Artefact {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// The SHA-256 of `bytes`.
    pub digest: Digest,
}

impl Artefact {
    /// Computes the digest.
    pub fn new(path: PathBuf, bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), path, bytes }
    }
}

/// A SHA-256. It prints in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads a file of the package's folder; `hint` says in the error what names it.
pub(super) fn read_artefact(
    folder: &Path,
    name: &str,
    most: u64,
    hint: &'static str,
) -> Result<Artefact, PackageError> {
    let path = folder.join(name);
    let bytes = read_bounded(&path, most, hint)?;
    Ok(Artefact::new(path, bytes))
}

/// Reads a regular file of at most `most` bytes.
pub(super) fn read_bounded(path: &Path, most: u64, hint: &'static str) -> Result<Vec<u8>, PackageError> {
    let unreadable = |source| PackageError::Unreadable { path: path.to_owned(), source, hint };
    let irregular = || unreadable(io::Error::other("it is not a regular file"));
    // A device may not even be opened (Landlock): its kind is the true reason, not the missing permission.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(irregular());
    }
    // Opening a FIFO must not block. The size is that of the open file: its name may belong to another file by now.
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(irregular());
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let found = metadata.len().max(bytes.len() as u64);
    if found > most {
        return Err(PackageError::TooLarge { path: path.to_owned(), found, most });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pin of another length would pin nothing that a file can have, or, cut off, something that it was not meant to.
    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        let digest = Digest::of(b"x");
        let text = digest.to_string();
        assert_eq!(Digest::from_hex(&text), Some(digest));
        assert_eq!(Digest::from_hex(&text.to_uppercase()), Some(digest));
        for wrong in [&text[..62], &format!("{text}00"), "", &format!("+f{}", &text[2..]), &format!("xy{}", &text[2..])]
        {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
    }
}
