//! Flags and paths.

use ebhost_tests::{Ebhost, Folder, Start, committed, needs};

#[test]
fn health_and_readiness_have_their_paths_and_nothing_else_has_one() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    for (path, status) in [("/-/healthy", 200), ("/-/ready", 200), ("/", 200), ("/metric", 404), ("/metrics/", 404)] {
        assert_eq!(host.get(path, &[]).status, status, "{path}");
    }
    assert!(host.get("/", &[]).text().contains("href=\"/metrics\""), "the front page links to the metrics");
    host.stop();
}

#[test]
fn namespace_and_path_are_configurable() {
    needs!(Root);
    let flags = ["--namespace", "ebpf_exporter", "--web.telemetry-path", "/probe"];
    let host = Start::with(&committed()).args(&flags).listening();
    assert_eq!(host.get("/metrics", &[]).status, 404);
    let served = host.get("/probe", &[]);
    assert!(
        served.text().contains("\nebpf_exporter_bio_latency_lost_total{reason=\"no_start\"} "),
        "{}",
        served.text()
    );
    assert!(!served.text().contains("ebhost_bio_latency"), "{}", served.text());
    host.stop();
}

#[test]
fn the_log_has_one_line_for_a_package() {
    needs!(Root);
    let log = Ebhost::start(Folder::with_biolatency().path()).stop();
    let lines: Vec<_> = log.lines().into_iter().filter(|line| line.field("package") == "biolatency").collect();
    assert_eq!(lines.len(), 1, "{}", log.text());
    assert_eq!(lines[0].field("programs"), "block_rq_complete block_rq_requeue block_rq_issue percpu_free_percpu");
    assert_eq!(lines[0].field("sources"), "banks banks_spill banks_stats lost slow");
    assert_eq!(
        lines[0].field("families"),
        "bio_latency_seconds bio_latency_lost_total bio_latency_slow_total bio_latency_spill_entries"
    );
    assert!(lines[0].field("took_ms").is_u64(), "{}", lines[0].text);
    assert!(log.lines().iter().all(|line| line.level == "INFO"), "{}", log.text());
}
