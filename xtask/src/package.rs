//! The packages of this repository: which artefacts are built for each `plugins/NAME/plugin.yaml` (and for `plugins/builtin`, which is
//! embedded in the host), and from which sources.
//!
//! Artefacts follow from names: the crate `plugins/NAME` gives `NAME.wasm`, and `bpf/NAME.bpf.c` gives `NAME.bpf.o`. A package may lack
//! either. Packages that only the benchmark and the tests load are in `bench/packages/` and follow the same rules; components that tests
//! put into temporary packages are next to those tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The artefacts of a package.
pub(crate) struct Package {
    pub(crate) component: Option<Artefact>,
    pub(crate) object: Option<Artefact>,
}

/// A file that is built and committed. All paths are relative to the workspace.
pub(crate) struct Artefact {
    /// The name of the package, and of the crate.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The files that it is built from.
    pub(crate) sources: BTreeSet<PathBuf>,
}

/// The folders that contain packages.
const FOLDERS: [&str; 2] = ["plugins", "bench/packages"];

/// Crates of components without a package.
const COMPONENTS: [&str; 2] = ["tests/fixtures/mistaken", "tests/sandbox/misbehaving"];

/// All packages, sorted by folder and name.
pub(crate) fn all(root: &Path) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for folder in FOLDERS {
        let mut names = Vec::new();
        for package in entries(&root.join(folder))? {
            if package.join("plugin.yaml").is_file() || is_component(&package) {
                names.extend(package.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        for name in names {
            packages.push(package(root, Path::new(folder), &name)?);
        }
    }
    for folder in COMPONENTS.map(Path::new) {
        let name = folder.file_name().expect("a folder has a name").to_string_lossy();
        packages.push(Package { component: Some(component(root, folder, &name)?), object: None });
    }
    Ok(packages)
}

/// Whether a folder is a crate that gives a component. It need not be a package: the builtin component is not.
fn is_component(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("\"cdylib\""))
}

fn package(root: &Path, folder: &Path, name: &str) -> Result<Package> {
    let folder = folder.join(name);
    let program = PathBuf::from(format!("bpf/{name}.bpf.c"));
    let component = match root.join(&folder).join("Cargo.toml").is_file() {
        true => Some(component(root, &folder, name)?),
        false => None,
    };
    let object = match root.join(&program).is_file() {
        true => Some(Artefact {
            name: name.into(),
            path: folder.join(format!("{name}.bpf.o")),
            sources: object_sources(root, program)?,
        }),
        false => None,
    };
    Ok(Package { component, object })
}

fn component(root: &Path, folder: &Path, name: &str) -> Result<Artefact> {
    let sources = component_sources(root, folder)?;
    Ok(Artefact { name: name.into(), path: folder.join(format!("{name}.wasm")), sources })
}

/// The sources of a component: the crate, the contract, and the SDK if the crate depends on it.
fn component_sources(root: &Path, folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let crate_file = root.join(folder).join("Cargo.toml");
    let crate_text = fs::read_to_string(&crate_file).map_err(Error::file(&crate_file))?;
    let sdk = crate_text.contains("ebhost-plugin").then_some(Path::new("plugins/sdk"));
    let mut sources = BTreeSet::new();
    for source in [folder].into_iter().chain(sdk) {
        sources.insert(source.join("Cargo.toml"));
        walk(root, &source.join("src"), &mut sources)?;
    }
    walk(root, Path::new("wit"), &mut sources)?;
    Ok(sources)
}

/// The sources of a BPF object: the program and the headers of `bpf/` that it includes, directly or indirectly.
fn object_sources(root: &Path, program: PathBuf) -> Result<BTreeSet<PathBuf>> {
    let mut sources = BTreeSet::new();
    let mut open = vec![program];
    while let Some(source) = open.pop() {
        let path = root.join(&source);
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        if !sources.contains(&source) {
            let includes: Vec<_> = includes(&text).map(|header| included(&source, header)).collect();
            sources.insert(source);
            open.extend(includes);
        }
    }
    Ok(sources)
}

/// The path of a header that a file includes: relative to the file's folder, without `..`.
fn included(by: &Path, header: &str) -> PathBuf {
    let mut path = by.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(header) {
        match part.to_str() {
            Some("..") => drop(path.pop()),
            _ => path.push(part),
        }
    }
    path
}

fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix("#include \"")?.split('"').next())
}

fn walk(root: &Path, folder: &Path, sources: &mut BTreeSet<PathBuf>) -> Result<()> {
    for path in entries(&root.join(folder))? {
        let inside = folder.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            walk(root, &inside, sources)?;
        } else {
            sources.insert(inside);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::file(folder))?;
    entries.map(|entry| Ok(entry.map_err(Error::file(folder))?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_followed_and_system_headers_are_not() {
        let text = "#include \"a.h\"\n  #include \"b.h\" /* why */\n#include <c.h>\n// #include \"d.h\"\n";
        assert_eq!(includes(text).collect::<Vec<_>>(), ["a.h", "b.h"]);
    }

    #[test]
    fn a_header_is_found_from_the_file_that_includes_it() {
        let found = |by: &str, header: &str| included(Path::new(by), header);
        assert_eq!(found("bpf/a.bpf.c", "ebhost/b.h"), Path::new("bpf/ebhost/b.h"));
        assert_eq!(found("bpf/ebhost/b.h", "../c.h"), Path::new("bpf/c.h"));
    }
}
