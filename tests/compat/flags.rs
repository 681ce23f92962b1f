//! Command lines written for ebpf_exporter, and its own metrics.

use std::fs;

use ebhost_tests::{Ebhost, Folder, alone, needs};

use crate::drop_in::{DropIns, put};

const TABLE: &str = "
    TABLE(good_total, HASH, 4, 16);
    SEC(\"raw_tp/sys_enter\") int on_enter(void *context) { return 0; }
";

const GOOD: &str = "
metrics:
  counters:
    - { name: good_total, help: Good., labels: [{ name: id, size: 4, decoders: [{ name: uint }] }] }
  histograms:
    - name: good_seconds
      help: Good.
      bucket_type: linear
      bucket_min: 1
      bucket_max: 2
      labels: [{ name: bucket, size: 4, decoders: [{ name: uint }] }]
";

fn folder() -> DropIns {
    DropIns::with("good", &format!("{TABLE} TABLE(good_seconds, HASH, 4, 8);"), GOOD)
}

fn lines(host: &Ebhost, path: &str, headers: &[(&str, &str)], with: &str) -> Vec<String> {
    let answer = host.get(path, headers);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
}

#[test]
fn an_ebpf_exporter_command_line_works_together_with_plugins() {
    needs!(Root, Tool("clang-19"));
    let (folder, plugins) = (folder(), Folder::with_biolatency());
    let plugins_path = plugins.path().display().to_string();
    let args = [
        "--config.strict",
        "--debug",
        "--log.no-timestamps",
        "--config.skip-cache-size=1000",
        "--web.telemetry-path",
        "/ebpf",
        "--capabilities.keep",
        "all",
        "--plugins",
        &plugins_path,
    ];
    let host = folder.start("good").args(&args).listening();
    put(&host, "good_total", &[1, 0, 0, 0], 1_234_567);
    let served = lines(&host, "/ebpf", &[], "good_total{");
    assert_eq!(served, ["ebpf_exporter_good_total{id=\"1\"} 1.234567e+06"]);
    assert_eq!(lines(&host, "/ebpf", &[], "ebhost_plugin_up").len(), 4, "two packages");
    assert_eq!(host.get("/metrics", &[]).status, 404);
    assert!(host.log().lines().iter().any(|line| line.level == "DEBUG"));
    host.stop();
}

/// By Prometheus' default preference it would be OpenMetrics with `le="1.0"`, which is another series than
/// ebpf_exporter's.
#[test]
fn a_client_that_prefers_openmetrics_gets_ebpf_exporters_format() {
    needs!(Root, Tool("clang-19"));
    let folder = folder();
    let host = folder.listening("good");
    put(&host, "good_seconds", &[1, 0, 0, 0], 3);
    let accept = [("accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")];
    assert_eq!(
        lines(&host, "/metrics", &accept, "ebpf_exporter_good_seconds"),
        [
            "# HELP ebpf_exporter_good_seconds Good.",
            "# TYPE ebpf_exporter_good_seconds histogram",
            "ebpf_exporter_good_seconds_bucket{le=\"1\"} 3",
            "ebpf_exporter_good_seconds_bucket{le=\"2\"} 3",
            "ebpf_exporter_good_seconds_bucket{le=\"+Inf\"} 3",
            "ebpf_exporter_good_seconds_sum 0",
            "ebpf_exporter_good_seconds_count 3",
        ]
    );
    host.stop();
}

#[test]
fn own_metrics_have_ebpf_exporters_names() {
    needs!(Root, Tool("clang-19"));
    let folder = folder();
    let host = folder.start("good").args(&["--bpf.stats"]).listening();
    let all = lines(&host, "/metrics", &[], "ebpf_exporter_");
    let one = |begin: &str| {
        let found: Vec<_> = all.iter().filter(|line| line.starts_with(begin)).collect();
        assert_eq!(found.len(), 1, "`{begin}` in:\n{}", all.join("\n"));
        found[0].clone()
    };
    let value = |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok()).expect("a number");
    assert_eq!(one("ebpf_exporter_enabled_configs{"), "ebpf_exporter_enabled_configs{name=\"good\"} 1");
    assert_eq!(one("ebpf_exporter_decoder_errors_total{"), "ebpf_exporter_decoder_errors_total{config=\"good\"} 0");
    assert!(one("ebpf_exporter_build_info{").contains("version=\""));
    let info = one("ebpf_exporter_ebpf_program_info{config=\"good\",program=\"on_enter\",tag=\"");
    let (tag, rest) = info.split_once("tag=\"").expect("it has one").1.split_at(16);
    assert!(tag.bytes().all(|byte| byte.is_ascii_hexdigit()), "{info}");
    let id: u32 = rest.trim_start_matches("\",id=\"").split('"').next().and_then(|id| id.parse().ok()).expect("an id");
    assert_eq!(
        one("ebpf_exporter_ebpf_program_attached{"),
        format!("ebpf_exporter_ebpf_program_attached{{id=\"{id}\"}} 1")
    );
    // The request itself makes system calls.
    assert!(value(&one(&format!("ebpf_exporter_ebpf_program_run_count_total{{id=\"{id}\"}}"))) > 0.0);
    assert!(value(&one(&format!("ebpf_exporter_ebpf_program_run_time_seconds{{id=\"{id}\"}}"))) > 0.0);
    host.stop();
}

/// They were served as 0, which says that the programs never run.
#[test]
fn run_statistics_are_absent_while_the_kernel_measures_none() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = folder();
    let host = folder.listening("good");
    let is_on = || fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").expect("root reads it").trim() == "1";
    let was_on = is_on();
    let served = lines(&host, "/metrics", &[], "ebpf_exporter_ebpf_program_run_");
    if !was_on && !is_on() {
        assert_eq!(served, Vec::<String>::new());
    }
    assert_eq!(lines(&host, "/metrics", &[], "ebpf_exporter_ebpf_program_attached{").len(), 1);
    host.stop();
}
