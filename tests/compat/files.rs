//! Files with mistakes, files with more than metrics in them, and files that change.

use std::{fs, time::Duration};

use ebhost_tests::{Log, Start, committed, needs, wait_until};

use crate::drop_in::{DropIns, family, put};

const TABLES: &str = "
    TABLE(good_total, HASH, 4, 16);
    TABLE(wide_total, HASH, 12, 16);
";

const GOOD: &str = "
metrics:
  counters:
    - name: good_total
      help: Good.
      labels: [{ name: id, size: 4, decoders: [{ name: uint }] }]
";

/// The errors and warnings of a log.
pub(crate) fn errors(log: &Log) -> String {
    let lines = log.lines().into_iter().filter(|line| line.level == "ERROR" || line.level == "WARN");
    lines.map(|line| line.text + "\n").collect()
}

/// Mistakes that ebpf_exporter finds at the first scrape, or never.
const MISTAKEN: &str = "metrics:
  counters:
    - name: good_total
      help: Good.
      lables: []
      labels:
        - name: id
          size: 4
          decoders: [{ name: unit }]
    - name: wide_total
      labels:
        - { name: a, size: 8, decoders: [{ name: uint }] }
        - name: b
          size: 3
          decoders:
            - name: string
            - name: regexp
              regexps: ['(a', '(b)(c)']
  histogram: []
kaddr: [jiffies]
";

#[test]
fn every_mistake_is_reported_with_its_line() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("bad", TABLES, MISTAKEN).and(
        "good",
        "TABLE(fine_total, HASH, 4, 16);",
        &GOOD.replace("good", "fine"),
    );
    let file = folder.path().join("bad.yaml");
    let host = folder.start("bad,good").listening();
    put(&host, "fine_total", &[1, 0, 0, 0], 1);
    assert_eq!(family(&host, "ebpf_exporter_fine_total").len(), 3, "the other one is served");
    let said = errors(&host.stop());
    for (line, column, expected) in [
        (5, 7, "found the key `lables`, expected one of name, help, "),
        (9, 24, "found the decoder `unit`, expected one of cgroup, "),
        (18, 25, "found `(a`, expected a regular expression: "),
        (18, 31, "found 2 groups in `(b)(c)`, expected one at most: try `(?:…)`"),
        (19, 3, "found the key `histogram`, expected one of counters, histograms"),
        (20, 1, "found the key `kaddr`, expected one of metrics, tracing, kaddrs, cgroup_id_map"),
    ] {
        let place = format!("{}:{line}:{column}: {expected}", file.display());
        assert!(said.contains(&place), "expected `{place}` in:\n{said}");
    }
    assert!(said.contains("\n9 |           decoders: [{ name: unit }]\n  |                        ^"), "{said}");

    let ended = folder.start("bad,good").args(&["--config.check"]).ended();
    assert!(!ended.status.success());
    let ended = folder.start("good").args(&["--config.check"]).ended();
    assert!(ended.status.success(), "{}", ended.log.text());
}

#[test]
fn sizes_are_compared_with_the_object() {
    needs!(Root, Tool("clang-19"));
    let yaml = "metrics:
  counters:
    - name: wide_total
      labels: [{ name: a, size: 8, decoders: [{ name: uint }] }]
    - name: absent_total
";
    let folder = DropIns::with("sizes", TABLES, yaml);
    let ended = folder.start("sizes").args(&["--config.strict"]).ended();
    assert!(!ended.status.success());
    let said = errors(&ended.log);
    for expected in [
        "sizes.yaml:4:7: found 8 bytes of sizes and paddings, expected 12, as the map's key has",
        "sizes.yaml:5:7: found no map `absent_total` in the BPF object, expected the name of one of its maps: good_total, wide_total",
    ] {
        assert!(said.contains(expected), "expected `{expected}` in:\n{said}");
    }
}

#[test]
fn files_that_cannot_be_read_affect_no_others() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("good", TABLES, GOOD);
    folder.write("lonely", GOOD);
    folder.write("twice", "metrics: { counters: [] }\nmetrics: {}\n");
    folder.write("tabs", "metrics:\n\tcounters: []\n");
    fs::copy(folder.path().join("good.bpf.o"), folder.path().join("twice.bpf.o")).expect("our own file");
    let host = folder.start("nowhere,lonely,twice,tabs,good").listening();
    put(&host, "good_total", &[1, 0, 0, 0], 1);
    assert_eq!(family(&host, "ebpf_exporter_good_total").len(), 3);
    let answer = host.get("/metrics", &[]);
    let enabled: Vec<_> =
        answer.text().lines().filter(|line| line.starts_with("ebpf_exporter_enabled_configs")).collect();
    assert_eq!(enabled, ["ebpf_exporter_enabled_configs{name=\"good\"} 1"]);
    assert!(answer.text().contains("ebhost_plugin_up{plugin=\"lonely\"} 0\n"), "{}", answer.text());
    let said = errors(&host.stop());
    for expected in [
        "nowhere.yaml: cannot be read: No such file or directory",
        "lonely.bpf.o: cannot be read: No such file or directory (os error 2); each configuration has its object beside it",
        "twice.yaml:2:1: found the key `metrics` a second time",
        "tabs.yaml:2:1: ",
    ] {
        assert!(said.contains(expected), "expected `{expected}` in:\n{said}");
    }
}

#[test]
fn spans_without_a_receiver_are_not_made_and_the_metrics_are_served() {
    needs!(Root, Tool("clang-19"));
    let spans = "
tracing:
  spans:
    - ringbuf: spans
      name: request
      service: web
      labels:
        - { name: trace_id, size: 16, decoders: [{ name: hex }] }
        - { name: span_id, size: 8, decoders: [{ name: hex }] }
        - { name: span_duration_ns, size: 8, decoders: [{ name: uint }] }
        - { name: path, size: 64, decoders: [{ name: string }] }
";
    let folder = DropIns::with("spans", &format!("{TABLES}RING(spans, 4096);"), &format!("{GOOD}{spans}"));
    let host = folder.listening("spans");
    put(&host, "good_total", &[7, 0, 0, 0], 8);
    assert_eq!(family(&host, "ebpf_exporter_good_total")[2..], ["ebpf_exporter_good_total{id=\"7\"} 8"]);
    let said = errors(&host.stop());
    let expected = "spans.yaml:9:3: found spans of 1 buffers and no receiver, expected OTEL_EXPORTER_OTLP_ENDPOINT or \
                    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; no spans are made";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_changed_file_is_reloaded_and_an_invalid_one_is_not() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("good", TABLES, GOOD);
    let host = folder.listening("good");
    put(&host, "good_total", &[2, 0, 0, 0], 5);
    assert_eq!(family(&host, "ebpf_exporter_good_total")[2..], ["ebpf_exporter_good_total{id=\"2\"} 5"]);
    folder
        .write("good", &GOOD.replace("{ name: uint }", "{ name: uint }, { name: static_map, static_map: { 2: two } }"));
    wait_until("the new labels", Duration::from_secs(20), || {
        family(&host, "ebpf_exporter_good_total")
            .last()?
            .starts_with("ebpf_exporter_good_total{id=\"two\"}")
            .then_some(())
    });
    put(&host, "good_total", &[2, 0, 0, 0], 12);
    let changed = ["ebpf_exporter_good_total{id=\"two\"} 7"];
    assert_eq!(family(&host, "ebpf_exporter_good_total")[2..], changed, "what came under the new name");
    folder.write("good", &GOOD.replace("uint", "unit"));
    wait_until("the refusal", Duration::from_secs(20), || {
        errors(host.log()).contains("found the decoder `unit`").then_some(())
    });
    assert_eq!(family(&host, "ebpf_exporter_good_total")[2..], changed, "goes on");
    host.stop();
}

/// The same component in a package with a plugin.yaml: a simple map needs no code.
#[test]
fn a_package_uses_the_component_too() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("good", TABLES, GOOD);
    let package = folder.path().join("mine");
    fs::create_dir(&package).expect("our own folder");
    fs::copy(folder.path().join("good.bpf.o"), package.join("mine.bpf.o")).expect("our own file");
    let config = GOOD.replace('\n', "\n  ");
    let yaml =
        |config: &str| format!("name: mine\ncomponent: builtin\nbpf: {{ object: mine.bpf.o }}\nconfig:{config}\n");
    fs::write(package.join("plugin.yaml"), yaml(&config)).expect("our own folder");
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    put(&host, "good_total", &[1, 0, 0, 0], 1_000_000);
    let answer = host.get("/metrics", &[]);
    assert!(answer.text().contains("\nebhost_good_total{id=\"1\"} 1000000\n"), "{}", answer.text());
    host.stop();

    fs::write(package.join("plugin.yaml"), yaml(&config.replace("size: 4", "size: 5"))).expect("our own folder");
    let ended = Start::with(folder.path()).args(&["--strict"]).ended();
    let said = errors(&ended.log);
    assert!(said.contains("plugin.yaml:9:50: found `uint` of 5 bytes, expected a `size` of 1, 2, 4 or 8"), "{said}");
    assert!(committed().join("builtin/builtin.wasm").is_file());
}

/// The count was 0 after each change of the file, until more keys had been rejected than before.
#[test]
fn rejected_keys_stay_counted_when_the_file_changes() {
    needs!(Root, Tool("clang-19"));
    let yaml = GOOD.replace("{ name: uint }", "{ name: string }, { name: uint }");
    let folder = DropIns::with("good", TABLES, &yaml);
    let host = folder.listening("good");
    // No number has three bytes.
    (0..3).for_each(|id| put(&host, "good_total", &[id + 65, 66, 67, 0], 1));
    put(&host, "good_total", &[7, 0, 0, 0], 1);
    let rejected = || {
        let served = host.scrape();
        let dropped = [("plugin", "good"), ("reason", "unknown")];
        (
            served.value("ebhost_plugin_entries_dropped_total", &dropped),
            served.value("ebpf_exporter_decoder_errors_total", &[("config", "good")]),
        )
    };
    assert_eq!(rejected(), (Some(3.0), Some(3.0)));
    folder.write("good", &yaml.replace("Good.", "Better."));
    wait_until("the new help", Duration::from_secs(20), || {
        assert!(rejected() >= (Some(3.0), Some(3.0)), "{:?}", rejected());
        family(&host, "ebpf_exporter_good_total").first().is_some_and(|line| line.ends_with("Better.")).then_some(())
    });
    assert!(rejected() >= (Some(3.0), Some(3.0)), "{:?}", rejected());
    host.stop();
}
