//! Native histograms: Prometheus stores exactly what the kernel counted.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use ebhost_tests::{
    Disk, Ebhost, Fio, Folder, KernelMap, Prometheus, get, needs, promtool, reads_counted, requests_counted, wait_until,
};
use serde_json::Value;

const FAMILY: &str = "ebhost_bio_latency_seconds";

/// biolatency, configured for native buckets.
fn native() -> Folder {
    let folder = Folder::with_biolatency();
    folder.set("plugins: { biolatency: { native: true } }");
    folder
}

fn labels(disk: &Disk) -> [(&str, &str); 2] {
    [("device", disk.name()), ("operation", "read")]
}

/// Count, sum, and the buckets (lower bound, upper bound, count) of a native histogram.
type Native = (f64, f64, Vec<(f64, f64, f64)>);

fn stored(prometheus: &Prometheus, disk: &Disk) -> Option<Native> {
    let query = format!("{FAMILY}%7Bdevice%3D%22{}%22%2Coperation%3D%22read%22%7D", disk.name());
    let answer = prometheus.api(&format!("query?query={query}"));
    let histogram = &answer["result"][0]["histogram"][1];
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    let bucket = |bucket: &Value| Some((number(&bucket[1])?, number(&bucket[2])?, number(&bucket[3])?));
    let buckets = histogram["buckets"].as_array()?.iter().map(bucket).collect::<Option<_>>()?;
    Some((number(&histogram["count"])?, number(&histogram["sum"])?, buckets))
}

#[test]
fn prometheus_stores_every_native_bucket_as_it_was_counted() {
    needs!(Root, Fuse, Tool("fio"), Tool("prometheus"));
    let disk = Disk::delayed(Duration::from_micros(3_050));
    let (folder, before) = (native(), disk.stat());
    let host = Ebhost::start(folder.path());
    let prometheus = Prometheus::with(host.address(), &["--enable-feature=native-histograms"]);
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=300"]);
    let reads = reads_counted(&host, &disk, before);
    let (count, sum, buckets) = wait_until("all reads in Prometheus", Duration::from_secs(30), || {
        stored(&prometheus, &disk).filter(|(count, ..)| *count == reads)
    });

    let (served, _) = disk.at_rest(|| host.scrape());
    let classic = served.histogram(FAMILY, &labels(&disk)).expect("the same family as text");
    assert_eq!((count, sum), (classic.count as f64, classic.sum), "{buckets:?}");
    assert_eq!(buckets.iter().map(|(.., count)| count).sum::<f64>(), count);
    for (lower, upper, count) in &buckets {
        let index = (upper.log2() * 8.0).round();
        // Prometheus computes its bounds with a table and a shift; the last digit may differ.
        let is = |found: f64, index: f64| (found / (index / 8.0).exp2() - 1.0).abs() < 1e-14;
        assert!(is(*lower, index - 1.0) && is(*upper, index), "schema 3: {count} in ({lower}, {upper}]");
        assert!(*upper > 0.00305, "{count} reads of 3.05 ms within {upper} s");
    }
    // The native and the classic buckets agree at every classic bound.
    for (bound, at_most) in &classic.buckets {
        let native: f64 = buckets.iter().filter(|(_, upper, _)| upper <= bound).map(|(.., count)| count).sum();
        assert_eq!(native, *at_most as f64, "{bound}");
    }
    // How long a read of 3.05 ms really takes depends on what else the machine does; the median is in the bucket that has it.
    let quantile = format!("histogram_quantile(0.5, {FAMILY}{{device=\"{}\",operation=\"read\"}})", disk.name());
    let median = prometheus.query(&quantile).expect("a quantile");
    let mut at_most = 0.0;
    let half = buckets.iter().find(|(.., bucket)| {
        at_most += bucket;
        at_most >= count / 2.0
    });
    let (lower, upper, _) = half.expect("half of the reads");
    assert!(median > *lower && median <= *upper, "half of reads within {median} s; {buckets:?}");
    host.stop();
}

/// Requests of more than 1 024 s are in the bucket that ends at +Inf, in Prometheus too. No real request takes as long,
/// so the test writes the counts into the bank of a device that does not exist, as the programs would.
#[test]
fn observations_above_the_last_bound_are_in_the_infinite_bucket() {
    needs!(Root, Tool("fio"), Tool("prometheus"), Tool("promtool"));
    // Offsets in a bank of the table `natives` of bpf/banks.h.
    const NAME: usize = 24;
    const SUM: usize = 56;
    const FIRST_SLOT: usize = 64;
    const SLOTS: usize = 242;
    let disk = Disk::in_memory();
    let folder = native();
    let host = Ebhost::start(folder.path());
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=20"]);
    let map = KernelMap::of(host.pid(), "natives");
    let mut bank = vec![0; FIRST_SLOT + SLOTS * 8];
    let mut name = disk.name().as_bytes().to_vec();
    name.resize(32, 0);
    let index = (0..map.max_entries()).find(|index| {
        assert!(map.lookup(&index.to_le_bytes(), &mut bank), "an array has all its entries");
        bank[NAME..NAME + 32] == name
    });
    let index = index.expect("the reads are in a bank");
    let read = |bank: &[u8], at: usize| u64::from_le_bytes(bank[at..at + 8].try_into().expect("8 bytes"));
    let before: u64 = (0..SLOTS).map(|slot| read(&bank, FIRST_SLOT + slot * 8)).sum();
    // 5 requests of 2 000 s, and 3 of slightly less than 1 024 s, which is the last bucket with a finite bound.
    for (slot, count, ns) in [(SLOTS - 1, 5u64, 2_000_000_000_000u64), (SLOTS - 2, 3, 1_023_000_000_000)] {
        let at = FIRST_SLOT + slot * 8;
        let (counted, sum) = (read(&bank, at) + count, read(&bank, SUM) + count * ns);
        bank[at..at + 8].copy_from_slice(&counted.to_le_bytes());
        bank[SUM..SUM + 8].copy_from_slice(&sum.to_le_bytes());
    }
    assert!(map.update(&index.to_le_bytes(), &bank));
    let prometheus = Prometheus::with(host.address(), &["--enable-feature=native-histograms"]);
    let (count, sum, buckets) = wait_until("the counts in Prometheus", Duration::from_secs(30), || {
        stored(&prometheus, &disk).filter(|(count, ..)| *count >= (before + 8) as f64)
    });
    assert!(sum > 13_000.0, "{sum}");
    let last = buckets.last().expect("buckets");
    assert_eq!((last.1, last.2), (f64::INFINITY, 5.0), "{buckets:?}");
    let last_with_end = buckets[buckets.len() - 2];
    assert!(last_with_end.2 == 3.0 && (last_with_end.1 / 1024.0 - 1.0).abs() < 1e-14, "{buckets:?}");
    assert_eq!(buckets.iter().map(|(.., count)| count).sum::<f64>(), count, "{buckets:?}");
    // In the text formats they are between the last bound and +Inf.
    let (served, _) = disk.at_rest(|| host.scrape());
    let classic = served.histogram(FAMILY, &labels(&disk)).expect("a histogram");
    let finite: Vec<_> = classic.buckets.iter().filter(|(bound, _)| bound.is_finite()).collect();
    assert_eq!(finite.last().map(|(bound, _)| *bound), Some(128.0));
    assert_eq!(classic.count - finite.last().expect("bounds").1, 8, "{classic:?}");
    let text = host.get("/metrics", &[]);
    assert_eq!(promtool(text.text()), (Some(0), String::new()), "in native mode: {}", text.text());
    host.stop();
}

#[test]
fn without_the_flag_prometheus_gets_the_classic_buckets() {
    needs!(Root, Tool("fio"), Tool("prometheus"));
    let disk = Disk::in_memory();
    let (folder, before) = (native(), disk.stat());
    let host = Ebhost::start(folder.path());
    let prometheus = Prometheus::scraping(host.address());
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=200"]);
    let reads = reads_counted(&host, &disk, before);
    let of_disk = format!("{{device=\"{}\",operation=\"read\"}}", disk.name());
    wait_until("all reads in Prometheus", Duration::from_secs(30), || {
        prometheus.query(&format!("{FAMILY}_count{of_disk}")).filter(|count| *count == reads)
    });
    let (served, _) = disk.at_rest(|| host.scrape());
    let classic = served.histogram(FAMILY, &labels(&disk)).expect("a histogram");
    assert_eq!(classic.buckets.first().map(|(bound, _)| *bound), Some((-20f64).exp2()));
    let bound = classic.buckets.iter().find(|(bound, _)| *bound == 0.0078125).expect("2^-7 s");
    let stored = format!("{FAMILY}_bucket{{device=\"{}\",operation=\"read\",le=\"0.0078125\"}}", disk.name());
    assert_eq!(prometheus.query(&stored), Some(bound.1 as f64));
    host.stop();
}

/// A proxy that passes on scrapes as those of a client that accepts only text 0.0.4. It ends with the test process.
fn as_text(target: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut line = String::new();
            let mut request = BufReader::new(client.try_clone().expect("a socket can be shared"));
            while line != "\r\n" {
                line.clear();
                request.read_line(&mut line).expect("Prometheus sends a request");
            }
            let Ok(answer) = get(target, "/metrics", &[("Accept", "text/plain;version=0.0.4")]) else { return };
            let (kind, body) = (answer.header("content-type"), answer.text());
            let size = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n{body}"
            );
            let _ = client.write_all(answer.as_bytes());
        }
    });
    address
}

/// The same Prometheus scrapes text 0.0.4 and OpenMetrics, and stores the same series with the same values.
#[test]
fn prometheus_stores_the_same_from_both_text_formats() {
    needs!(Root, Tool("fio"), Tool("prometheus"));
    let (disk, host) = (Disk::in_memory(), Ebhost::start(&ebhost_tests::committed()));
    let before = disk.stat();
    Fio::run(&disk.device(), &["--rw=randrw", "--bs=4k", "--number_ios=200"]);
    let [reads, writes] = requests_counted(&host, &disk, before);
    let of_disk = format!("device%3D%22{}%22", disk.name());
    // By labels without those of the target, with the stored value.
    let stored = |prometheus: &Prometheus| -> BTreeMap<String, String> {
        let answer = prometheus.api(&format!("query?query=%7B{of_disk}%7D"));
        let series = answer["result"].as_array().expect("a vector").iter().map(|series| {
            let mut labels = series["metric"].clone();
            labels.as_object_mut().expect("labels").remove("instance");
            (labels.to_string(), series["value"][1].to_string())
        });
        series.collect()
    };
    let read = format!("{FAMILY}_count{{device=\"{}\",operation=\"read\"}}", disk.name());
    let write = read.replace("read", "write");
    let at_rest = |target| {
        let prometheus = Prometheus::scraping(target);
        wait_until("all of it in Prometheus", Duration::from_secs(30), || {
            let is_all = |query: &str, count| prometheus.query(query) == Some(count);
            (is_all(&read, reads) && is_all(&write, writes)).then(|| stored(&prometheus))
        })
    };
    let (text, openmetrics) = (at_rest(as_text(host.address())), at_rest(host.address()));
    assert!(text.len() >= 62, "{} series: 29 buckets, sum and count of reads and writes", text.len());
    assert_eq!(text, openmetrics);
    host.stop();
}
