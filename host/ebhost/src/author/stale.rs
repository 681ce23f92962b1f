//! Artefacts that are older than what they are built from: the last build failed, or there was none.
//!
//! Only for folders with a `build.sh`, as `ebhost new` makes them: elsewhere nothing says what an artefact is built from, and
//! files that came from a package or a repository have the times at which they were unpacked.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ebhost_package::Package;

/// An artefact, and a source that has changed since it was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) artefact: PathBuf,
    pub(super) source: PathBuf,
}

impl Stale {
    /// The fault, without the artefact's path.
    pub(super) fn message(&self) -> String {
        format!("is older than {}: the last build failed, or there was none", self.source.display())
    }
}

/// The stale artefacts of a package.
pub(super) fn artefacts(package: &Package) -> Vec<Stale> {
    let Some(folder) = package.file.parent().filter(|folder| folder.join("build.sh").is_file()) else {
        return Vec::new();
    };
    let object = package.bpf.as_ref().map(|bpf| (&bpf.object.path, newest(folder, &["c", "h"], is_of_program)));
    let component = Some((&package.component.path, newest(folder, &["rs", "c", "h", "js", "py"], is_of_component)));
    let stale = |(artefact, source): (&PathBuf, Option<(SystemTime, PathBuf)>)| {
        let built = fs::metadata(artefact).and_then(|metadata| metadata.modified()).ok()?;
        let (_, source) = source.filter(|(changed, _)| *changed > built)?;
        Some(Stale { artefact: artefact.clone(), source })
    };
    object.into_iter().chain(component).filter_map(stale).collect()
}

fn is_of_program(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".bpf.c") || path.parent().is_some_and(|folder| folder.ends_with("ebhost"))
}

fn is_of_component(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.parent().is_some_and(|folder| folder.ends_with("src")) || name.starts_with("component.")
}

/// The file that changed last, of those in the folder, in `src` and in `ebhost` that have such an extension and are wanted.
fn newest(folder: &Path, extensions: &[&str], is_wanted: fn(&Path) -> bool) -> Option<(SystemTime, PathBuf)> {
    let folders = [folder.to_owned(), folder.join("src"), folder.join("ebhost")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let paths = files.map(|entry| entry.path()).filter(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        extensions.contains(&extension) && is_wanted(path)
    });
    paths.filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path))).max()
}
