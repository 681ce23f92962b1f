//! Debian's Prometheus as it is installed: it scrapes, stores, and computes quantiles from the histogram.

use std::{fs, process::Command, time::Duration};

use ebhost_tests::{
    Disk, Ebhost, Fio, Folder, KernelMap, Prometheus, Start, committed, key, needs, output, promtool, wait_until,
    workspace,
};

#[test]
fn prometheus_scrapes_and_answers_with_a_quantile() {
    needs!(Root, Fuse, Tool("fio"), Tool("prometheus"));
    let disk = Disk::delayed(Duration::from_millis(12));
    let host = Ebhost::start(&committed());
    let prometheus = Prometheus::scraping(host.address());
    let scraped = || prometheus.query("up").filter(|up| *up == 1.0);
    wait_until("the first scrape", Duration::from_secs(20), scraped);
    // An increase needs two scrapes, so there must be one with a count before the load ends.
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--time_based", "--runtime=6s"]);

    let of_disk = format!("{{device=\"{}\",operation=\"read\"}}", disk.name());
    let quantile = |q: &str| {
        let promql = format!("histogram_quantile({q}, rate(ebhost_bio_latency_seconds_bucket{of_disk}[30s]))");
        wait_until(&promql, Duration::from_secs(20), || prometheus.query(&promql).filter(|value| value.is_finite()))
    };
    let (half, most) = (quantile("0.5"), quantile("0.99"));
    let histogram =
        || host.scrape().histogram("ebhost_bio_latency_seconds", &[("device", disk.name()), ("operation", "read")]);
    let histogram = disk.at_rest(histogram).0.expect("the disk is served");
    // How long a read of 12 ms really takes depends on what else the machine does. The slowest one is in this bucket.
    let (slowest, _) =
        histogram.buckets.iter().find(|(_, at_most)| *at_most == histogram.count).expect("the last has all");
    assert!(half > 0.008192, "half of reads that take 12 ms within {half} s");
    assert!(most >= half && most <= *slowest, "99 % of reads within {most} s, the slowest within {slowest} s");

    let served = histogram.count;
    assert!(served > 100, "{served} reads in 6 s");
    wait_until("the last count to be stored", Duration::from_secs(20), || {
        let stored = prometheus.query(&format!("ebhost_bio_latency_seconds_count{of_disk}"));
        (stored == Some(served as f64)).then_some(())
    });
    // Text 0.0.4 has no units: that Prometheus knows the unit shows that it negotiated OpenMetrics and could parse it.
    let metadata = prometheus.api("targets/metadata?metric=ebhost_bio_latency_seconds");
    assert_eq!((&metadata[0]["type"], &metadata[0]["unit"]), (&"histogram".into(), &"seconds".into()), "{metadata}");
    assert_eq!(prometheus.query("up"), Some(1.0));
    host.stop();
}

/// A host that serves everything: histograms, counters, gauges, perf events, events read and lost, a package that is
/// left out, one that fails, and the host's own metrics.
#[test]
fn promtool_finds_no_problems() {
    needs!(Root, Tool("fio"), Tool("promtool"));
    let (disk, folder) = (Disk::in_memory(), Folder::with_biolatency());
    // Conflicts with the first package, and is left out.
    folder.add("broken");
    for package in ["plugins/llcstat", "bench/packages/maps", "tests/sandbox/misbehaving"] {
        folder.copy(&workspace().join(package));
    }
    fs::copy(committed().join("biolatency/biolatency.bpf.o"), folder.path().join("misbehaving/biolatency.bpf.o"))
        .expect("our own folder");
    let yaml = "name: misbehaving\nversion: \"1\"\ncomponent: misbehaving.wasm\nconfig: { fault: trap-one }\nbpf:\n  object: biolatency.bpf.o\n  \
                programs: []\n  max_entries: { banks: 128 per cpu }\n";
    fs::write(folder.path().join("misbehaving/plugin.yaml"), yaml).expect("our own folder");
    let host = Start::with(folder.path()).args(&["--exposition.created", "--bpf.stats"]).listening();
    Fio::run(&disk.device(), &["--rw=randrw", "--bs=4k", "--number_ios=100"]);
    let map = KernelMap::of(host.pid(), "hash");
    assert!(map.update(&key(1), &7u64.to_le_bytes()));
    host.get("/metrics", &[]);
    let served = host.get("/metrics", &[]);
    for part in [
        format!("device=\"{}\"", disk.name()).as_str(),
        "\nebhost_hash_calls_total{",
        "\nebhost_perf_events{",
        "\nebhost_plugin_up{plugin=\"broken\"} 0\n",
        "\nebhost_plugin_failures_total{plugin=\"misbehaving\",reason=\"trap\"} ",
        "\nebhost_plugin_limit_used_ratio{plugin=\"misbehaving\",limit=\"stack\"} ",
        "\nebhost_program_run_seconds_total{",
    ] {
        assert!(served.text().contains(part), "{part} in:\n{}\nthe log:\n{}", served.text(), host.log().text());
    }
    assert_eq!(promtool(served.text()), (Some(0), String::new()), "{}", served.text());
    host.terminate();
    assert!(host.wait().status.success());
}

#[test]
fn the_example_configuration_of_prometheus_is_valid() {
    needs!(Tool("promtool"));
    let example = workspace().join("examples/prometheus/prometheus.yml");
    output(Command::new("promtool").args(["check", "config"]).arg(example));
}
