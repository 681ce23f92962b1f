//! Checks that the committed artefacts were built from the committed sources, by the digests in the artefacts. It only reads files: no
//! toolchain, no network.

use std::path::Path;

use crate::error::{Error, Result};
use crate::package::{self, Artefact};
use crate::{digest, seal};

/// Prints the state of each artefact.
///
/// # Errors
/// [`Error::Stale`] if the sources of one have changed.
pub(crate) fn check(root: &Path) -> Result<()> {
    let packages = package::all(root)?;
    let artefacts = packages.iter().flat_map(|package| package.object.iter().chain(&package.component));
    let mut stale = 0;
    for artefact in artefacts {
        match state(root, artefact)? {
            Ok(()) => println!("fresh  {}", artefact.path.display()),
            Err(why) => {
                stale += 1;
                println!("stale  {}: {why}", artefact.path.display());
            }
        }
    }
    if stale == 0 { Ok(()) } else { Err(Error::Stale { count: stale }) }
}

fn state(root: &Path, artefact: &Artefact) -> Result<core::result::Result<(), String>> {
    let path = root.join(&artefact.path);
    if !path.exists() {
        return Ok(Err("does not exist".into()));
    }
    let expected = digest::of(root, artefact)?;
    Ok(match seal::read(&path)? {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(format!("was built from {found}, the sources are now {expected}")),
        None => Err("has no digest of its sources".into()),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_artefacts_were_built_from_the_committed_sources() {
        super::check(&crate::root()).unwrap_or_else(|error| panic!("{error}"));
    }
}
