//! Conformance of the exposition formats: one host that serves every kind of family, and for each format a parser made by others.
//!
//! Text 0.0.4 goes to `promtool`, OpenMetrics to the reference parser of `prometheus_client` (Python), protobuf to `prost`, and Debian's Prometheus scrapes text
//! and protobuf for real. OpenMetrics 2.0 goes to two strict readers, each written from the specification without the other, whose findings have to be the
//! same: the only parser of others, that of Prometheus' development branch, is in no release of Debian, PyPI, npm or crates.io. No format may have a family or a series twice, and all must have the same
//! samples but for what a format has no place for.

mod dashboards;
mod generated;
mod golden;
mod growing;
mod load;
mod mixin;
mod openmetrics2;
mod parsers;
mod rules;

use std::collections::BTreeMap;
use std::{fs, time::Duration};

use ebhost_tests::{Ebhost, Folder, KernelMap, Prometheus, Start, key, needs, promtool, wait_until, workspace};
use parsers::{Answer, parse_openmetrics, parse_protobuf, parse_text};

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=1.0";

/// Every package of this repository, one of generated families, and two that are left out: one under a name of its own, one
/// whose folder is named like a package that runs.
fn packages() -> Folder {
    let folder = Folder::with_biolatency();
    folder.add("broken"); // its families are biolatency's, so it is left out
    for package in ["plugins/llcstat", "bench/packages/maps"] {
        folder.copy(&workspace().join(package));
    }
    let twin = folder.path().join("01-maps");
    fs::create_dir(&twin).expect("our own folder");
    for file in ["maps.wasm", "maps.bpf.o", "plugin.yaml"] {
        fs::copy(folder.path().join("maps").join(file), twin.join(file)).expect("our own folder");
    }
    generated::write_package(&folder.path().join("generated"));
    folder
}

fn start(folder: &Folder) -> Ebhost {
    let host = Start::with(folder.path()).args(&["--exposition.created"]).listening();
    host.get("/metrics", &[]); // start times are known from the second reading on
    assert!(KernelMap::of(host.pid(), "hash").update(&key(1), &7u64.to_le_bytes()));
    generated::fill(host.pid());
    host
}

/// Runs `read` at a time when no series come or go: biolatency has series for whatever this machine's disks do.
fn while_series_stay<T>(host: &Ebhost, mut read: impl FnMut() -> T) -> T {
    let names = || parse_text(host.get("/metrics", &[("Accept", "text/plain")]).text()).without_created();
    wait_until("the same series before and after", Duration::from_secs(30), || {
        let before = names();
        let found = read();
        (names() == before).then_some(found)
    })
}

/// The answers in all formats, each with nothing twice.
fn answers(host: &Ebhost) -> (Answer, Answer, Answer) {
    let get = |accept: &str| host.get("/metrics", &[("Accept", accept)]);
    let (text, openmetrics, protobuf) =
        while_series_stay(host, || (get("text/plain"), get(OPENMETRICS), get(PROTOBUF)));
    assert!(openmetrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(protobuf.header("content-type").starts_with("application/vnd.google.protobuf"));
    let answers = (parse_text(text.text()), parse_openmetrics(openmetrics.text()), parse_protobuf(&protobuf.body));
    for answer in [&answers.0, &answers.1, &answers.2] {
        answer.assert_nothing_twice();
    }
    answers
}

#[test]
fn all_formats_have_the_same_samples_and_none_twice() {
    needs!(Root, Tool("clang-19"), Tool("promtool"));
    let folder = packages();
    let host = start(&folder);
    let (text, openmetrics, protobuf) = answers(&host);

    assert_eq!(text.without_created(), protobuf.without_sums_of_unknown_value(&text), "text and protobuf");
    // OpenMetrics has `_count` only beside `_sum`.
    assert_eq!(text.without_counts_alone(), openmetrics.without_created(), "text and OpenMetrics");

    let text = host.get("/metrics", &[]);
    assert_eq!(promtool(text.text()), (Some(0), String::new()), "{}", text.text());
    host.stop();
}

#[test]
fn openmetrics_2_has_the_samples_of_text_and_their_start_times() {
    needs!(Root, Tool("clang-19"), Tool("python3"));
    let folder = packages();
    folder.set("plugins: { biolatency: { native: true } }");
    let host = start(&folder);
    let get = |accept: &str| host.get("/metrics", &[("Accept", accept)]);
    let accept = "application/openmetrics-text;version=2.0.0";
    let (text, newest) = while_series_stay(&host, || (get("text/plain"), get(accept)));
    assert_eq!(newest.header("content-type"), "application/openmetrics-text; version=2.0.0; charset=utf-8");
    let exposition =
        openmetrics2::parse(newest.text()).unwrap_or_else(|why| panic!("{why}; served:\n{}", newest.text()));
    assert_eq!(
        parsers::samples_by_grammar(newest.text()),
        exposition.answer.bits(),
        "two readers of the specification"
    );
    let text = parse_text(text.text());
    exposition.answer.assert_nothing_twice();
    assert_eq!(text.without_created(), exposition.answer.without_sums_of_unknown_value(&text));
    let label = "label=\"a \\\"quoted\\\" \\\\ value\\nof two lines\"";
    for (sample, value) in [
        (format!("ebhost_generated_total{{{label}}}"), 41.0),
        ("ebhost_generated_signed{}".to_owned(), -5.0),
        ("ebhost_generated_negative_bucket{le=-1}".to_owned(), 1.0),
        ("ebhost_generated_sumless_bucket{le=1e-5}".to_owned(), 1.0),
        ("ebhost_generated_summed_sum{}".to_owned(), 77.0),
    ] {
        exposition.answer.assert_value(&sample, value);
    }
    assert!(exposition.with_start_time.contains(&format!("ebhost_generated_total{{{label}}}")));
    assert!(exposition.with_start_time.contains("ebhost_generated_summed{}"));
    host.stop();
}

#[test]
fn generated_families_have_the_forms_that_parsers_want() {
    needs!(Root, Tool("clang-19"));
    let folder = packages();
    let host = start(&folder);
    let (text, openmetrics, protobuf) = answers(&host);
    let label = "label=\"a \\\"quoted\\\" \\\\ value\\nof two lines\"";
    for answer in [&text, &openmetrics, &protobuf] {
        answer.assert_value(&format!("ebhost_generated_total{{{label}}}"), 41.0);
        answer.assert_value("ebhost_generated_signed{}", -5.0);
        answer.assert_value("ebhost_generated_negative_bucket{le=-1}", 1.0);
        answer.assert_value("ebhost_generated_negative_bucket{le=inf}", 10.0);
        answer.assert_value("ebhost_generated_sumless_bucket{le=1e-5}", 1.0);
        answer.assert_value("ebhost_generated_summed_sum{}", 77.0);
    }
    assert!(!openmetrics.has("ebhost_generated_sumless_count{}"), "OpenMetrics has no _count without _sum");
    for answer in [&text, &openmetrics] {
        assert!(!answer.has("ebhost_generated_negative_sum{}"), "a sum of negative observations may fall");
    }
    assert!(openmetrics.has(&format!("ebhost_generated_created{{{label}}}")), "start times were asked for");
    host.stop();
}

/// A plugin that fails at first, so that all its series come scrapes after they were first read.
#[test]
fn series_that_are_labelled_late_are_in_all_formats_once() {
    needs!(Root, Tool("clang-19"), PythonModule("prometheus_client"));
    let folder = packages();
    let package = folder.copy(&workspace().join("tests/sandbox/misbehaving"));
    fs::copy(folder.path().join("biolatency/biolatency.bpf.o"), package.join("biolatency.bpf.o"))
        .expect("our own folder");
    let configure = |fault: &str| {
        let yaml = format!(
            "name: misbehaving\ncomponent: misbehaving.wasm\nbpf:\n  object: biolatency.bpf.o\n  programs: []\n  \
             max_entries: {{ banks: 128 per cpu }}\nconfig: {{ fault: {fault} }}\n"
        );
        fs::write(package.join("plugin.yaml"), yaml).expect("our own folder");
    };
    configure("trap");
    let host = start(&folder);
    let unlabelled = |expected: fn(f64) -> bool| {
        let found = host.scrape().value("ebhost_plugin_unlabelled", &[("plugin", "misbehaving")]);
        found.is_some_and(expected).then_some(())
    };
    wait_until("entries that wait for labels", Duration::from_secs(20), || unlabelled(|waiting| waiting > 0.0));
    configure("none");
    host.hang_up();
    wait_until("late labels", Duration::from_secs(30), || unlabelled(|waiting| waiting == 0.0));

    let (text, openmetrics, protobuf) = answers(&host);
    assert!(openmetrics.names().iter().any(|name| name.starts_with("ebhost_misbehaving_total{")));
    assert!(openmetrics.names().iter().any(|name| name.starts_with("ebhost_misbehaving_created{")));
    assert_eq!(text.without_created(), protobuf.without_sums_of_unknown_value(&text), "text and protobuf");
    assert_eq!(text.without_counts_alone(), openmetrics.without_created(), "text and OpenMetrics");
    let answer = host.get("/metrics", &[("Accept", OPENMETRICS)]);
    assert_eq!(parsers::reference_samples(answer.text()), parse_openmetrics(answer.text()).names());
    host.stop();
}

#[test]
fn the_reference_parser_of_openmetrics_takes_the_whole_answer() {
    needs!(Root, Tool("clang-19"), PythonModule("prometheus_client"));
    let folder = packages();
    let host = start(&folder);
    host.get("/metrics", &[]);
    let answer = host.get("/metrics", &[("Accept", OPENMETRICS)]);
    let found = parsers::reference_samples(answer.text());
    let expected = parse_openmetrics(answer.text());
    assert_eq!(found, expected.names(), "it reads every sample");
    host.stop();
}

#[test]
fn a_plugin_that_is_left_out_does_not_shadow_the_one_that_runs() {
    needs!(Root, Tool("clang-19"));
    let folder = packages();
    let host = start(&folder);
    let served = host.scrape();
    let up = |plugin| served.value("ebhost_plugin_up", &[("plugin", plugin)]);
    assert_eq!(up("maps"), Some(1.0), "one of two folders with a package of that name runs");
    assert_eq!(up("broken"), Some(0.0), "its name is free");
    let left_out = &served.families["ebhost_package_left_out"].samples;
    let files: Vec<_> = left_out.iter().map(|sample| sample.labels["file"].as_str()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.iter().any(|file| file.ends_with("/broken/plugin.yaml")), "{files:?}");
    host.stop();
}

#[test]
fn a_drop_in_beside_a_plugin_of_its_name_does_not_shadow_it() {
    needs!(Root, Tool("clang-19"), Tool("promtool"));
    let (folder, drop_ins) = (Folder::with_biolatency(), Folder::new());
    for name in ["biolatency", "other"] {
        generated::write_drop_in(drop_ins.path(), name);
    }
    let config = drop_ins.path().display().to_string();
    let start = Start::with(folder.path()).args(&["--config.dir", &config, "--config.names", "biolatency,other"]);
    let host = start.listening();
    let get = |accept: &str| host.get("/metrics", &[("Accept", accept)]);
    let (served, protobuf) = while_series_stay(&host, || (get("text/plain"), get(PROTOBUF)));
    let (text, protobuf) = (parse_text(served.text()), parse_protobuf(&protobuf.body));
    text.assert_nothing_twice();
    protobuf.assert_nothing_twice();
    assert_eq!(text.without_created(), protobuf.without_sums_of_unknown_value(&text));
    text.assert_value("ebhost_plugin_up{plugin=\"biolatency\"}", 1.0);
    text.assert_value("ebpf_exporter_enabled_configs{name=\"other\"}", 1.0);
    // A drop-in keeps its names, which promtool's lint may not like (3); an error of parsing is 1.
    let (status, complaints) = promtool(served.text());
    let is_about_names = complaints.lines().all(|line| line.contains("ebpf_exporter_"));
    assert!(status == Some(0) || status == Some(3) && is_about_names, "{status:?} {complaints}");
    host.stop();
}

/// Prometheus drops the second of two equal series of a scrape, so that fewer are stored than were scraped.
#[test]
fn prometheus_stores_every_sample_of_text_and_of_protobuf() {
    needs!(Root, Tool("clang-19"), Tool("prometheus"));
    let folder = packages();
    let host = start(&folder);
    for options in [&[][..], &["--enable-feature=native-histograms"]] {
        let prometheus = Prometheus::with(host.address(), options);
        let by_name = |query: &str| prometheus.query(query);
        let (scraped, stored) = wait_until("a scrape", Duration::from_secs(30), || {
            let scraped = by_name("scrape_samples_scraped").filter(|scraped| *scraped > 100.0)?;
            Some((scraped, by_name("count({job=\"ebhost\", __name__!~\"up|scrape_.+\"})")?))
        });
        assert_eq!(prometheus.query("up"), Some(1.0), "{options:?}");
        assert_eq!(scraped, stored, "{options:?}: as many series as samples");
    }
    host.stop();
}

/// Values by sample.
type Samples = BTreeMap<String, f64>;
