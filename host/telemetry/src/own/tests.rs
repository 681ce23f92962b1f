//! The own families by their names, and in every format.

use std::{collections::BTreeSet, time::Duration};

use prometheus_client::encoding::text;

use super::*;
use crate::{HttpReport, OtlpReport, Process, Stage};
use ebhost_metrics::Created;

/// The answer of one format, without plugins' families.
fn encoded(own: &mut OwnMetrics, format: Format) -> String {
    let mut text = Vec::new();
    let mut encoder = ebhost_metrics::encoder(format, Created::LeftOut, &mut text);
    own.encode(format, &mut *encoder).unwrap();
    encoder.finish().unwrap();
    String::from_utf8(text).unwrap()
}

fn openmetrics(report: Report) -> String {
    let mut own = OwnMetrics::new();
    own.update(report);
    encoded(&mut own, Format::OpenMetrics100)
}

/// Samples of OpenMetrics text in the order of their names: labels in the order of theirs, the number as a number.
fn samples(text: &str) -> Vec<(String, Vec<String>, f64)> {
    let sample = |line: &str| {
        let (series, number) = line.rsplit_once(' ').unwrap();
        let (name, block) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels: Vec<_> = block.trim_end_matches('}').split(',').map(normal_bound).collect();
        labels.sort();
        (name.to_owned(), labels, number.parse().unwrap())
    };
    let mut samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
    samples.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    samples
}

/// A bound as a number: the library writes 0.00001 where the host's form is 1e-05.
fn normal_bound(label: &str) -> String {
    let bound = label.strip_prefix("le=\"").map(|bound| bound.trim_end_matches('"').parse::<f64>().unwrap());
    bound.map_or_else(|| label.to_owned(), |bound| format!("le={bound}"))
}

/// `prometheus-client`'s text of the same registries.
fn oracle(report: Report) -> String {
    let mut own = OwnMetrics::new();
    own.update(report);
    let mut all = String::new();
    let named = own.subject.lock().named.clone();
    own.subject.lock().selected = named;
    for part in own.parts() {
        text::encode(&mut all, part.registry()).unwrap();
    }
    all
}

/// Two packages, of which everything can be said that a report can say.
pub(super) fn full_report() -> Report {
    let program = |name: &str, reason, id| ProgramReport {
        name: name.into(),
        reason,
        id,
        tag: "0123456789abcdef".into(),
        run_seconds: 0.25,
        runs: 4,
        cpu_ratio: Volatile(Some(0.01)),
        run_duration_seconds: Volatile(Some(2.5e-7)),
        ..ProgramReport::default()
    };
    let map = MapReport { name: "banks".into(), entries: 7, max_entries: 9, deleted: Some(2), ..MapReport::default() };
    let package = |name: &str, is_drop_in| PackageReport {
        name: name.into(),
        is_drop_in,
        runs_are_measured: true,
        is_up: true,
        state: Some("running"),
        version: "0.1.0".into(),
        digest: "ab".into(),
        is_current: true,
        guest_seconds: 0.25,
        decode_durations: vec![2, 3, 4],
        last_success_seconds: Some(1.7e9),
        failures: vec![("trap", 2)],
        last_failure: Some(FailureReport { reason: "trap", message: "trapped".into(), seconds: 1.6e9 }),
        lost: vec![("buffer_full".into(), 2)],
        dropped: vec![("unknown", 2), ("unsound", 1)],
        limits_used: vec![("memory", 0.5)],
        limits_used_recently: vec![("memory", 0.25)],
        programs: vec![program("issue", "", 77), program("done", "attach", 0)],
        maps: vec![map.clone()],
        kernel_cpu: Some(KernelCpuReport { ratio: Volatile(0.02), limit: 0.1 }),
        map_memory: vec![("banks".into(), 4096)],
        map_memory_limit_bytes: 1 << 30,
        perf: vec![PerfReport { source: "llc".into(), event: "a \"b\"".into(), cpu: 3, state: "live", reason: None }],
        events: vec![EventsReport { source: "ring".into(), read: 9, lost: 2 }],
        spans: Some(SpansReport { made: 9, lost: vec![("unknown", 1)] }),
        cgroup_map: Some((3, 1)),
        ..PackageReport::default()
    };
    let left_out = PackageReport {
        name: "bad".into(),
        file: "/p/bad/plugin.yaml".into(),
        fault: "no".into(),
        ..Default::default()
    };
    Report {
        build: BuildInfo { version: "0.1.0", ..BuildInfo::default() },
        packages: vec![package("biolatency", false), package("dropped-in", true), left_out],
        thread_panics: vec![("events ring".into(), 1), ("log".into(), 0)],
        cgroups: vec![("present", 9), ("removed", 1)],
        decode_bounds: &[1e-5, 0.001],
        states: vec!["running", "quarantined"],
        http: HttpReport { web_config_read_seconds: Some(1_700_000_000), ..HttpReport::default() },
        otlp: Some(OtlpReport {
            requests: [("taken", 1), ("failed", 1), ("dropped", 0), ("uncollected", 0)],
            spans: [("taken", 1), ("rejected", 0), ("dropped", 2)],
            last_taken_seconds: Some(1_700_000_000),
            ..OtlpReport::default()
        }),
        process: Volatile(Process { max_fds: u64::MAX, cpu_seconds: 0.5, ..Process::default() }),
        ..Report::default()
    }
}

/// Families that are kept from one report must not be shown for another one.
#[test]
fn the_text_of_a_report_does_not_depend_on_those_before() {
    let package = PackageReport {
        name: "biolatency".into(),
        maps: vec![MapReport { name: "banks".into(), ..MapReport::default() }],
        programs: vec![ProgramReport { name: "issue".into(), id: 7, ..ProgramReport::default() }],
        ..PackageReport::default()
    };
    let report = Report { packages: vec![package], ..Report::default() };
    let changes: [fn(&mut Report); 19] = [
        |_| (),
        |report| report.scrapes.0 += 1,
        |report| report.collections.0 += 1,
        |report| report.stages.0.add(Stage::Label, Duration::from_millis(1)),
        |report| report.collect_seconds.0 += 0.5,
        |report| report.scrape_seconds.0 += 0.5,
        |report| report.exposition_bytes.0 += 1,
        |report| report.process = Volatile(Process { open_fds: 9, ..Process::default() }),
        |report| report.packages[0].maps[0].all_reads_seconds.0 += 0.5,
        |report| report.packages[0].cpu.0.add(Stage::Count, Duration::from_millis(1)),
        |report| report.packages[0].programs[0].cpu_ratio.0 = Some(0.5),
        |report| report.packages[0].maps[0].entries += 1,
        |report| report.packages[0].programs[0].runs += 1,
        |report| report.packages[0].series += 1,
        |report| report.packages.push(PackageReport { name: "left out".into(), ..PackageReport::default() }),
        |report| report.lookup_names += 1,
        |report| report.lookup_name_bytes += 1,
        |report| report.http.unsent_bytes += 1,
        |report| report.otlp = Some(OtlpReport::default()),
    ];
    let (mut own, mut report) = (OwnMetrics::new(), report);
    for (round, change) in changes.into_iter().enumerate() {
        let before = openmetrics(report.clone());
        change(&mut report);
        own.update(report.clone());
        let text = encoded(&mut own, Format::OpenMetrics100);
        assert_eq!(text, openmetrics(report.clone()), "change {round}");
        assert_eq!(text == before, round == 0, "change {round} shows");
    }
}

/// Reading a registry costs ten times as much as a scrape of a small package.
#[test]
fn a_registry_is_read_again_only_when_there_are_other_series() {
    let (mut own, mut report) = (OwnMetrics::new(), full_report());
    let mut collected = |report: &Report| {
        own.update(report.clone());
        own.parts().map(|part| part.times_collected)
    };
    assert_eq!(collected(&report), [1; 3]);
    report.scrapes.0 += 1;
    report.process.0.cpu_seconds += 0.25;
    report.reloads += 1;
    report.packages[0].series += 1;
    report.packages[0].decode_durations[1] += 1;
    report.packages[0].programs[0].runs += 1;
    report.packages[1].maps[0].entries += 1;
    assert_eq!(collected(&report), [1; 3], "the same series with other numbers");
    report.packages[0].failures.push(("memory", 1));
    assert_eq!(collected(&report), [1, 2, 1], "one more series of a package");
    assert_eq!(collected(&report), [1, 2, 1]);
}

#[test]
fn a_report_is_exposed_under_the_hosts_names() {
    let package = PackageReport {
        name: "biolatency".into(),
        is_up: true,
        series: 4,
        guest_seconds: 0.25,
        state: Some("running"),
        decode_durations: vec![2, 3],
        failures: vec![("trap", 2)],
        maps: vec![MapReport { name: "banks".into(), entries: 7, ..MapReport::default() }],
        perf: vec![PerfReport {
            source: "llc".into(),
            event: "hardware/cycles".into(),
            cpu: 3,
            state: "absent",
            reason: None,
        }],
        events: vec![EventsReport { source: "ring".into(), read: 9, lost: 2 }],
        ..PackageReport::default()
    };
    let text = openmetrics(Report {
        build: BuildInfo { version: "0.1.0", ..BuildInfo::default() },
        packages: vec![package],
        scrapes: Volatile(3),
        collections: Volatile(2),
        decode_bounds: &[0.001],
        states: vec!["running", "quarantined"],
        ..Report::default()
    });
    for line in [
        "ebhost_build_info{version=\"0.1.0\",revision=\"",
        "ebhost_scrapes_total 3\n",
        "ebhost_collections_total 2\n",
        "# TYPE ebhost_plugin_decode_duration_seconds histogram\n",
        "ebhost_plugin_decode_duration_seconds_sum{plugin=\"biolatency\"} 0.25\n",
        "ebhost_plugin_decode_duration_seconds_bucket{plugin=\"biolatency\",le=\"0.001\"} 2\n",
        "ebhost_plugin_decode_duration_seconds_bucket{plugin=\"biolatency\",le=\"+Inf\"} 5\n",
        "ebhost_plugin_decode_duration_seconds_count{plugin=\"biolatency\"} 5\n",
        "ebhost_plugin_state{plugin=\"biolatency\",state=\"running\"} 1\n",
        "ebhost_plugin_state{plugin=\"biolatency\",state=\"quarantined\"} 0\n",
        "ebhost_plugin_failures_total{plugin=\"biolatency\",reason=\"trap\"} 2\n",
        "ebhost_map_entries{plugin=\"biolatency\",map=\"banks\"} 7\n",
        "ebhost_perf_events{plugin=\"biolatency\",source=\"llc\",event=\"hardware/cycles\",state=\"absent\"} 1\n",
        "ebhost_perf_events{plugin=\"biolatency\",source=\"llc\",event=\"hardware/cycles\",state=\"live\"} 0\n",
        "ebhost_events_lost_total{plugin=\"biolatency\",source=\"ring\"} 2\n",
    ] {
        assert!(text.contains(line), "expected {line:?} in:\n{text}");
    }
    assert!(!text.contains("ebhost_program_"), "no program, no family");
    assert!(!text.contains("ebpf_exporter_"), "no drop-in, no family");
}

#[test]
fn a_drop_in_is_told_of_under_the_peers_names() {
    let program = |name: &str, reason, id| ProgramReport {
        name: name.into(),
        reason,
        id,
        tag: if id == 0 { String::new() } else { "0123456789abcdef".into() },
        run_seconds: 0.25,
        runs: 4,
        ..ProgramReport::default()
    };
    let package = PackageReport {
        name: "biolatency".into(),
        is_drop_in: true,
        runs_are_measured: true,
        dropped: vec![("unknown", 2), ("unsound", 1)],
        programs: vec![program("issue", "", 77), program("done", "attach", 0)],
        ..PackageReport::default()
    };
    let left_out = PackageReport { name: "bad".into(), is_drop_in: true, fault: "no".into(), ..Default::default() };
    let report = Report {
        build: BuildInfo { version: "0.1.0", ..BuildInfo::default() },
        packages: vec![package, left_out],
        ..Report::default()
    };
    let text = openmetrics(report);
    for line in [
        "ebpf_exporter_build_info{version=\"0.1.0\",revision=\"",
        "ebpf_exporter_enabled_configs{name=\"biolatency\"} 1\n",
        "ebpf_exporter_ebpf_program_info{config=\"biolatency\",program=\"issue\",tag=\"0123456789abcdef\",id=\"77\"} 1\n",
        "ebpf_exporter_ebpf_program_attached{id=\"77\"} 1\n",
        "ebpf_exporter_ebpf_program_attached{id=\"biolatency/done\"} 0\n",
        "ebpf_exporter_ebpf_program_run_time_seconds{id=\"77\"} 0.25\n",
        "ebpf_exporter_ebpf_program_run_count_total{id=\"77\"} 4\n",
        "ebpf_exporter_decoder_errors_total{config=\"biolatency\"} 3\n",
    ] {
        assert!(text.contains(line), "expected {line:?} in:\n{text}");
    }
    assert!(!text.contains("name=\"bad\""), "it is not loaded");
}

#[test]
fn runs_are_left_out_while_nothing_measures_them() {
    let mut report = full_report();
    report.packages.iter_mut().for_each(|package| package.runs_are_measured = false);
    let text = openmetrics(report);
    assert!(text.contains("ebpf_exporter_ebpf_program_attached{") && !text.contains("ebpf_program_run_"), "{text}");
}

#[test]
fn the_structured_encoding_gives_what_the_library_prints() {
    let report = full_report();
    let (ours, theirs) = (samples(&openmetrics(report.clone())), samples(&oracle(report)));
    assert_eq!(ours, theirs);
    let series: BTreeSet<_> = ours.iter().map(|(name, labels, _)| (name, labels)).collect();
    assert_eq!(series.len(), ours.len(), "no series twice");
}

#[test]
fn the_hosts_histogram_is_one_in_text_too() {
    let text = openmetrics(full_report());
    let bucket = "ebhost_plugin_decode_duration_seconds_bucket{plugin=\"biolatency\",le=\"1e-05\"} 2\n";
    assert!(text.contains(bucket), "bounds print as those of plugins do:\n{text}");
    let bucket = "ebhost_plugin_decode_duration_seconds_bucket{plugin=\"bad\",le=\"0.001\"} 0\n";
    assert!(text.contains(bucket), "a package that was left out has the same buckets:\n{text}");
}

#[test]
fn a_refused_folder_does_not_report_under_the_name_of_a_running_plugin() {
    let package = |name: &str, file: &str, fault: &str| PackageReport {
        name: name.into(),
        file: file.into(),
        is_up: fault.is_empty(),
        fault: fault.into(),
        ..PackageReport::default()
    };
    let text = openmetrics(Report {
        packages: vec![
            package("maps", "/p/maps/plugin.yaml", "the package name `maps` is taken"),
            package("maps", "/p/01-maps/plugin.yaml", ""),
            package("maps", "/d/maps.yaml", "left out"),
            package("free", "/p/free/plugin.yaml", "no such map"),
        ],
        ..Report::default()
    });
    let up: Vec<_> = text.lines().filter(|line| line.starts_with("ebhost_plugin_up{")).collect();
    assert_eq!(up, ["ebhost_plugin_up{plugin=\"maps\"} 1", "ebhost_plugin_up{plugin=\"free\"} 0"]);
    for file in ["/p/maps/plugin.yaml", "/d/maps.yaml", "/p/free/plugin.yaml"] {
        assert!(text.contains(&format!("ebhost_package_left_out{{file=\"{file}\"}} 1\n")), "{text}");
    }
    let all = samples(&text);
    let series: BTreeSet<_> = all.iter().map(|(name, labels, _)| (name, labels)).collect();
    assert_eq!(series.len(), all.len(), "no series twice:\n{text}");
}

#[test]
fn every_name_of_the_hosts_own_families_is_kept_from_plugins() {
    for name in [
        "ebhost_log_dropped_total",
        "ebhost_reloads",
        "ebhost_reload_failures_total",
        "ebhost_collections_created",
        "ebhost_kernel_symbols_missing",
        "ebhost_cgroup_id_map_failures_total",
        "ebhost_plugin_decode_duration_seconds_bucket",
        "ebhost_plugin_decode_duration_seconds_created",
        "ebpf_exporter_decoder_errors_total",
        "process_cpu_seconds_total",
    ] {
        assert!(is_own(name), "{name}");
    }
    assert!(!is_own("ebhost_hash_calls_total"));
    // Those that are shown are all among them, whatever the report.
    for (name, ..) in samples(&openmetrics(full_report())) {
        assert!(is_own(&name), "{name}");
    }
}
