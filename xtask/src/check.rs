//! Whether what is committed was built from what is committed. Reads files alone: no toolchain, no network.

use std::path::Path;

use crate::error::{Error, Result};
use crate::package::{self, Artefact};
use crate::{digest, seal};

/// Prints each artefact's state; an error if one is stale.
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
        return Ok(Err("is not there".into()));
    }
    let expected = digest::of(root, artefact)?;
    Ok(match seal::read(&path)? {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(format!("was built from {found}, its sources are now {expected}")),
        None => Err("does not say what it was built from".into()),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_committed_was_built_from_what_is_committed() {
        super::check(&crate::root()).unwrap_or_else(|error| panic!("{error}"));
    }
}
