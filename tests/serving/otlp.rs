//! OTLP: a receiver stores what a scraper stores, and one that is slow, wrong or away disturbs nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, thread,
    time::{Duration, Instant},
};

use ebhost_tests::{
    Answer, Disk, Ebhost, Fio, Folder, KernelMap, Prometheus, Receiver, SCRAPED, Start, needs, reads_counted,
    wait_until, workspace,
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Name and labels of a series, without those that tell a push from a scrape. Bounds are compared as numbers.
type Key = (String, BTreeMap<String, String>);

fn key(metric: &Value) -> Key {
    let mut labels: BTreeMap<String, String> = metric.as_object().expect("labels").iter().map(text).collect();
    let name = labels.remove("__name__").expect("a name");
    let of_resource = ["container_", "host_", "os_", "scope_", "service_"];
    labels.retain(|label, _| {
        label != "job" && label != "instance" && !of_resource.iter().any(|prefix| label.starts_with(prefix))
    });
    if let Some(bound) = labels.get_mut("le") {
        *bound = bound.parse::<f64>().expect("a bound").to_string();
    }
    (name, labels)
}

fn text((label, value): (&String, &Value)) -> (String, String) {
    (label.clone(), value.as_str().expect("a text").to_owned())
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).expect("a number")
}

/// Every series that a server has of a pattern of names, with its number or native histogram.
fn stored(server: &Prometheus, names: &str) -> BTreeMap<Key, Value> {
    let answer = server.api(&format!("query?query=%7B__name__%3D~%22{names}%22%7D"));
    let series = answer["result"].as_array().expect("a vector").iter();
    series
        .map(|series| {
            let value = if series["histogram"].is_null() { &series["value"] } else { &series["histogram"] };
            (key(&series["metric"]), value[1].clone())
        })
        .collect()
}

/// The same of a disk, as numbers.
fn numbers_of(server: &Prometheus, names: &str, disk: &Disk) -> BTreeMap<Key, f64> {
    let all = stored(server, names).into_iter();
    all.filter(|((_, labels), _)| labels["device"] == disk.name()).map(|(key, value)| (key, number(&value))).collect()
}

/// A server that receives what the host pushes every second, and one that scrapes it.
struct Both {
    host: Ebhost,
    receiver: Prometheus,
    scraper: Prometheus,
}

impl Both {
    fn start(folder: &Folder) -> Self {
        let receiver = Prometheus::victoria_metrics();
        let endpoint = format!("http://{}/opentelemetry/v1/metrics", receiver.address());
        let args = ["--otlp.endpoint", &endpoint, "--otlp.interval", "1s"];
        let host = Start::with(folder.path()).args(&args).listening();
        let scraper = Prometheus::with(host.address(), &["--enable-feature=native-histograms"]);
        Self { host, receiver, scraper }
    }

    /// Reads the disk, and waits until both servers have all of its reads; a query each.
    fn read(&self, disk: &Disk, [received, scraped]: [&str; 2]) {
        let before = disk.stat();
        Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=300"]);
        let reads = reads_counted(&self.host, disk, before);
        for (server, query) in [(&self.receiver, received), (&self.scraper, scraped)] {
            wait_until("all reads are stored", PATIENCE, || (server.query(query) == Some(reads)).then_some(()));
        }
    }
}

#[test]
fn a_receiver_stores_the_series_that_a_scraper_stores() {
    needs!(Root, Tool("fio"), Tool("prometheus"), Tool("apt-get"), Tool("dpkg-deb"));
    let (disk, folder) = (Disk::in_memory(), Folder::with_biolatency());
    let both = Both::start(&folder);
    let count = format!("ebhost_bio_latency_seconds_count{{device=\"{}\",operation=\"read\"}}", disk.name());
    both.read(&disk, [&count, &count]);
    let of_disk = |server| numbers_of(server, "ebhost_bio_latency_seconds.*", &disk);
    assert_eq!(of_disk(&both.receiver), of_disk(&both.scraper));
    // The host's own numbers change; their names and labels do not. A family that comes later needs a moment.
    // The mean of a program's runs is there while it ran in the last window: a scraper sees that it ends, a receiver is not told.
    let is_lasting = |(name, _): &Key| name != "ebhost_program_run_duration_seconds";
    let names = |server| stored(server, "ebhost_.*").into_keys().filter(is_lasting).collect::<BTreeSet<_>>();
    let mut differences = Vec::new();
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let (received, scraped) = (names(&both.receiver), names(&both.scraper));
        differences = received.symmetric_difference(&scraped).cloned().collect();
        if differences.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(500));
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(names(&both.receiver).len() > 100);
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host has a name");
    let resource = format!("count(ebhost_ready{{service_name=\"ebhost\",host_name=\"{}\"}})", hostname.trim());
    assert_eq!(both.receiver.query(&resource), Some(1.0), "{resource}");
    let served = both.host.scrape();
    assert!(served.value("ebhost_otlp_requests_total", &[("result", "taken")]) > Some(0.0));
    assert_eq!(served.value("ebhost_otlp_rejected_points_total", &[]), Some(0.0));
    both.host.stop();
}

/// An hour of counts was lost when a host was stopped a minute before its next push.
#[test]
fn what_was_counted_since_the_last_push_is_pushed_when_the_host_ends() {
    needs!(Root, Tool("fio"), Tool("apt-get"), Tool("dpkg-deb"));
    let (disk, folder) = (Disk::in_memory(), Folder::with_biolatency());
    let receiver = Prometheus::victoria_metrics();
    let endpoint = format!("http://{}/opentelemetry/v1/metrics", receiver.address());
    let host = Start::with(folder.path()).args(&["--otlp.endpoint", &endpoint, "--otlp.interval", "1h"]).listening();
    wait_until("the first push", PATIENCE, || {
        let taken = host.scrape().value("ebhost_otlp_requests_total", &[("result", "taken")]);
        (taken > Some(0.0)).then_some(())
    });
    let before = disk.stat();
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=300"]);
    let reads = reads_counted(&host, &disk, before);
    host.stop();
    let count = format!("ebhost_bio_latency_seconds_count{{device=\"{}\",operation=\"read\"}}", disk.name());
    wait_until("all reads are stored", PATIENCE, || (receiver.query(&count) == Some(reads)).then_some(()));
}

#[test]
fn a_receiver_stores_every_native_bucket_as_a_scraper_does() {
    needs!(Root, Tool("fio"), Tool("prometheus"), Tool("apt-get"), Tool("dpkg-deb"));
    let (disk, folder) = (Disk::in_memory(), Folder::with_biolatency());
    folder.set("plugins: { biolatency: { native: true } }");
    let both = Both::start(&folder);
    let reads = format!("{{device=\"{}\",operation=\"read\"}}", disk.name());
    let received = format!("ebhost_bio_latency_seconds_count{reads}");
    let scraped = format!("histogram_count(ebhost_bio_latency_seconds{reads})");
    both.read(&disk, [&received, &scraped]);
    // Lower bound, upper bound and count of each bucket in use.
    let scraped = stored(&both.scraper, "ebhost_bio_latency_seconds");
    let scraped = scraped.iter().find(|((_, labels), _)| labels["device"] == disk.name()).expect("it is scraped").1;
    let buckets = scraped["buckets"].as_array().expect("a native histogram").iter();
    let scraped: Vec<_> = buckets.map(|bucket| [&bucket[1], &bucket[2], &bucket[3]].map(number)).collect();
    let range = |key: &Key| -> [f64; 2] {
        let (lower, upper) = key.1["vmrange"].split_once("...").expect("two bounds");
        [lower, upper].map(|bound| bound.parse().expect("a number"))
    };
    let received = numbers_of(&both.receiver, "ebhost_bio_latency_seconds_bucket", &disk);
    let mut received: Vec<_> = received
        .iter()
        .map(|(key, count)| {
            let [lower, upper] = range(key);
            [lower, upper, *count]
        })
        .collect();
    received.sort_by(|one, other| one[0].total_cmp(&other[0]));
    // Its bounds have four digits.
    let is_same = |(one, other): (&[f64; 3], &[f64; 3])| {
        one[2] == other[2] && (0..2).all(|bound| (one[bound] / other[bound] - 1.0).abs() < 1e-3)
    };
    assert!(
        received.len() == scraped.len() && received.iter().zip(&scraped).all(is_same),
        "received {received:?}, scraped {scraped:?}"
    );
    both.host.stop();
}

/// A receiver that was overloaded, misconfigured or gone took the scrapes of everybody else with it in other exporters.
#[test]
fn a_receiver_that_is_busy_wrong_silent_or_away_disturbs_no_scrape() {
    needs!(Root);
    let receiver = Receiver::start(Answer::Taken);
    let folder = Folder::with_biolatency();
    let endpoint = receiver.url();
    let start = Start::with(folder.path()).args(&["--otlp.endpoint", &endpoint, "--otlp.interval", "1s"]);
    let host = start.env("OTEL_EXPORTER_OTLP_TIMEOUT", "500").listening();
    let requests = |result: &str| {
        let began = Instant::now();
        let served = host.scrape();
        assert!(began.elapsed() < SCRAPED, "a scrape waits for the receiver");
        served.value("ebhost_otlp_requests_total", &[("result", result)]).expect("it is there once there is a receiver")
    };
    let grows = |result: &str| {
        let before = requests(result);
        wait_until(result, PATIENCE, || (requests(result) > before).then_some(()));
    };
    grows("taken");
    for (answer, says) in [
        (Answer::Busy, "the receiver is busy: it answered 503"),
        (Answer::Wrong, "the receiver refused it: it answered 400, `no\\nthanks`"),
        (Answer::Silence, "no answer: "),
    ] {
        receiver.answers(answer);
        receiver.wait_for(2);
        grows("failed");
        grows("dropped");
        assert!(host.log().text().contains(says), "{says} in {}", host.log().text());
        receiver.answers(Answer::Taken);
        grows("taken");
    }
    let warnings = host.log().lines().iter().filter(|line| line.text.contains("metrics are not pushed")).count();
    assert_eq!(warnings, 3, "each failure is said once: {}", host.log().text());
    host.stop();
}

/// A host whose receiver is gone has to go on as if nothing were, for however long. `EBHOST_OTLP_GONE_SECONDS=600` for ten minutes.
#[test]
fn a_receiver_that_was_gone_has_the_right_counts_afterwards() {
    needs!(Root, Tool("apt-get"), Tool("dpkg-deb"));
    let seconds = env::var("EBHOST_OTLP_GONE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let folder = Folder::with_biolatency();
    folder.copy(&workspace().join("bench/packages/maps"));
    let address = Prometheus::free_address();
    let endpoint = format!("http://{address}/opentelemetry/v1/metrics");
    let args = ["--otlp.endpoint", &endpoint, "--otlp.interval", "1s"];
    let host = Start::with(folder.path()).args(&args).listening();
    let map = KernelMap::of(host.pid(), "hash");
    let (mut count, began) = (0u64, Instant::now());
    let mut resident = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        count += 7;
        assert!(map.update(&ebhost_tests::key(1), &count.to_le_bytes()));
        let scrape = Instant::now();
        let served = host.scrape();
        assert!(scrape.elapsed() < SCRAPED, "a scrape waits for the receiver");
        resident.push(served.value("process_resident_memory_bytes", &[]).expect("every process has some"));
        thread::sleep(Duration::from_millis(250));
    }
    let [early, late] = [resident[resident.len() / 4], resident[resident.len() - 1]];
    assert!(late - early < 16e6, "memory grew from {early} to {late} bytes");
    assert!(host.scrape().value("ebhost_otlp_requests_total", &[("result", "failed")]) > Some(0.0));
    let receiver = Prometheus::victoria_metrics_at(address);
    wait_until("the count", PATIENCE, || {
        let stored = stored(&receiver, "ebhost_hash_calls_total");
        stored.values().any(|value| number(value) == count as f64).then_some(())
    });
    host.stop();
}

#[test]
fn a_receiver_that_cannot_be_used_ends_the_start() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    let ended = |arg: &str, variable: (&str, &str)| {
        let start = Start::with(folder.path()).args(&["--otlp.endpoint", arg]).env(variable.0, variable.1);
        let ended = start.ended();
        assert!(!ended.status.success());
        ended.log.text()
    };
    let nothing = ("OTEL_SERVICE_NAME", "");
    let said = ended("localhost:4318", nothing);
    assert!(said.contains("--otlp.endpoint: found `localhost:4318`, expected http://HOST:PORT"), "{said}");
    let said = ended("http://localhost:4317", ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"));
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL: found `grpc`, expected `http/protobuf`"), "{said}");
    let said = ended("https://localhost", ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/ca.pem"));
    assert!(said.contains("/no/such/ca.pem: cannot be read: No such file"), "{said}");
}
