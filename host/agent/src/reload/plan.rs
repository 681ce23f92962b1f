//! Which packages may take over the names that they claim, decided for all of them together.
//!
//! A set of packages is checked against itself, not against what runs: a name that one package gives up in this reload is free
//! for another in the same reload. The rule for two packages that claim one name: the one that runs and keeps it wins, otherwise
//! the first by file name.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::names::{MetricNameRegistry, NameError, PackageNames};

/// Names by the file that their package is known by.
pub(super) type Claims<'a> = BTreeMap<&'a Path, &'a PackageNames>;

/// The candidates that cannot have their names, and why.
///
/// `running` are the packages that run and whose files are still there, `candidates` new packages and new versions of running
/// ones. A running package whose candidate is refused keeps the names that it has.
pub(super) fn refused(running: &Claims<'_>, candidates: &Claims<'_>) -> BTreeMap<PathBuf, NameError> {
    // A refused version gives its names back to the version that runs, so the others are decided again.
    let mut versions = BTreeMap::new();
    while let Err(RefusedVersion { file, error }) = decide(running, candidates, &versions) {
        versions.insert(file, error);
    }
    // One may have been refused for the names of another one that was refused later: each is tried again by itself.
    while let Some(file) = versions.keys().find(|file| decide(running, candidates, &without(&versions, file)).is_ok()) {
        versions = without(&versions, file);
    }
    let Ok(Decision { registry, mut refused }) = decide(running, candidates, &versions) else { return versions };
    for (file, error) in versions {
        // The reason that holds in the end may be another one than the first.
        let last = candidates.get(file.as_path()).and_then(|names| registry.check_conflicts(&file, names).err());
        refused.insert(file, last.unwrap_or(error));
    }
    refused
}

fn without(refused: &BTreeMap<PathBuf, NameError>, file: &Path) -> BTreeMap<PathBuf, NameError> {
    let mut refused = refused.clone();
    refused.remove(file);
    refused
}

/// A new version of a running package that cannot have its names.
struct RefusedVersion {
    file: PathBuf,
    error: NameError,
}

/// The names as they are given out, and the new packages that are refused.
struct Decision {
    registry: MetricNameRegistry,
    refused: BTreeMap<PathBuf, NameError>,
}

/// Gives the names out, unless one more new version of a running package has to be refused.
fn decide(
    running: &Claims<'_>,
    candidates: &Claims<'_>,
    refused_versions: &BTreeMap<PathBuf, NameError>,
) -> Result<Decision, RefusedVersion> {
    let mut registry = MetricNameRegistry::default();
    let accepted = |file: &Path| candidates.get(file).filter(|_| !refused_versions.contains_key(file));
    for (file, names) in running {
        match accepted(file) {
            Some(candidate) => registry.insert(file, &names.shared_with(candidate), &names.package),
            None => registry.insert(file, names, &names.package),
        }
    }
    let (versions, packages): (Vec<_>, Vec<_>) = candidates.iter().partition(|(file, _)| running.contains_key(*file));
    for (file, names) in versions.into_iter().filter(|(file, _)| accepted(file).is_some()) {
        registry.check_conflicts(file, names).map_err(|error| RefusedVersion { file: file.to_path_buf(), error })?;
        registry.insert(file, names, &names.package);
    }
    let mut refused = BTreeMap::new();
    for (file, names) in packages {
        match registry.check_conflicts(file, names) {
            Ok(()) => registry.insert(file, names, &names.package),
            Err(error) => drop(refused.insert(file.to_path_buf(), error)),
        }
    }
    Ok(Decision { registry, refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packages as `file: package name, samples`.
    type Packages<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

    fn refused_files(running: Packages<'_>, candidates: Packages<'_>) -> Vec<String> {
        let names = |packages: Packages<'_>| -> BTreeMap<PathBuf, PackageNames> {
            packages.iter().map(|(file, name, samples)| (file.into(), PackageNames::of(name, samples))).collect()
        };
        let (running, candidates) = (names(running), names(candidates));
        let claims = |names: &BTreeMap<PathBuf, PackageNames>| -> Vec<(PathBuf, PackageNames)> {
            names.clone().into_iter().collect()
        };
        let (running, candidates) = (claims(&running), claims(&candidates));
        let running = running.iter().map(|(file, names)| (file.as_path(), names)).collect();
        let candidates = candidates.iter().map(|(file, names)| (file.as_path(), names)).collect();
        refused(&running, &candidates).into_keys().map(|file| file.display().to_string()).collect()
    }

    #[test]
    fn at_a_start_the_first_by_file_name_has_the_name() {
        let candidates: Packages<'_> = &[("a", "maps", &[]), ("b", "maps", &[]), ("c", "c", &[])];
        assert_eq!(refused_files(&[], candidates), ["b"]);
        let candidates: Packages<'_> = &[("a", "a", &["x"]), ("b", "b", &["x", "y"]), ("c", "c", &["y"])];
        assert_eq!(refused_files(&[], candidates), ["b"], "what is refused takes no name");
    }

    #[test]
    fn a_package_that_runs_keeps_its_names() {
        assert_eq!(refused_files(&[("b", "b", &["x"])], &[("a", "a", &["x"])]), ["a"]);
        assert_eq!(refused_files(&[("b", "b", &["x"])], &[("a", "b", &[])]), ["a"]);
        let candidates: Packages<'_> = &[("a", "a", &["x"]), ("b", "b", &["x", "y"])];
        assert_eq!(refused_files(&[("b", "b", &["x"])], candidates), ["a"]);
    }

    #[test]
    fn a_family_moves_between_two_packages_in_one_reload() {
        let running: Packages<'_> = &[("a", "a", &["one"]), ("b", "b", &["two"])];
        assert!(refused_files(running, &[("a", "a", &["one", "two"]), ("b", "b", &[])]).is_empty());
        assert!(refused_files(running, &[("a", "a", &["two"]), ("b", "b", &["one"])]).is_empty(), "they swap");
        assert_eq!(refused_files(running, &[("a", "a", &["one", "two"])]), ["a"]);
    }

    #[test]
    fn a_refused_version_keeps_the_names_that_it_has() {
        // `b` would give up `two`, but its new version claims `three`, which runs: so `a` and `d` have to wait.
        let running: Packages<'_> = &[("a", "a", &["one"]), ("b", "b", &["two"]), ("c", "c", &["three"])];
        let candidates: Packages<'_> = &[("a", "a", &["one", "two"]), ("b", "b", &["three"]), ("d", "d", &["two"])];
        assert_eq!(refused_files(running, candidates), ["a", "b", "d"]);
    }

    /// Each would make way for the other, but only `b` can go: `a` claims `one` too, which `b` keeps if it does not go.
    #[test]
    fn a_version_is_not_refused_for_one_that_is_refused_itself() {
        let running: Packages<'_> = &[("a", "a", &["six"]), ("b", "b", &["one"])];
        let candidates: Packages<'_> = &[("a", "a", &["four", "one", "six"]), ("b", "b", &["four"])];
        assert_eq!(refused_files(running, candidates), ["a"]);
    }
}
