//! The operator's settings between two reloads: read again when their file changed and stood still for a look, and kept as they are
//! when the new file has a mistake.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tracing::{info, warn};

use super::scan::{Stamp, file_stamp};
use ebhost_package::{PackageError, Settings};

/// The settings in force, and the state of the file that they were read from.
pub(super) struct WatchedSettings {
    current: Settings,
    /// The file as it was when it was read last; none: it is to be read again.
    examined: Option<Stamp>,
    last: Stamp,
}

/// The outcome of a look at the settings.
#[derive(Debug)]
pub(super) enum SettingsChange {
    Unchanged,
    Changed,
    Refused(PackageError),
}

impl WatchedSettings {
    /// Settings that were read at the start.
    pub(super) fn new(mut current: Settings) -> Self {
        end_packages(&mut current);
        let stamp = file_stamp(current.path());
        Self { current, examined: Some(stamp.clone()), last: stamp }
    }

    pub(super) fn current(&self) -> &Settings {
        &self.current
    }

    /// The folder in which the file can be replaced.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.current.path().parent().filter(|folder| folder.is_dir()).map(PathBuf::from)
    }

    /// Reads the file again at the next look.
    pub(super) fn read_again(&mut self) {
        self.examined = None;
    }

    /// Whether the file has been read as it is.
    pub(super) fn is_settled(&self) -> bool {
        self.examined.as_ref() == Some(&self.last)
    }

    /// Looks at the file, and reads it when it is as it was at the look before.
    pub(super) fn look(&mut self) -> SettingsChange {
        let stamp = file_stamp(self.current.path());
        let stands_still = stamp == self.last;
        self.last = stamp;
        if !stands_still || self.is_settled() {
            return SettingsChange::Unchanged;
        }
        self.examined = Some(self.last.clone());
        match self.current.read_again() {
            Ok(mut settings) => {
                self.warn_of_flags(&settings);
                end_packages(&mut settings);
                self.current = settings;
                SettingsChange::Changed
            }
            Err(error) => SettingsChange::Refused(error),
        }
    }

    /// Switches off the packages whose time is over, and gives their names.
    pub(super) fn end_packages(&mut self) -> Vec<String> {
        end_packages(&mut self.current)
    }

    /// The time until the next package is to be switched off.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.current.next_end().map(|end| end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Flags count at the start only.
    fn warn_of_flags(&self, new: &Settings) {
        let value = |settings: &Settings, name: &str| {
            settings.flags().iter().find(|flag| flag.name == name).map(|flag| flag.setting.value.clone())
        };
        let all = self.current.flags().iter().chain(new.flags()).map(|flag| flag.name.as_str());
        let mut changed: Vec<_> = all.filter(|name| value(&self.current, name) != value(new, name)).collect();
        changed.sort_unstable();
        changed.dedup();
        if !changed.is_empty() {
            warn!(
                "settings that count at the start were changed: {}; restart ebhost to apply them",
                changed.join(", ")
            );
        }
    }

    /// Warns of settings for packages that are not there, as of a misspelt name.
    pub(super) fn warn_of_unknown(&self, known: &[&str]) {
        let unknown: Vec<_> = self.current.package_names().filter(|name| !known.contains(name)).collect();
        if let (Some(file), false) = (self.current.file(), unknown.is_empty()) {
            let (file, unknown, known) = (file.display(), unknown.join(", "), known.join(", "));
            info!("{file}: found settings for {unknown}, which no package is called; the packages are {known}");
        }
    }

    /// Warns of bounds for all packages whose key is neither a histogram nor a unit of one, as of a misspelt name. `known`: those of the packages
    /// that run; nothing is known of the others.
    pub(super) fn warn_of_unknown_bounds(&self, known: &BTreeSet<&str>) {
        for (key, wanted) in self.current.common_bounds().filter(|(key, _)| !known.contains(key)) {
            let known: Vec<_> = known.iter().copied().collect();
            let known = if known.is_empty() { "none, for no package has one".to_owned() } else { known.join(", ") };
            let message = format!(
                "found bounds of `{key}`, which no package that runs has a histogram for; expected a histogram or its unit: {known}"
            );
            warn!("{}", wanted.fault(message));
        }
    }
}

fn end_packages(settings: &mut Settings) -> Vec<String> {
    let ended = settings.end_packages(SystemTime::now());
    for package in &ended {
        info!(package, "the settings have the package on until a time that is over");
    }
    ended
}
