//! The dashboards and alerts in `examples`: every expression, asked of Debian's Prometheus that scraped a host under load, for both forms of
//! histograms. Packages that cannot run on a machine like this one are asked with what they recorded elsewhere.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ebhost_tests::{Disk, Ebhost, Folder, Prometheus, committed, encode, needs, output, wait_until, workspace};
use serde_json::Value;

use crate::{growing, load::Load};

/// Files of a folder in `examples` with that ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = workspace().join("examples").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    assert!(!paths.is_empty(), "{}/*{ending}", folder.display());
    paths
}

pub(crate) fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).output().expect("promtool runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {text}");
}

#[test]
fn every_alert_fires_when_it_should_and_is_quiet_otherwise() {
    needs!(Tool("promtool"));
    for path in files("alerts", ".yml") {
        let (path, text) = (path.display().to_string(), fs::read_to_string(&path).expect("a file of the repository"));
        if !path.ends_with("-test.yml") {
            promtool(&["check", "rules", &path]);
            continue;
        }
        let (alerts, cases) = (text.matches("alertname: ").count(), text.matches("exp_alerts:").count());
        assert_eq!(alerts, 2 * cases, "{path}: each alert has a case in which it fires and one in which it does not");
        promtool(&["test", "rules", &path]);
    }
}

/// The expressions of a dashboard with their titles, as Grafana sends them.
fn expressions(dashboard: &PathBuf) -> Vec<(String, String)> {
    let text = fs::read_to_string(dashboard).expect("a file of the repository");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let panels = json["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().expect("targets").iter();
        targets.map(move |target| (title.to_owned(), target["expr"].as_str().expect("an expression").to_owned()))
    });
    let chosen = |expr: String| {
        let expr = expr.replace("$__rate_interval", "10s").replace("$job", ".*").replace("$instance", ".*");
        assert!(!expr.contains('$'), "{expr}");
        expr
    };
    targets.map(|(title, expr)| (title, chosen(expr))).collect()
}

/// Packages that count on a machine like this one. The others need a PMU, fentry, or a module: see [`ELSEWHERE`].
pub(crate) const HERE: [&str; 25] = [
    "biolatency",
    "cachestat",
    "dns",
    "drops",
    "hardirqs",
    "oncpu",
    "oom",
    "packets",
    "pagefaults",
    "processes",
    "reclaim",
    "runqlat",
    "runqlen",
    "sched",
    "signals",
    "softirqs",
    "syscalls",
    "tcpbacklog",
    "tcpconnect",
    "tcplife",
    "tcploss",
    "tcprtt",
    "timers",
    "udp",
    "writeback",
];

/// Packages whose recordings stand for a machine that has what they need.
pub(crate) const ELSEWHERE: [&str; 4] = ["cpuperf", "fslatency", "nvme", "throttle"];

/// An exposition of llcstat on a machine with a PMU.
const LLCSTAT: &str = "# TYPE ebhost_llc_references_total counter\nebhost_llc_references_total{cpu=\"0\"} 10000\n\
                       # TYPE ebhost_llc_misses_total counter\nebhost_llc_misses_total{cpu=\"0\"} 900\n";

/// Panels of what does not happen on loopback, or on a machine with enough memory.
const RARE: [&str; 5] = [
    "Part of maps that is used",
    "Segments sent again a second",
    "Time that tasks spent compacting memory",
    "Wakes of kswapd a second",
    "Packets dropped by listening sockets a second",
];

fn may_be_empty(title: &str) -> bool {
    RARE.iter().any(|rare| title.contains(rare))
}

/// A panel's expressions with its unit.
struct Drawn {
    title: String,
    unit: String,
    expr: String,
}

fn drawn(dashboard: &PathBuf) -> Vec<Drawn> {
    let text = fs::read_to_string(dashboard).expect("a file of the repository");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let unit = |title: &str| {
        let panels = json["panels"].as_array().expect("panels").iter();
        let mut units = panels.filter(|panel| panel["title"] == title).map(|panel| {
            let unit = [&panel["fieldConfig"]["defaults"]["unit"], &panel["options"]["yAxis"]["unit"]];
            unit.into_iter().find_map(Value::as_str).expect("each panel has a unit").to_owned()
        });
        units.next().expect("the panel")
    };
    expressions(dashboard).into_iter().map(|(title, expr)| Drawn { unit: unit(&title), title, expr }).collect()
}

/// The unit in which Grafana shows an expression has to be that of the family.
fn assert_unit(Drawn { title, unit, expr }: &Drawn) {
    let of_family = |suffix: &str| {
        let end = ["{", "_bucket{", ")"].iter().any(|end| expr.contains(&format!("{suffix}{end}")));
        end.then_some(())
    };
    let expected: &[&str] = match expr {
        quantile if quantile.contains("histogram_quantile") || quantile.contains("(le) (increase") => {
            if of_family("_seconds").is_some() {
                &["s"]
            } else if of_family("_bytes").is_some() {
                &["bytes"]
            } else {
                &["none"]
            }
        }
        rate if rate.contains("_bytes_sum{") || rate.contains("_bytes_total{") => &["Bps"],
        ratio if ratio.contains(" / ") => &["percentunit", "none"],
        // A sum of seconds a second is a number of tasks, requests or CPUs.
        busy if busy.contains("_seconds_sum{") || busy.contains("histogram_sum") => &["none"],
        cpu if cpu.contains("cpu_seconds_total") => &["percentunit"],
        rate if rate.contains("rate(") => &["ops"],
        _ => return,
    };
    assert!(expected.contains(&unit.as_str()), "{title}: found {unit}, expected {expected:?}: {expr}");
}

/// Asks for each expression of a dashboard until it has a number.
fn assert_data(prometheus: &Prometheus, dashboard: &PathBuf, until: Instant) {
    for panel in drawn(dashboard) {
        assert_unit(&panel);
        let Drawn { title, expr, .. } = &panel;
        let query = format!("query?query={}", encode(expr));
        wait_until(
            &format!("{}: {title}: {expr}", dashboard.display()),
            until.saturating_duration_since(Instant::now()) + Duration::from_secs(1),
            || {
                let answer = prometheus.api(&query); // an expression with an error ends the test here
                let is_number = |sample: &Value| {
                    let number = sample["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
                    sample.get("histogram").is_some() || number.is_some_and(f64::is_finite)
                };
                let has_data = answer["result"].as_array().is_some_and(|result| result.iter().any(is_number));
                (has_data || may_be_empty(title)).then_some(())
            },
        );
    }
}

/// The rules of a file: names of alerts with their expressions.
pub(crate) fn alerts(rules: &PathBuf) -> Vec<(String, String)> {
    let text = fs::read_to_string(rules).expect("a file of the repository");
    let values = |key: &'static str| {
        text.lines()
            .filter_map(move |line| line.trim_start().strip_prefix(key))
            .map(|value| value.trim_matches('\'').replace("''", "'"))
    };
    values("- alert: ").zip(values("expr: ")).collect()
}

/// The file of a package for this form of histograms: the native one if there is one.
pub(crate) fn of_package(folder: &str, package: &str, native: bool, ending: &str) -> PathBuf {
    let folder = workspace().join("examples").join(folder);
    let file = folder.join(format!("{package}-native{ending}"));
    if native && file.exists() { file } else { folder.join(format!("{package}{ending}")) }
}

fn settings(native: bool) -> String {
    let mut text = String::from("plugins:\n");
    for package in HERE {
        let options = match (package, native) {
            ("biolatency", native) => format!("{{ sizes: true, native: {native} }}"),
            ("syscalls", true) => "{ seconds: native }".to_owned(),
            ("syscalls", false) => "{ seconds: classic }".to_owned(),
            (package, true)
                if of_package("grafana", package, true, ".json").ends_with(format!("{package}-native.json")) =>
            {
                "{ histograms: native }".to_owned()
            }
            _ => "on".to_owned(),
        };
        text += &format!("  {package}: {options}\n");
    }
    text
}

/// One load at a time: it takes the address of a name server, and a CPU.
static LOAD: Mutex<()> = Mutex::new(());

fn evaluate(native: bool) {
    let _alone = LOAD.lock().unwrap_or_else(PoisonError::into_inner);
    let (fast, slow) = (Disk::in_memory(), Disk::delayed(Duration::from_millis(12)));
    let below = Disk::in_memory();
    output(Command::new("mkfs.ext4").arg("-q").arg(below.device()));
    let (files, folder) = (below.mount(), Folder::new());
    for package in HERE {
        folder.copy(&committed().join(package));
    }
    folder.set(&settings(native));
    let host = Ebhost::start(folder.path());
    let load = Load::start(&fast, &slow, files.path());
    let args: &[&str] = if native { &["--enable-feature=native-histograms"] } else { &[] };
    let prometheus = Prometheus::with(host.address(), args);
    let end = Instant::now() + Duration::from_secs(90);
    for package in HERE.into_iter().chain(["host"]) {
        assert_data(&prometheus, &of_package("grafana", package, native, ".json"), end);
        for (name, expr) in alerts(&of_package("alerts", package, native, ".yml")) {
            let answer = prometheus.api(&format!("query?query={}", encode(&expr)));
            let fires = answer["result"].as_array().map_or(0, Vec::len);
            // The load is what some alerts are about. The host itself is well, if a package need not have anything to count.
            let is_about_load =
                package != "host" || ["EbhostPluginNearBudget", "EbhostPluginSilent"].contains(&name.as_str());
            assert!(is_about_load || fires == 0, "{name}: {expr}: {answer}");
        }
    }
    // A disk that takes 12 ms misses its objective of 2 ms. (That a fast one does not is for promtool's tests: here the machine may be busy.)
    let rules = alerts(&of_package("alerts", "biolatency", native, ".yml"));
    let (_, objective) = rules.iter().find(|(name, _)| name == "EbhostDiskLatencyObjective").expect("the alert");
    let query = format!("query?query={}", encode(objective));
    wait_until("the alert of the slow disk", Duration::from_secs(60), || {
        let answer = prometheus.api(&query);
        let late: Vec<_> =
            answer["result"].as_array()?.iter().map(|sample| sample["metric"]["device"].as_str()).collect();
        late.contains(&Some(slow.name())).then_some(())
    });
    // The unit is right: half of the reads of 12 ms take about that, in seconds.
    let (suffix, by) = if native { ("", "") } else { ("_bucket", "le") };
    let device = slow.name();
    let median = format!(
        "histogram_quantile(0.5, sum by ({by}) (rate(ebhost_bio_latency_seconds{suffix}{{device=\"{device}\"}}[30s])))"
    );
    let median = prometheus.query(&median).expect("a median");
    assert!(median > 0.008 && median < 1.0, "{median} s");
    drop(load);
    host.stop();
}

#[test]
fn every_panel_has_data_with_classic_histograms() {
    needs!(Root, Fuse, Cgroup2, MemoryLimit, Tool("fio"), Tool("mkfs.ext4"), Tool("prometheus"));
    evaluate(false);
}

#[test]
fn every_panel_has_data_with_native_histograms() {
    needs!(Root, Fuse, Cgroup2, MemoryLimit, Tool("fio"), Tool("mkfs.ext4"), Tool("prometheus"));
    evaluate(true);
}

/// Their programs cannot run here, so their recordings are scraped, growing by themselves each time.
#[test]
fn every_panel_of_packages_that_need_other_machines_has_data_of_their_recordings() {
    needs!(Tool("prometheus"));
    let recording = |package: &str| fs::read_to_string(committed().join(package).join("tests/expected.prom"));
    let texts = ELSEWHERE.into_iter().map(|package| recording(package).expect("a recording of the package"));
    let prometheus = Prometheus::scraping(growing::serve(texts.chain([LLCSTAT.to_owned()]).collect()));
    let end = Instant::now() + Duration::from_secs(60);
    for package in ELSEWHERE.into_iter().chain(["llcstat"]) {
        assert_data(&prometheus, &of_package("grafana", package, false, ".json"), end);
        for native in [false, true] {
            for (_, expr) in alerts(&of_package("alerts", package, native, ".yml")) {
                prometheus.api(&format!("query?query={}", encode(&expr)));
            }
        }
    }
}

#[test]
fn each_package_has_a_dashboard_and_alerts() {
    let entries = fs::read_dir(committed()).expect("the packages").flatten().map(|entry| entry.path());
    let packages: Vec<_> = entries.filter(|folder| folder.join("plugin.yaml").is_file()).collect();
    assert_eq!(packages.len(), HERE.len() + ELSEWHERE.len() + 1, "each is asked of Prometheus by a test above");
    for package in packages {
        let name = package.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(of_package("grafana", &name, false, ".json").is_file(), "{name} has no dashboard");
        assert!(!alerts(&of_package("alerts", &name, false, ".yml")).is_empty(), "{name} has no alert");
    }
}
