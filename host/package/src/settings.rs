//! Settings: what an operator chose for the packages and the host, in a file of its own that upgrades never touch.
//!
//! ```yaml
//! plugins:
//!   biolatency: { native: true, disks: [nvme0n1] }
//!   syscalls: on
//! limits: { series: 20000 }
//! web.listen-address: ":9435"
//! ```
//!
//! This module parses the file and keeps the place of every setting, so that a mistake is reported at its line. It does not know which
//! packages and options there are: a package's settings are held against its `plugin.yaml` when that is read.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use serde_json::{Map, Value};

use super::{
    Diagnostic, PackageError,
    bounds::{self, ChosenBounds, WantedBounds},
    check_depth,
    located::{self, Step, Tree},
    options::{shown, truth},
    package_limits::PackageLimits,
    read_bounded,
};
use ebhost_limits as limits;

/// The settings of a host. Without a file and flags nothing is set.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    source: Source,
    file: Option<Arc<SettingsFile>>,
    packages: BTreeMap<String, PackageSettings>,
    limits: BTreeMap<String, Setting>,
    bounds: BTreeMap<String, WantedBounds>,
    flags: Vec<FlagSetting>,
}

#[derive(Debug)]
struct SettingsFile {
    path: PathBuf,
    text: String,
}

/// Where settings are read from.
#[derive(Debug, Clone)]
struct Source {
    file: PathBuf,
    presence: Presence,
    /// The arguments of `--set`, each `plugins.PACKAGE.OPTION=VALUE`.
    assignments: Vec<String>,
}

/// Whether the settings file has to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Somebody named it.
    Required,
    /// It is where settings lie if there are any.
    Optional,
}

/// The file of settings if no other one is named.
const DEFAULT_FILE: &str = "/etc/ebhost/ebhost.yaml";

impl Default for Source {
    fn default() -> Self {
        Self { file: DEFAULT_FILE.into(), presence: Presence::Optional, assignments: Vec::new() }
    }
}

impl Source {
    fn read(self) -> Result<Settings, PackageError> {
        let mut settings = match read_file(&self.file) {
            Err(PackageError::Unreadable { source, .. })
                if self.presence == Presence::Optional && source.kind() == io::ErrorKind::NotFound =>
            {
                Settings::default()
            }
            settings => settings?,
        };
        self.assignments.iter().try_for_each(|assignment| settings.set(assignment)).map_err(PackageError::Invalid)?;
        Ok(Settings { source: self, ..settings })
    }
}

/// Reads a settings file.
fn read_file(file: &Path) -> Result<Settings, PackageError> {
    let text = read_bounded(file, limits::SETTINGS_BYTES, "--config.file names it")?;
    let text = String::from_utf8(text)
        .map_err(|error| PackageError::Invalid(Diagnostic::whole(file, format!("is not UTF-8: {error}"))))?;
    Settings::parse(file, text).map_err(PackageError::Invalid)
}

/// The settings of one package.
#[derive(Debug, Clone, Default)]
pub(super) struct PackageSettings {
    /// Whether the package is loaded; none: as its `plugin.yaml` says.
    pub(super) enabled: Option<bool>,
    /// When it is switched off.
    pub(super) until: Option<SystemTime>,
    pub(super) options: BTreeMap<String, Setting>,
    pub(super) limits: BTreeMap<String, Setting>,
    pub(super) bounds: BTreeMap<String, WantedBounds>,
}

/// A value, and where it was set.
#[derive(Debug, Clone)]
pub struct Setting {
    pub value: Value,
    place: Place,
}

/// A setting in place of a flag of the command line.
#[derive(Debug, Clone)]
pub struct FlagSetting {
    /// The flag without its dashes, such as `web.listen-address`.
    pub name: String,
    pub setting: Setting,
}

#[derive(Debug, Clone)]
enum Place {
    Line {
        file: Arc<SettingsFile>,
        steps: Vec<Step>,
    },
    /// The argument of `--set`.
    Flag(String),
}

impl Place {
    fn below(&self, key: &str) -> Self {
        match self {
            Self::Line { file, steps } => {
                let steps = steps.iter().cloned().chain([Step::Key(key.to_owned())]).collect();
                Self::Line { file: file.clone(), steps }
            }
            Self::Flag(text) => Self::Flag(text.clone()),
        }
    }

    fn fault(&self, message: String) -> Diagnostic {
        match self {
            Self::Line { file, steps } => {
                Diagnostic::at(&file.path, &file.text, located::find(&file.text, steps), message)
            }
            Self::Flag(text) => Diagnostic::whole(Path::new(&format!("--set {text}")), message),
        }
    }
}

impl Setting {
    /// A message about this setting, at its line.
    pub fn fault(&self, message: String) -> Diagnostic {
        self.place.fault(message)
    }

    /// The texts of the value, as a command line has them: the items of a list, or one text.
    ///
    /// # Errors
    /// A value that no command line can have, such as a mapping.
    pub fn texts(&self) -> Result<Vec<String>, Diagnostic> {
        let text =
            |value: &Value| match value {
                Value::Null | Value::Array(_) | Value::Object(_) => Err(self
                    .fault(format!("found `{value}`, expected a text, a number, true or false, or a list of these"))),
                value => Ok(shown(value)),
            };
        match &self.value {
            Value::Array(items) => items.iter().map(text).collect(),
            value => Ok(vec![text(value)?]),
        }
    }
}

impl Settings {
    /// Reads a settings file, and adds assignments in the form of [`set`](Self::set). Without a name it is `/etc/ebhost/ebhost.yaml`, which need
    /// not be there.
    ///
    /// # Errors
    /// A file that cannot be read or is no YAML; a key or a value that no package and no flag can have; a wrong assignment.
    pub fn read(named: Option<PathBuf>, assignments: Vec<String>) -> Result<Self, PackageError> {
        let source = Source { assignments, ..Source::default() };
        match named {
            Some(file) => Source { file, presence: Presence::Required, ..source }.read(),
            None => source.read(),
        }
    }

    /// Reads the same file and assignments again.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn read_again(&self) -> Result<Self, PackageError> {
        self.source.clone().read()
    }

    /// The file that they are read from, whether it is there or not.
    pub fn path(&self) -> &Path {
        &self.source.file
    }

    fn parse(path: &Path, text: String) -> Result<Self, Diagnostic> {
        check_depth(path, &text)?;
        let Tree(tree) = serde_yaml::from_str(&text).map_err(|error| Diagnostic::of(path, &text, &error))?;
        let file = Arc::new(SettingsFile { path: path.to_owned(), text });
        let root = Place::Line { file: file.clone(), steps: Vec::new() };
        let mut settings = Self { file: Some(file), ..Self::default() };
        if is_of_ebpf_exporter(&tree) {
            return Err(root.fault(EBPF_EXPORTER.to_owned()));
        }
        for (key, value) in mapping(tree, &root)? {
            let place = root.below(&key);
            match key.as_str() {
                "plugins" => settings.add_packages(value, &place)?,
                "limits" => add_limits(value, &place, &mut settings.limits)?,
                "bounds" => add_bounds(value, &place, &mut settings.bounds)?,
                _ => settings.add_flags(key, value, place),
            }
        }
        Ok(settings)
    }

    /// Adds one setting in the form `plugins.PACKAGE.OPTION=VALUE`, which takes precedence over the file.
    ///
    /// # Errors
    /// A text of another form.
    pub fn set(&mut self, assignment: &str) -> Result<(), Diagnostic> {
        let place = Place::Flag(assignment.to_owned());
        let expected =
            "expected plugins.PACKAGE=on, plugins.PACKAGE.OPTION=VALUE, limits.LIMIT=VALUE or bounds.FAMILY=[…]";
        let (path, value) =
            assignment.split_once('=').ok_or_else(|| place.fault(format!("found no `=`, {expected}")))?;
        let Tree(value) = serde_yaml::from_str(value).map_err(|error| place.fault(error.to_string()))?;
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let nested =
            rest.rsplit('.').fold(value, |value, key| Value::Object(Map::from_iter([(key.to_owned(), value)])));
        match first {
            "plugins" if !rest.is_empty() => self.add_packages(nested, &place),
            "limits" if !rest.is_empty() => add_limits(nested, &place, &mut self.limits),
            "bounds" if !rest.is_empty() => add_bounds(nested, &place, &mut self.bounds),
            _ => Err(place.fault(format!("found `{path}`, {expected}"))),
        }
    }

    fn add_packages(&mut self, packages: Value, place: &Place) -> Result<(), Diagnostic> {
        for (name, value) in mapping(packages, place)? {
            let place = place.below(&name);
            let package = self.packages.entry(name).or_default();
            match value {
                Value::Object(map) => {
                    package.enabled = package.enabled.or(Some(true));
                    for (key, value) in map {
                        package.add(key, value, &place)?;
                    }
                }
                value => package.enabled = Some(switch(&value, &place)?),
            }
        }
        Ok(())
    }

    /// Adds every leaf below a key, by its path: `web: { listen-address: … }` is `web.listen-address`.
    fn add_flags(&mut self, name: String, value: Value, place: Place) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let place = place.below(&key);
                    self.add_flags(format!("{name}.{key}"), value, place);
                }
            }
            value => self.flags.push(FlagSetting { name, setting: Setting { value, place } }),
        }
    }

    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Settings in place of flags of the command line.
    pub fn flags(&self) -> &[FlagSetting] {
        &self.flags
    }

    /// Switches off the packages whose `until` has come, and gives their names.
    pub fn end_packages(&mut self, now: SystemTime) -> Vec<String> {
        let mut ended = Vec::new();
        for (name, package) in &mut self.packages {
            if package.until.is_some_and(|until| until <= now) {
                (package.enabled, package.until) = (Some(false), None);
                ended.push(name.clone());
            }
        }
        ended
    }

    /// The time of the next package's `until`.
    pub fn next_end(&self) -> Option<SystemTime> {
        self.packages.values().filter_map(|package| package.until).min()
    }

    /// The packages that something is set for.
    pub fn package_names(&self) -> impl Iterator<Item = &str> {
        self.packages.keys().map(String::as_str)
    }

    pub(super) fn package(&self, name: &str) -> Option<&PackageSettings> {
        self.packages.get(name)
    }

    /// The bounds that are wanted for a package's histograms.
    pub(super) fn bounds_of(&self, package: &str) -> ChosenBounds {
        let own = self.packages.get(package).map(|package| package.bounds.clone());
        ChosenBounds { own: own.unwrap_or_default(), all: self.bounds.clone() }
    }

    /// The bounds that are wanted for the histograms of all packages, by family or unit.
    pub fn common_bounds(&self) -> impl Iterator<Item = (&str, &WantedBounds)> {
        self.bounds.iter().map(|(key, wanted)| (key.as_str(), wanted))
    }

    /// The limits that packages have which state none.
    pub(super) fn limits(&self) -> &BTreeMap<String, Setting> {
        &self.limits
    }
}

impl PackageSettings {
    fn add(&mut self, key: String, value: Value, place: &Place) -> Result<(), Diagnostic> {
        let place = place.below(&key);
        match key.as_str() {
            "enabled" => self.enabled = Some(switch(&value, &place)?),
            "until" => self.until = Some(time(&value, &place)?),
            "limits" => add_limits(value, &place, &mut self.limits)?,
            "bounds" => add_bounds(value, &place, &mut self.bounds)?,
            _ => drop(self.options.insert(key, Setting { value, place })),
        }
        Ok(())
    }
}

const EBPF_EXPORTER: &str = "found a configuration of ebpf_exporter, expected ebhost's settings (`plugins`, `limits`, and names of flags). A file with \
                             `metrics` is loaded by `--config.dir DIR --config.names NAME`, with its compiled NAME.bpf.o in DIR; the format of \
                             ebpf_exporter before its version 2, with C source in `code`, is not supported";

fn is_of_ebpf_exporter(tree: &Value) -> bool {
    ["metrics", "programs", "tracing"].iter().any(|key| tree.get(key).is_some())
}

fn mapping(value: Value, place: &Place) -> Result<Map<String, Value>, Diagnostic> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        other => Err(place.fault(format!("found `{}`, expected a mapping", shown(&other)))),
    }
}

fn switch(value: &Value, place: &Place) -> Result<bool, Diagnostic> {
    let switch = match value {
        Value::Bool(switch) => Some(*switch),
        Value::String(text) => truth(text),
        _ => None,
    };
    switch.ok_or_else(|| place.fault(format!("found `{}`, expected on, off, or a mapping of options", shown(value))))
}

fn time(value: &Value, place: &Place) -> Result<SystemTime, Diagnostic> {
    let time = value.as_str().and_then(|text| humantime::parse_rfc3339_weak(text).ok());
    time.ok_or_else(|| {
        place.fault(format!("found `{}`, expected a time in UTC, such as 2027-01-31T18:00:00Z", shown(value)))
    })
}

fn add_limits(value: Value, place: &Place, limits: &mut BTreeMap<String, Setting>) -> Result<(), Diagnostic> {
    for (key, value) in mapping(value, place)? {
        let setting = Setting { value, place: place.below(&key) };
        PackageLimits::default().set(&key, &setting.value).map_err(|fault| setting.fault(fault))?;
        limits.insert(key, setting);
    }
    Ok(())
}

fn add_bounds(value: Value, place: &Place, into: &mut BTreeMap<String, WantedBounds>) -> Result<(), Diagnostic> {
    let lists = mapping(value, place)?.into_iter().map(|(key, value)| {
        let place = place.below(&key);
        (key, Setting { value, place })
    });
    bounds::read(lists, into)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(Path::new("ebhost.yaml"), text.to_owned()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn settings_of_packages_limits_and_flags_are_told_apart() {
        let text = "plugins:\n  biolatency: { native: true, limits: { series: 5 } }\n  syscalls: on\n  llcstat: off\n\
                    limits: { decode: 20ms }\nlog.level: debug\nweb:\n  listen-address: [':1', ':2']\n";
        let settings = parse(text).unwrap();
        let biolatency = settings.package("biolatency").unwrap();
        assert_eq!((biolatency.enabled, &biolatency.options["native"].value), (Some(true), &json!(true)));
        assert_eq!(biolatency.limits["series"].value, json!(5));
        assert_eq!(settings.package("syscalls").unwrap().enabled, Some(true));
        assert_eq!(settings.package("llcstat").unwrap().enabled, Some(false));
        let flags: Vec<_> =
            settings.flags().iter().map(|flag| (flag.name.as_str(), flag.setting.texts().unwrap().join(" "))).collect();
        assert_eq!(flags, [("log.level", "debug".to_owned()), ("web.listen-address", ":1 :2".to_owned())]);
        assert_eq!(settings.package_names().collect::<Vec<_>>(), ["biolatency", "llcstat", "syscalls"]);
        assert!(parse("").unwrap().package_names().next().is_none(), "an empty file sets nothing");
    }

    #[test]
    fn settings_that_are_read_again_are_those_of_the_file_now() {
        let file = std::env::temp_dir().join(format!("ebhost-settings-{}.yaml", std::process::id()));
        std::fs::write(&file, "plugins: { a: on, b: on }\n").unwrap();
        let before = Settings::read(Some(file.clone()), vec!["plugins.b=off".to_owned()]).unwrap();
        std::fs::write(&file, "plugins: { a: off, b: on }\n").unwrap();
        let after = before.read_again().unwrap();
        std::fs::remove_file(&file).unwrap();
        let are_on = |settings: &Settings| ["a", "b"].map(|name| settings.package(name).unwrap().enabled);
        assert_eq!(are_on(&before), [Some(true), Some(false)]);
        assert_eq!(are_on(&after), [Some(false); 2], "an assignment takes precedence again");
        assert!(before.read_again().is_err_and(|error| error.to_string().contains("ebhost-settings-")));
    }

    #[test]
    fn a_flag_takes_precedence_over_the_file() {
        let mut settings = parse("plugins: { a: { x: 1, y: 1 }, b: on }\n").unwrap();
        for assignment in ["plugins.a.x=2", "plugins.b=off", "plugins.a.limits.series=9", "limits.memory=1MiB"] {
            settings.set(assignment).unwrap();
        }
        let a = settings.package("a").unwrap();
        assert_eq!((&a.options["x"].value, &a.options["y"].value), (&json!(2), &json!(1)));
        assert_eq!(
            (settings.package("b").unwrap().enabled, settings.limits()["memory"].value.clone()),
            (Some(false), json!("1MiB"))
        );
        for wrong in ["plugins.a.x", "plugins=1", "x.y=1", "limits.memory=12 apples"] {
            let fault = settings.set(wrong).unwrap_err().to_string();
            assert!(fault.starts_with(&format!("--set {wrong}: found ")) && fault.contains("expected "), "{fault}");
        }
    }

    #[test]
    fn bounds_of_a_package_take_precedence_and_those_of_a_family_over_its_unit() {
        let text = "bounds: { seconds: [1, 2], bytes: [512] }\n\
                    plugins:\n  a: { bounds: { seconds: [4], x_seconds: [8.5, 16] } }\n  b: on\n";
        let mut settings = parse(text).unwrap();
        let found = |settings: &Settings, package: &str, family: &str, unit: &str| {
            let chosen = settings.bounds_of(package);
            let wanted = chosen.own(family, unit).or_else(|| chosen.common(family, unit));
            wanted.map(|wanted| wanted.bounds().to_vec())
        };
        assert_eq!(found(&settings, "a", "x_seconds", "seconds"), Some(vec![8.5, 16.0]));
        assert_eq!(found(&settings, "a", "y_seconds", "seconds"), Some(vec![4.0]));
        assert_eq!(found(&settings, "b", "y_seconds", "seconds"), Some(vec![1.0, 2.0]));
        assert_eq!(found(&settings, "b", "depth", ""), None, "a family without a unit");
        settings.set("plugins.b.bounds.y_seconds=[3]").unwrap();
        settings.set("bounds.bytes=[1024]").unwrap();
        assert_eq!(found(&settings, "b", "y_seconds", "seconds"), Some(vec![3.0]));
        assert_eq!(found(&settings, "b", "z_bytes", "bytes"), Some(vec![1024.0]));
        for wrong in ["[]", "[2, 1]", "[1, 1]", "[.inf]", "[x]", "1"] {
            let fault = parse(&format!("bounds:\n  seconds: {wrong}\n")).unwrap_err();
            assert!(fault.starts_with("ebhost.yaml:2:3: found ") && fault.contains("expected "), "{fault}");
        }
    }

    /// A misspelt family would be left as it is, and the query for its bound would be empty.
    #[test]
    fn bounds_of_a_family_that_the_package_lacks_are_refused() {
        let settings = parse("plugins:\n  a:\n    bounds: { y_secondz: [1] }\n").unwrap();
        let chosen = settings.bounds_of("a");
        let fault = chosen.check_keys([("y_seconds", "seconds")].into_iter()).unwrap_err().to_string();
        assert!(
            fault.starts_with("ebhost.yaml:3:15: found bounds of `y_secondz`, expected")
                && fault.contains(": y_seconds"),
            "{fault}"
        );
        assert!(chosen.check_keys([("y_secondz", "")].into_iter()).is_ok());
    }

    #[test]
    fn a_package_is_on_until_its_time_and_off_from_then_on() {
        let mut settings = parse(
            "plugins:\n  a: { until: 2027-01-31T18:00:00Z, x: 1 }\n  b: { until: '2027-01-31 18:00:01' }\n  c: on\n",
        )
        .unwrap();
        let end = settings.next_end().unwrap();
        assert_eq!(end, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_801_418_400));
        let enabled = |settings: &Settings| ["a", "b", "c"].map(|name| settings.package(name).unwrap().enabled);
        assert!(settings.end_packages(end - std::time::Duration::from_secs(1)).is_empty());
        assert_eq!(enabled(&settings), [Some(true); 3]);
        assert_eq!(settings.end_packages(end), ["a"]);
        assert_eq!(enabled(&settings), [Some(false), Some(true), Some(true)]);
        assert_eq!(settings.next_end(), Some(end + std::time::Duration::from_secs(1)));
        let fault = parse("plugins:\n  a:\n    until: tomorrow\n").unwrap_err();
        assert!(fault.starts_with("ebhost.yaml:3:5: found `tomorrow`, expected a time in UTC"), "{fault}");
    }

    #[test]
    fn mistakes_are_at_their_line() {
        let fault = parse("plugins:\n  a: maybe\n").unwrap_err();
        assert!(fault.starts_with("ebhost.yaml:2:3: found `maybe`, expected on, off, or a mapping"), "{fault}");
        let fault = parse("limits:\n  seris: 5\n").unwrap_err();
        assert!(fault.starts_with("ebhost.yaml:2:3: found the limit `seris`, expected one of "), "{fault}");
        let fault = parse("plugins: { a: on, a: off }\n").unwrap_err();
        assert!(fault.contains("found the key `a` a second time"), "{fault}");
        let fault = parse("programs:\n  - code: x\n").unwrap_err();
        assert!(fault.contains("found a configuration of ebpf_exporter") && fault.contains("--config.dir"), "{fault}");
    }
}
