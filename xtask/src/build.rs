//! The committed artefacts: builds the components and BPF objects of all packages, and writes them into their packages or compares them
//! with what is committed there.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::package::{self, Artefact};
use crate::toolchain::Toolchain;
use crate::{clang, component};

/// An artefact that has just been built.
pub(crate) struct Built<'a> {
    pub(crate) artefact: &'a Artefact,
    pub(crate) bytes: Vec<u8>,
}

/// `cargo xtask build`: rebuilds all artefacts and writes them into their packages.
pub(crate) fn build(root: &Path) -> Result<()> {
    for_each_built(root, |built| {
        let path = root.join(&built.artefact.path);
        fs::write(&path, &built.bytes).map_err(Error::file(&path))?;
        println!("built  {} ({} bytes)", built.artefact.path.display(), built.bytes.len());
        Ok(())
    })
}

/// `cargo xtask build --verify`: rebuilds all artefacts below `target/` and compares them with the committed ones, byte for byte. Shows
/// the versions of the tools, because another compiler gives other bytes for the same sources.
pub(crate) fn verify(root: &Path) -> Result<()> {
    let mut different = 0;
    for_each_built(root, |built| {
        let path = root.join(&built.artefact.path);
        let committed = fs::read(&path).map_err(Error::file(&path))?;
        if committed == built.bytes {
            println!("same     {}", built.artefact.path.display());
        } else {
            different += 1;
            let what = difference(&committed, &built.bytes);
            println!("differs  {}: {what}", built.artefact.path.display());
        }
        Ok(())
    })?;
    let tools = tools()?;
    println!("{tools}");
    if different == 0 { Ok(()) } else { Err(Error::Different { count: different, tools }) }
}

fn for_each_built(root: &Path, mut act: impl FnMut(Built<'_>) -> Result<()>) -> Result<()> {
    let packages = package::all(root)?;
    for object in packages.iter().filter_map(|package| package.object.as_ref()) {
        act(Built { artefact: object, bytes: clang::build(root, object)? })?;
    }
    let components: Vec<_> = packages.iter().filter_map(|package| package.component.as_ref()).collect();
    component::build(root, &components)?.into_iter().try_for_each(act)
}

/// The sizes and the first offset at which two files differ.
fn difference(committed: &[u8], built: &[u8]) -> String {
    let common = committed.iter().zip(built).take_while(|(old, new)| old == new).count();
    format!("committed {} bytes, built {} bytes, the first difference at byte {common}", committed.len(), built.len())
}

/// The versions of the compilers, in one line.
fn tools() -> Result<String> {
    Ok(format!("built with {} and {}", clang::version()?, Toolchain::find()?.version()?))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_is_described_by_sizes_and_its_first_byte() {
        let text = "committed 3 bytes, built 4 bytes, the first difference at byte";
        assert_eq!(difference(b"abc", b"abxd"), format!("{text} 2"));
        assert_eq!(difference(b"abc", b"abcd"), format!("{text} 3"));
    }
}
