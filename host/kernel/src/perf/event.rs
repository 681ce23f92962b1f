//! Resolves names of events on this machine: the fields of `struct perf_event_attr`, and the CPUs that can count the event.
//!
//! Tracepoints have their numbers in tracefs, PMUs in sysfs. A PMU that several CPUs share lists the CPU on which it is read.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    super::{objections, sys::PerfAttr, tracefs},
    cpus,
};
use ebhost_package::perf::{Event, EventKind, PERF_TYPE_TRACEPOINT, number};

const PMUS: &str = "/sys/bus/event_source/devices";

/// An event that this machine knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved {
    pub(super) attr: PerfAttr,
    /// CPUs on which it can be opened; `None`: all.
    pub(super) cpus: Option<BTreeSet<u32>>,
}

/// Resolves an event, or returns why this machine does not have it.
pub(super) fn resolve(event: &Event) -> Result<Resolved, String> {
    match &event.kind {
        EventKind::Fixed { kind, config } => Ok(numbers(*kind, *config)),
        EventKind::Tracepoint { category, name } => tracepoint(category, name),
        EventKind::Pmu { pmu, config } => pmu_event(&Path::new(PMUS).join(pmu), pmu, config),
    }
}

fn numbers(kind: u32, config: u64) -> Resolved {
    Resolved { attr: PerfAttr::new(kind, config), cpus: None }
}

fn tracepoint(category: &str, name: &str) -> Result<Resolved, String> {
    let no_tracefs = |error: io::Error| match objections::is_locked_down(&error) {
        true => "this kernel is locked down, in the mode `confidentiality`, which forbids tracepoints to every user"
            .to_owned(),
        false => error.to_string(),
    };
    let mount = tracefs::mount().map_err(no_tracefs)?;
    let id = tracefs::tracepoint(mount, category, name).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => no_tracefs(error),
        _ => format!("this kernel has no tracepoint {category}/{name}"),
    })?;
    Ok(numbers(PERF_TYPE_TRACEPOINT, id))
}

fn pmu_event(folder: &Path, pmu: &str, config: &str) -> Result<Resolved, String> {
    let kind = fs::read_to_string(folder.join("type")).ok().and_then(|kind| kind.trim().parse().ok());
    let Some(kind) = kind else {
        return Err(format!("this machine has no PMU `{pmu}`, it has {}", entries(folder.parent().unwrap_or(folder))));
    };
    let named = fs::read_to_string(folder.join("events").join(config));
    let terms = match &named {
        Ok(terms) => terms.trim(),
        Err(_) if config.contains('=') => config,
        Err(_) => {
            let known = entries(&folder.join("events"));
            return Err(format!(
                "the PMU `{pmu}` has no event `{config}`, it has {known}; or give terms, such as event=0x2e"
            ));
        }
    };
    let mut resolved = numbers(kind, 0);
    for term in terms.split(',') {
        set(folder, pmu, term, &mut resolved.attr)?;
    }
    resolved.cpus = ["cpumask", "cpus"].iter().find_map(|file| cpus::read(&folder.join(file)));
    Ok(resolved)
}

/// Sets the bits that the PMU's `format/term` names to the value of `term=value`.
fn set(folder: &Path, pmu: &str, term: &str, attr: &mut PerfAttr) -> Result<(), String> {
    let (name, value) = term.split_once('=').unwrap_or((term, "1"));
    let Some(value) = number(value) else {
        return Err(format!("found the value `{value}` of `{name}`, expected a number"));
    };
    let format = fs::read_to_string(folder.join("format").join(name)).unwrap_or_default();
    let known = || entries(&folder.join("format"));
    let (word, bits) = format
        .trim()
        .split_once(':')
        .ok_or_else(|| format!("the PMU `{pmu}` has no term `{name}`, it has {}", known()))?;
    let word = match word {
        "config" => &mut attr.config,
        "config1" => &mut attr.config1,
        "config2" => &mut attr.config2,
        other => {
            return Err(format!("the PMU `{pmu}` keeps `{name}` in `{other}`, expected config, config1 or config2"));
        }
    };
    let positions = cpus::parse(bits).unwrap_or_default();
    let fits = positions.len() >= 64 || value >> positions.len() == 0;
    if !fits || positions.iter().any(|bit| *bit >= 64) {
        return Err(format!("found {value} for `{name}`, which has {} bits", positions.len()));
    }
    for (from, to) in positions.iter().enumerate() {
        *word |= (value >> from & 1) << to;
    }
    Ok(())
}

fn entries(folder: &Path) -> String {
    let mut names: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".scale") && !name.ends_with(".unit"))
        .collect();
    names.sort();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The folders of PMUs that count events of a core.
pub(super) fn core_pmus() -> Vec<PathBuf> {
    let is_core = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("cpu") || name.starts_with("arm") && !name.contains("spe")
    };
    fs::read_dir(PMUS).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_core).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pmu() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ebhost-pmu-{}", std::process::id()));
        for (file, content) in [
            ("type", "12\n"),
            ("cpumask", "0,2\n"),
            ("events/cas_count_read", "event=0x04,umask=0x03\n"),
            ("format/event", "config:0-7,32-35\n"),
            ("format/umask", "config:8-15\n"),
            ("format/filter", "config1:0-63\n"),
        ] {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn terms_go_where_the_pmu_says() {
        let folder = pmu();
        let found = |config| pmu_event(&folder, "imc", config).map(|found| (found.attr.config, found.attr.config1));
        assert_eq!(found("cas_count_read"), Ok((0x304, 0)));
        assert_eq!(found("event=0x104,umask=1,filter=0xffffffffffffffff"), Ok((0x1_0000_0104, u64::MAX)));
        assert_eq!(pmu_event(&folder, "imc", "cas_count_read").unwrap().cpus, Some(BTreeSet::from([0, 2])));
        for (config, why) in [
            ("cas_count", "has no event `cas_count`, it has cas_count_read"),
            ("edge=1", "has no term `edge`, it has event, filter, umask"),
            ("umask=256", "found 256 for `umask`, which has 8 bits"),
            ("umask=x", "found the value `x` of `umask`"),
        ] {
            let refusal = found(config).unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_this_machine_lacks_is_named() {
        let event = |kind| Event { text: String::new(), kind };
        let pmu = EventKind::Pmu { pmu: "no_such_pmu".into(), config: "x".into() };
        assert!(resolve(&event(pmu)).unwrap_err().contains("has no PMU `no_such_pmu`, it has "));
        let point = EventKind::Tracepoint { category: "no".into(), name: "such".into() };
        let refusal = resolve(&event(point)).unwrap_err();
        assert!(refusal.contains("no tracepoint no/such") || refusal.contains("tracefs cannot be read"), "{refusal}");
    }
}
