//! The digest of an artefact's sources: the sha256 of a list that has, for each source in the order of paths, the file's sha256 and path.
//!
//! Equal digests mean equal sources, not equal artefacts: another compiler gives other bytes for the same sources.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::package::Artefact;

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn of(root: &Path, artefact: &Artefact) -> Result<String> {
    let mut all = Sha256::new();
    for source in &artefact.sources {
        let path = root.join(source);
        let content = fs::read(&path).map_err(Error::file(&path))?;
        all.update(format!("{} {}\n", hex(&Sha256::digest(content)), source.display()));
    }
    Ok(format!("sha256:{}", hex(&all.finalize())))
}

/// The sha256 of some bytes, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}
