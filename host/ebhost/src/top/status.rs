//! `/status.json`, as far as `ebhost top` shows it.
//!
//! Every key has a default, so that a host of another version can be shown, too: a number that it does not have is unknown.

use serde::Deserialize;

/// The host's report on itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) build: Build,
    pub(super) packages: Vec<Package>,
    /// When the maps were last read, in seconds since 1970; none: never.
    pub(super) collected_at_seconds: Option<f64>,
    /// Whether the kernel counts and times all runs of BPF programs.
    pub(super) bpf_stats_enabled: bool,
    /// Whether the host measures the cost of programs in short windows.
    pub(super) kernel_cpu_measured: bool,
    /// Why it does not.
    pub(super) kernel_cpu_unmeasured: Option<String>,
    pub(super) process: Process,
    pub(super) settings: Vec<Setting>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Build {
    pub(super) version: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    /// Since 1970; another one is another process.
    pub(super) start_seconds: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Setting {
    pub(super) flag: String,
    pub(super) value: String,
}

/// A package that runs or was left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) is_up: bool,
    pub(super) state: Option<String>,
    /// Why it is left out; empty: it is not.
    pub(super) fault: String,
    pub(super) series: u64,
    pub(super) programs: Vec<Program>,
    pub(super) kernel_cpu: Option<KernelCpu>,
    /// Each map of its object, and the bytes that it takes.
    pub(super) map_memory: Vec<(String, u64)>,
    /// The maps that are read.
    pub(super) maps: Vec<Map>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct KernelCpu {
    /// Share of one CPU's time above which the package is detached.
    pub(super) limit: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Program {
    pub(super) name: String,
    /// Why it is not attached, in one word; empty: it is.
    pub(super) reason: String,
    pub(super) id: u32,
    pub(super) run_seconds: f64,
    pub(super) runs: u64,
    /// Share of one CPU's time in the host's last window; none: it was not measured.
    pub(super) cpu_ratio: Option<f64>,
    /// Mean time of a run in that window; none: it did not run.
    pub(super) run_duration_seconds: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Map {
    pub(super) name: String,
    pub(super) entries: u64,
    pub(super) max_entries: u64,
    pub(super) room: MapRoom,
    pub(super) read_seconds: f64,
}

/// The fate of a new key when a map is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MapRoom {
    /// It is refused.
    #[default]
    Bounded,
    /// Another key makes way.
    Evicting,
    /// There is none: an array has all its entries from the start.
    #[serde(other)]
    Fixed,
}

impl Status {
    /// The path of the metrics.
    pub(super) fn telemetry_path(&self) -> &str {
        let setting = self.settings.iter().find(|setting| setting.flag == "--web.telemetry-path");
        setting.map_or("/metrics", |setting| &setting.value)
    }

    /// Why the cost of programs is not shown; none: it is, or there is no program.
    pub(super) fn unknown_cost(&self) -> Option<String> {
        let programs = || self.packages.iter().flat_map(|package| &package.programs);
        if self.bpf_stats_enabled || programs().next().is_none() {
            return None;
        }
        if !self.kernel_cpu_measured {
            let why = self.kernel_cpu_unmeasured.as_deref().unwrap_or("the kernel's run statistics are off");
            return Some(format!(
                "cost is unknown because {why}: start the host with CAP_SYS_ADMIN, or set kernel.bpf_stats_enabled=1"
            ));
        }
        let is_measured = programs().any(|program| program.cpu_ratio.is_some());
        (!is_measured).then(|| {
            "cost is unknown because nothing was measured yet: the host measures for 10 ms every 10 s".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_cannot_measure_says_why_the_cost_is_unknown() {
        let parse = |more: &str| {
            let text = format!(r#"{{"packages": [{{"name": "p", "programs": [{{"name": "a"}}]}}]{more}}}"#);
            serde_json::from_str::<Status>(&text).unwrap().unknown_cost()
        };
        let why = parse(r#", "kernel_cpu_measured": false, "kernel_cpu_unmeasured": "found EPERM""#).unwrap();
        assert!(why.starts_with("cost is unknown because found EPERM: start the host with CAP_SYS_ADMIN"), "{why}");
        assert!(parse(r#", "kernel_cpu_measured": true"#).unwrap().contains("nothing was measured yet"));
        assert_eq!(parse(r#", "bpf_stats_enabled": true"#), None);
        assert_eq!(serde_json::from_str::<Status>("{}").unwrap().unknown_cost(), None, "there is no program");
    }

    #[test]
    fn numbers_that_a_host_does_not_have_are_unknown() {
        let text = r#"{"packages": [{"state": null, "maps": [{"name": "m", "room": "new_kind"}]}], "rates": null, "unheard": [1]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.packages[0].maps[0].room, MapRoom::Fixed);
        assert_eq!(status.telemetry_path(), "/metrics");
    }
}
