//! Faults of ebpf_exporter that ebhost does not reproduce: for each its input, and ebhost's result.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use ebhost_tests::{Ebhost, KernelMap, Plugged, needs, output};

use crate::drop_in::{DropIns, family, put};

fn counter(name: &str, size: usize, decoders: &str) -> String {
    format!("    - {{ name: {name}, help: H., labels: [{{ name: it, size: {size}, decoders: {decoders} }}] }}\n")
}

fn counters(counters: &[String]) -> String {
    format!("metrics:\n  counters:\n{}", counters.concat())
}

pub(crate) fn samples(host: &Ebhost, name: &str) -> Vec<String> {
    let mut lines = family(host, &format!("ebpf_exporter_{name}")).split_off(2);
    lines.sort();
    lines
}

/// The value of one of the host's own samples.
pub(crate) fn own(host: &Ebhost, line: &str) -> String {
    let answer = host.get("/metrics", &[]);
    let found = answer.text().lines().find_map(|found| found.strip_prefix(line)).map(|value| value.trim().to_owned());
    found.unwrap_or_else(|| panic!("no `{line}` in:\n{}", answer.text()))
}

/// In ebpf_exporter the process exits.
#[test]
fn a_comm_that_is_not_utf8_is_shown_and_counted() {
    needs!(Root, Tool("clang-19"));
    let yaml = counters(&[counter("comms_total", 16, "[{ name: string }]")]);
    let folder = DropIns::with("comms", "TABLE(comms_total, HASH, 16, 16);", &yaml);
    let host = folder.listening("comms");
    put(&host, "comms_total", b"bad\xff\xfename\0\0\0\0\0\0\0", 4);
    put(&host, "comms_total", b"good\0\0\0\0\0\0\0\0\0\0\0\0", 5);
    let expected = ["{it=\"bad\u{fffd}\u{fffd}name\"} 4", "{it=\"good\"} 5"];
    assert_eq!(samples(&host, "comms_total"), expected.map(|sample| format!("ebpf_exporter_comms_total{sample}")));
    assert_eq!(own(&host, "ebhost_plugin_labels_replaced_total{plugin=\"comms\"}"), "1");
    host.stop();
}

/// In ebpf_exporter the whole metric is missing from every scrape from then on.
#[test]
fn a_key_that_a_decoder_rejects_affects_only_its_row() {
    needs!(Root, Tool("clang-19"));
    let yaml = counters(&[counter("rows_total", 8, "[{ name: string }, { name: errno }]")]);
    let folder = DropIns::with("rows", "TABLE(rows_total, HASH, 8, 16);", &yaml);
    let host = folder.listening("rows");
    put(&host, "rows_total", b"32\0\0\0\0\0\0", 1);
    put(&host, "rows_total", b"x32\0\0\0\0\0", 2);
    put(&host, "rows_total", b"4\0\0\0\0\0\0\0", 3);
    for _ in 0..2 {
        let expected = ["{it=\"EINTR\"} 3", "{it=\"EPIPE\"} 1"];
        assert_eq!(samples(&host, "rows_total"), expected.map(|sample| format!("ebpf_exporter_rows_total{sample}")));
    }
    assert_eq!(own(&host, "ebpf_exporter_decoder_errors_total{config=\"rows\"}"), "1");
    assert_eq!(own(&host, "ebhost_plugin_entries_dropped_total{plugin=\"rows\",reason=\"unknown\"}"), "1");
    host.stop();
}

/// In ebpf_exporter metrics are missing from some scrapes, and entries are counted twice in others.
#[test]
fn keys_that_change_during_a_read_affect_no_others() {
    needs!(Root, Tool("clang-19"));
    const STABLE: u32 = 1_000;
    let yaml = counters(&[counter("churn_total", 4, "[{ name: uint }]")]);
    let folder = DropIns::with("churn", "TABLE(churn_total, HASH, 4, 4096);", &yaml);
    let host = folder.listening("churn");
    for id in 0..STABLE {
        put(&host, "churn_total", &id.to_le_bytes(), u64::from(id) + 1);
    }
    let (map, ended) = (KernelMap::of(host.pid(), "churn_total"), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            // The thread also ends by itself, so that a failed assertion below is shown.
            for id in (STABLE..STABLE + 500).cycle().take(5_000_000) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                assert!(map.update(&id.to_le_bytes(), &1u64.to_le_bytes()) && map.delete(&id.to_le_bytes()));
            }
        });
        for _ in 0..100 {
            let served = host.scrape();
            let samples = &served.families["ebpf_exporter_churn_total"].samples;
            let stable = samples.iter().filter(|sample| sample.labels["it"].parse::<u32>().is_ok_and(|id| id < STABLE));
            let sum: f64 = stable.clone().map(|sample| sample.value).sum();
            assert_eq!((stable.count(), sum), (1_000, 500_500.0));
        }
        ended.store(true, Ordering::Relaxed);
    });
    host.stop();
}

/// ebpf_exporter does not start; and if a series appears twice it answers every scrape with 500.
#[test]
fn an_invalid_object_or_duplicate_series_affects_only_its_configuration() {
    needs!(Root, Tool("clang-19"));
    let good = |name: &str| counters(&[counter(name, 4, "[{ name: uint }]")]);
    let folder = DropIns::with("one", "TABLE(one_total, HASH, 4, 16);", &good("one_total"))
        .and("same", "TABLE(one_total, HASH, 4, 16);", &good("one_total"))
        .and("other", "TABLE(other_total, HASH, 4, 16);", &good("other_total"));
    folder.write("broken", &good("one_total"));
    fs::write(folder.path().join("broken.bpf.o"), b"\x7fELF, and no more").expect("our own folder");
    let host = folder.start("one,broken,same,other").listening();
    put(&host, "other_total", &[1, 0, 0, 0], 9);
    assert_eq!(samples(&host, "other_total"), ["ebpf_exporter_other_total{it=\"1\"} 9"]);
    let text = host.stop().text();
    assert!(text.contains("broken.bpf.o: "), "{text}");
    let expected =
        "same.yaml: its family `one_total` prints `ebpf_exporter_one`, a name that package `one` has already";
    assert!(text.contains(expected), "{text}");
}

/// ebpf_exporter counts them in the last bucket, so that `+Inf` never exceeds it. A linear histogram that overflows
/// writes into its own sum, which only the program can avoid.
#[test]
fn observations_above_the_last_bound_are_distinguished() {
    needs!(Root, Tool("clang-19"));
    let yaml = "
metrics:
  histograms:
    - name: over_seconds
      help: H.
      bucket_type: linear
      bucket_min: 1
      bucket_max: 2
      labels: [{ name: bucket, size: 4, decoders: [{ name: uint }] }]
";
    let folder = DropIns::with("over", "TABLE(over_seconds, HASH, 4, 16);", yaml);
    let host = folder.listening("over");
    for (bucket, count) in [(1u32, 1), (2, 2), (3, 55), (4, 10), (9, 100)] {
        put(&host, "over_seconds", &bucket.to_le_bytes(), count);
    }
    let expected = ["_bucket{le=\"+Inf\"} 113", "_bucket{le=\"1\"} 1", "_bucket{le=\"2\"} 3", "_count 113", "_sum 55"];
    assert_eq!(samples(&host, "over_seconds"), expected.map(|sample| format!("ebpf_exporter_over_seconds{sample}")));
    host.stop();
}

/// A cgroup for this test, on machines with a unified hierarchy.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let mount =
            mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?.to_owned();
        let folder = PathBuf::from(mount).join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        Some(Self(folder))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A network interface. Removed on drop.
struct Interface(String);

impl Drop for Interface {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).status();
    }
}

/// In ebpf_exporter labels never change.
#[test]
fn labels_follow_the_machine() {
    needs!(Root, Tool("clang-19"), Tool("ip"));
    let yaml = counters(&[
        counter("cgroups_total", 8, "[{ name: uint }, { name: cgroup }]"),
        counter("links_total", 4, "[{ name: ifname }]"),
    ]);
    let folder = DropIns::with("names", "TABLE(cgroups_total, HASH, 8, 16); TABLE(links_total, HASH, 4, 16);", &yaml);
    let host = folder.listening("names");
    if let Some(cgroup) = Cgroup::new("ebhost-compat") {
        let id = fs::metadata(&cgroup.0).expect("just made").ino();
        put(&host, "cgroups_total", &id.to_le_bytes(), 1);
        let path = cgroup.0.display().to_string();
        let line = |value: u64| format!("ebpf_exporter_cgroups_total{{it=\"{path}\"}} {value}");
        assert_eq!(samples(&host, "cgroups_total"), [line(1)]);
        drop(cgroup);
        put(&host, "cgroups_total", &id.to_le_bytes(), 3);
        // Names outlive what they name, until the number means something else.
        assert_eq!(samples(&host, "cgroups_total"), [line(3)]);
    }
    let number = std::process::id() % 100_000;
    let mut link = Interface(format!("eba{number}"));
    output(Command::new("ip").args(["link", "add", &link.0, "type", "bridge"]));
    let index = fs::read_to_string(format!("/sys/class/net/{}/ifindex", link.0)).expect("just made");
    let index: u32 = index.trim().parse().expect("a number");
    put(&host, "links_total", &index.to_le_bytes(), 1);
    assert_eq!(samples(&host, "links_total"), [format!("ebpf_exporter_links_total{{it=\"{}\"}} 1", link.0)]);
    let renamed = format!("ebb{number}");
    output(Command::new("ip").args(["link", "set", &link.0, "name", &renamed]));
    link.0 = renamed;
    put(&host, "links_total", &index.to_le_bytes(), 4);
    let found = samples(&host, "links_total");
    assert!(found.iter().any(|line| line.contains(&format!("it=\"{}\"", link.0))), "{found:?}");
    assert!(!found.iter().any(|line| line.contains("it=\"eba")), "{found:?}");
    host.stop();
}

/// Until its series end, as in ebpf_exporter.
#[test]
fn an_unplugged_disk_keeps_its_name() {
    needs!(Root, Tool("clang-19"), File("/dev/loop-control"));
    let yaml = counters(&[counter("disks_total", 4, "[{ name: majorminor }]")]);
    let folder = DropIns::with("disks", "TABLE(disks_total, HASH, 4, 16);", &yaml);
    let host = folder.listening("disks");
    let disk = Plugged::plug_in();
    let ((major, minor), name) = (disk.number(), disk.name());
    let key = (minor & 0xff | major << 8 | (minor & !0xff) << 12).to_le_bytes();
    put(&host, "disks_total", &key, 2);
    let one = |name: &str, value: u64| [format!("ebpf_exporter_disks_total{{it=\"{name}\"}} {value}")];
    assert_eq!(samples(&host, "disks_total"), one(&name, 2));
    drop(disk);
    assert_eq!(samples(&host, "disks_total"), one(&name, 2));
    put(&host, "disks_total", &key, 5);
    assert_eq!(samples(&host, "disks_total"), one(&name, 5));
    host.stop();
}

/// In ebpf_exporter a full map loses new entries silently.
#[test]
fn a_full_map_is_visible_in_metrics() {
    needs!(Root, Tool("clang-19"));
    let yaml = counters(&[counter("full_total", 4, "[{ name: uint }]")]);
    let folder = DropIns::with("full", "TABLE(full_total, HASH, 4, 8);", &yaml);
    let host = folder.listening("full");
    (0..8u32).for_each(|id| put(&host, "full_total", &id.to_le_bytes(), 1));
    assert_eq!(samples(&host, "full_total").len(), 8);
    let map = "{plugin=\"full\",map=\"full_total\"}";
    assert_eq!(own(&host, &format!("ebhost_map_entries{map}")), own(&host, &format!("ebhost_map_max_entries{map}")));
    assert_eq!(own(&host, &format!("ebhost_map_read_errors_total{map}")), "0");
    host.stop();
}
