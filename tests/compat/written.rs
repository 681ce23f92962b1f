//! Files as users of ebpf_exporter wrote them, without ebhost in mind: scalars keep their text, and keys that do not matter cost nothing.

use ebhost_tests::needs;

use crate::{
    drop_in::{DropIns, family, put},
    files::errors,
};

const TABLE: &str = "TABLE(good_total, HASH, 4, 16);";

const GOOD: &str = "
metrics:
  counters:
    - name: good_total
      help: Good.
      labels: [{ name: id, size: 4, decoders: [{ name: uint }] }]
";

/// Labels were `false`, `2048`, `1.1` and `1000.0`; `6:` and `yes` cost the whole file.
#[test]
fn labels_have_the_text_of_the_file_and_truths_are_those_of_yaml_1_1() {
    needs!(Root, Tool("clang-19"));
    let map = "{ 0: False, 1: on, 2: 0x0800, 3: 1.10, 4: 1e3, 5: 010, 6: , 7: ~, 8: '~', 9: 2024-01-01, 10: 1_000 }";
    let yaml = format!(
        "
metrics:
  counters:
    - name: good_total
      help: 1.10
      perf_event_array: off
      labels:
        - name: id
          size: 0x4
          decoders:
            - name: uint
            - {{ name: static_map, allow_unknown: yes, static_map: {map} }}
"
    );
    let folder = DropIns::with("texts", TABLE, &yaml);
    let host = folder.listening("texts");
    (0..=11u32).for_each(|id| put(&host, "good_total", &id.to_le_bytes(), u64::from(id) + 1));
    let lines = family(&host, "ebpf_exporter_good_total");
    assert_eq!(lines[0], "# HELP ebpf_exporter_good_total 1.10");
    // Two keys have an empty label, and count together.
    let texts =
        [("False", 1), ("on", 2), ("0x0800", 3), ("1.10", 4), ("1e3", 5), ("010", 6), ("", 15), ("~", 9)].into_iter();
    let texts = texts.chain([("2024-01-01", 10), ("1_000", 11), ("11", 12)]);
    let mut expected: Vec<_> =
        texts.map(|(text, value)| format!("ebpf_exporter_good_total{{id=\"{text}\"}} {value}")).collect();
    let mut found = lines[2..].to_vec();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    host.stop();
}

/// `name: timers` at the top cost the whole file.
#[test]
fn unknown_keys_at_the_top_are_warnings_with_their_lines() {
    needs!(Root, Tool("clang-19"));
    let folder =
        DropIns::with("timers", TABLE, &format!("name: timers\nversion: 2\n{GOOD}# A comment.\nkaddr: [jiffies]\n"));
    let host = folder.listening("timers");
    put(&host, "good_total", &[7, 0, 0, 0], 8);
    assert_eq!(family(&host, "ebpf_exporter_good_total")[2..], ["ebpf_exporter_good_total{id=\"7\"} 8"]);
    let said = errors(&host.stop());
    for expected in [
        "timers.yaml:2:1: found the key `version`, expected one of metrics, tracing, kaddrs, cgroup_id_map, name; it has no effect",
        "timers.yaml:10:1: found the key `kaddr`, expected one of ",
    ] {
        assert!(said.contains(expected), "expected `{expected}` in:\n{said}");
    }
    assert!(!said.contains("found the key `name`"), "{said}");
}

const SPANS: &str = "
tracing:
  spans:
    - ringbuf: spans
      name: request
      service: web
      labels:
        - { name: trace_id, size: 16, decoders: [{ name: hex }] }
        - { name: cpu.orig, size: 4, decoders: [{ name: uint }] }
        - { name: le, size: 4, decoders: [{ name: uint }] }
";

/// A span's label `cpu.orig` cost the metrics of its file.
#[test]
fn labels_of_spans_may_have_any_name() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("spans", &format!("{TABLE}RING(spans, 4096);"), &format!("{GOOD}{SPANS}"));
    let host = folder.listening("spans");
    put(&host, "good_total", &[7, 0, 0, 0], 8);
    assert_eq!(family(&host, "ebpf_exporter_good_total")[2..], ["ebpf_exporter_good_total{id=\"7\"} 8"]);
    let said = errors(&host.stop());
    assert!(said.contains("spans.yaml:9:3: found spans of 1 buffers and no receiver"), "{said}");
}

/// It was told that its metrics are served, and then that it has none, and was left out.
#[test]
fn a_file_of_spans_alone_gets_one_sentence_and_runs() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("spans", "RING(spans, 4096);", SPANS).and("good", TABLE, GOOD);
    let host = folder.start("spans,good").listening();
    assert_eq!(host.scrape().value("ebhost_plugin_up", &[("plugin", "spans")]), Some(1.0));
    let said = errors(&host.stop());
    assert!(said.contains("spans.yaml:3:3: found spans of 1 buffers and no receiver"), "{said}");
    assert_eq!(said.matches("found spans").count(), 1, "{said}");
}
