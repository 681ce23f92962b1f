//! The packages that an operator trusts: a file of SHA-256 pins, and a rule about which packages have to be in it.
//!
//! The file is what `sha256sum` writes when it is run in the plugin folder: `cd plugins && sha256sum */plugin.yaml */*.wasm
//! */*.bpf.o > pins`. A package is pinned if every file of it that is used is listed with its digest. The bytes that are
//! checked are the bytes that run: they are read once.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::{Digest, Package, PackageError, read_bounded};
use ebhost_limits as limits;

/// The packages that have to be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Packages that bring BPF objects: code for the kernel.
    Bpf,
    /// Every package.
    All,
}

/// The operator's pins; without a file, everything is trusted.
#[derive(Debug, Clone)]
pub struct Trust {
    file: PathBuf,
    require: Require,
    pins: BTreeMap<String, Digest>,
}

/// Why a package is not trusted, or the pins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error(transparent)]
    Unreadable(#[from] PackageError),
    #[error(
        "{file}:{line}: found `{found}`, expected a sha256 and a path, as `ebhost pack` or `cd plugins && sha256sum */plugin.yaml */*.wasm` prints them"
    )]
    Line { file: PathBuf, line: usize, found: String },
    #[error("{file}:{line}: `{path}` is pinned to another digest before; a file has one")]
    Twice { file: PathBuf, line: usize, path: String },
    #[error("{path}: its sha256 is {found}, {pins} pins it to {expected}: changed since it was pinned?")]
    Differs { path: PathBuf, found: Digest, expected: Digest, pins: PathBuf },
    #[error("{path}: {pins} does not pin it, and {what}; look at the file, then add the line\n{found}  {name}")]
    Missing { path: PathBuf, found: Digest, name: String, pins: PathBuf, what: &'static str },
}

impl Trust {
    /// Reads the file of pins.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is no pin.
    pub fn read(file: &Path, require: Require) -> Result<Self, TrustError> {
        let text = read_bounded(file, limits::PINS_BYTES, "--trust.pins names it")?;
        let pins = parse(file, &String::from_utf8_lossy(&text))?;
        Ok(Self { file: file.to_owned(), require, pins })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the same file again.
    pub fn read_again(&self) -> Result<Self, TrustError> {
        Self::read(&self.file, self.require)
    }

    /// Compares a package's files with the pins.
    pub fn check(&self, package: &Package) -> Result<(), TrustError> {
        let what = match (self.require, &package.bpf) {
            (Require::Bpf, Some(_)) => Some("only pinned packages may bring BPF (--trust.require bpf)"),
            (Require::Bpf, None) => None,
            (Require::All, _) => Some("only pinned packages may run (--trust.require all)"),
        };
        let folder = package.file.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        let check = |path: &Path, digest| self.check_file(path, folder, digest, what);
        check(&package.file, package.digest)?;
        if !package.is_builtin() {
            check(&package.component.path, package.component.digest)?;
        }
        package.bpf.iter().try_for_each(|bpf| check(&bpf.object.path, bpf.object.digest))
    }

    /// Compares one file of a package in `folder`.
    fn check_file(
        &self,
        path: &Path,
        folder: &Path,
        found: Digest,
        what: Option<&'static str>,
    ) -> Result<(), TrustError> {
        let mut names = names_of(path, folder);
        let pinned = names.find_map(|name| self.pins.get(&name));
        match (pinned, what) {
            (Some(expected), _) if *expected == found => Ok(()),
            (Some(expected), _) => {
                Err(TrustError::Differs { path: path.to_owned(), found, expected: *expected, pins: self.file.clone() })
            }
            (None, None) => Ok(()),
            (None, Some(what)) => {
                let name = names_of(path, folder).next().unwrap_or_default();
                Err(TrustError::Missing { path: path.to_owned(), found, name, pins: self.file.clone(), what })
            }
        }
    }
}

/// The names by which a file of a package in `folder` may be pinned: its path as seen from `folder`, then as seen from each folder above.
fn names_of(path: &Path, folder: &Path) -> impl Iterator<Item = String> {
    let (path, folder) = (components(path), components(folder));
    // A file elsewhere, through `..`, is seen from the folder above its own.
    let below = if path.starts_with(&folder) { path.len() - folder.len() } else { path.len().min(2) };
    (below..=path.len()).map(move |count| path[path.len() - count..].join("/"))
}

/// The components of a path, without those that go nowhere or back.
fn components(path: &Path) -> Vec<String> {
    let mut components = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => components.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => _ = components.pop(),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    components
}

fn parse(file: &Path, text: &str) -> Result<BTreeMap<String, Digest>, TrustError> {
    let mut pins = BTreeMap::new();
    for (index, found) in text.lines().enumerate() {
        let line = index + 1;
        if found.trim().is_empty() || found.starts_with('#') {
            continue;
        }
        let Some((digest, path)) = parse_pin(found) else {
            return Err(TrustError::Line { file: file.to_owned(), line, found: found.to_owned() });
        };
        if pins.insert(path.clone(), digest).is_some_and(|before| before != digest) {
            return Err(TrustError::Twice { file: file.to_owned(), line, path });
        }
    }
    Ok(pins)
}

/// The digest and the path of a line as `sha256sum` writes it for a file in a folder; the path without `.` and `..`.
pub fn parse_pin(line: &str) -> Option<(Digest, String)> {
    let (hex, path) = line.split_at_checked(64)?;
    let digest = Digest::from_hex(hex)?;
    // Between them sha256sum writes a blank and the kind of the file: a second one, or `*`.
    let path = path.strip_prefix("  ").or_else(|| path.strip_prefix(" *"))?;
    path.contains('/').then(|| (digest, components(Path::new(path)).join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Artefact, Bpf, Compat, package_limits::PackageLimits};

    const X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

    fn refusal(text: &str) -> String {
        parse(Path::new("pins"), text).unwrap_err().to_string()
    }

    #[test]
    fn lines_are_as_sha256sum_writes_them() {
        let pins = parse(Path::new("pins"), &format!("# mine\n{X}  a/x.wasm\n{X} *./a/y.wasm\n\n")).unwrap();
        assert_eq!(pins.keys().collect::<Vec<_>>(), ["a/x.wasm", "a/y.wasm"]);
        assert_eq!(pins["a/x.wasm"], Digest::of(b"x"));
        assert_eq!(pins["a/x.wasm"].to_string(), X);
    }

    fn artefact(name: &str, bytes: &[u8]) -> Artefact {
        Artefact::new(Path::new("plugins/x").join(name), bytes.to_vec())
    }

    /// A package `x` with its three files, or without a BPF object.
    fn package(yaml: &[u8], component: &[u8], object: Option<&[u8]>) -> Package {
        Package {
            name: "x".into(),
            version: String::new(),
            license: String::new(),
            file: "plugins/x/plugin.yaml".into(),
            digest: Digest::of(yaml),
            compat: Compat::Native,
            component: artefact("x.wasm", component),
            bpf: object.map(|object| Bpf::of(artefact("x.bpf.o", object))),
            perf: BTreeMap::new(),
            config: "{}".into(),
            syscall_names: Default::default(),
            text: String::new(),
            grants: Vec::new(),
            limits: PackageLimits::default().complete(),
            bounds: Default::default(),
            choices: BTreeMap::new(),
        }
    }

    /// Pins of `package(b"yaml", b"component", Some(b"object"))`, the files of which are named `but` left out.
    fn trust(require: Require, but: &str) -> Trust {
        let files = [("plugin.yaml", &b"yaml"[..]), ("x.wasm", b"component"), ("x.bpf.o", b"object")];
        let files = files.into_iter().filter(|(name, _)| *name != but);
        let pins = files.map(|(name, bytes)| (format!("x/{name}"), Digest::of(bytes))).collect();
        Trust { file: "pins".into(), require, pins }
    }

    /// A component could be exchanged under its pin: only the manifest and the object were compared.
    #[test]
    fn each_file_of_a_package_has_to_be_the_pinned_one() {
        for require in [Require::Bpf, Require::All] {
            let trust = trust(require, "");
            assert!(trust.check(&package(b"yaml", b"component", Some(b"object"))).is_ok());
            for (changed, file) in [
                (package(b"other", b"component", Some(b"object")), "plugins/x/plugin.yaml: "),
                (package(b"yaml", b"other", Some(b"object")), "plugins/x/x.wasm: "),
                (package(b"yaml", b"component", Some(b"other")), "plugins/x/x.bpf.o: "),
                // Without an object no pin is required, but what is pinned is compared all the same.
                (package(b"yaml", b"other", None), "plugins/x/x.wasm: "),
            ] {
                let message = trust.check(&changed).unwrap_err().to_string();
                let says = message.starts_with(file) && message.contains("changed since it was pinned?");
                assert!(says, "{require:?}: {message}");
            }
        }
    }

    #[test]
    fn a_package_without_pins_runs_only_where_none_are_required() {
        let (with_object, without) = (package(b"yaml", b"component", Some(b"object")), package(b"yaml", b"x", None));
        for missing in ["plugin.yaml", "x.wasm", "x.bpf.o"] {
            for require in [Require::Bpf, Require::All] {
                let message = trust(require, missing).check(&with_object).unwrap_err().to_string();
                assert!(message.starts_with(&format!("plugins/x/{missing}: ")), "{require:?}: {message}");
            }
        }
        let none = |require| Trust { file: "pins".into(), require, pins: BTreeMap::new() };
        assert!(none(Require::Bpf).check(&without).is_ok(), "it brings no BPF");
        let message = none(Require::All).check(&without).unwrap_err().to_string();
        assert!(message.contains("only pinned packages may run"), "{message}");
        let builtin = Package { component: crate::builtin::component(), ..package(b"yaml", b"", None) };
        assert!(trust(Require::All, "").check(&builtin).is_ok(), "the host's own component has no pin");
    }

    #[test]
    fn what_is_no_pin_is_pointed_at() {
        let short = &X[1..];
        for line in [format!("{short}  a/x.wasm"), format!("{X} a/x.wasm"), format!("{X}  x.wasm"), "ä".repeat(40)] {
            let message = refusal(&format!("\n{line}\n"));
            assert!(message.starts_with("pins:2: found `") && message.contains("expected a sha256"), "{message}");
        }
        let other = X.replace('2', "3");
        assert!(refusal(&format!("{X}  a/x\n{other}  a/x\n")).starts_with("pins:2: `a/x` is pinned"));
    }

    #[test]
    fn objects_of_one_name_in_subfolders_of_two_packages_have_a_pin_each() {
        let other = X.replace('2', "3");
        let text = format!("{X}  a/sub/x.bpf.o\n{other}  ./b/sub/x.bpf.o\n");
        let pins = parse(Path::new("pins"), &text).unwrap();
        let trust = Trust { file: PathBuf::from("pins"), require: Require::Bpf, pins };
        let check =
            |path: &str, folder: &str| trust.check_file(Path::new(path), Path::new(folder), Digest::of(b"x"), None);
        assert!(check("/etc/plugins/a/sub/x.bpf.o", "/etc/plugins").is_ok());
        assert!(matches!(check("/etc/plugins/b/sub/x.bpf.o", "/etc/plugins"), Err(TrustError::Differs { .. })));
        assert!(check("a/../b/sub/../../a/sub/x.bpf.o", "").is_ok());
    }

    #[test]
    fn a_pin_may_have_the_path_from_any_folder_above() {
        let names: Vec<_> = names_of(Path::new("/etc/plugins/a/x.wasm"), Path::new("/etc/plugins")).collect();
        assert_eq!(names, ["a/x.wasm", "plugins/a/x.wasm", "etc/plugins/a/x.wasm"]);
        let names: Vec<_> = names_of(Path::new("plugins/a/../../shared/x.o"), Path::new("plugins")).collect();
        assert_eq!(names, ["shared/x.o"]);
    }
}
