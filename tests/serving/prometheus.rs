//! Debian's Prometheus, as it is installed: it scrapes, stores, and answers the question that the histogram is there for.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Disk, Ebhost, Fio, Prometheus, committed, needs, output, wait_until, workspace};

#[test]
fn prometheus_scrapes_and_answers_with_a_quantile() {
    needs!(Root, Fuse, Tool("fio"), Tool("prometheus"));
    let disk = Disk::delayed(Duration::from_millis(12));
    let host = Ebhost::start(&committed());
    let prometheus = Prometheus::scraping(host.address());
    let scraped = || prometheus.query("up").filter(|up| *up == 1.0);
    wait_until("the first scrape", Duration::from_secs(20), scraped);
    // An increase is seen between two scrapes, so there has to be one with a count before the load ends.
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--time_based", "--runtime=6s"]);

    let of_disk = format!("{{device=\"{}\",operation=\"read\"}}", disk.name());
    let quantile = |q: &str| {
        let promql = format!("histogram_quantile({q}, rate(ebhost_bio_latency_seconds_bucket{of_disk}[30s]))");
        wait_until(&promql, Duration::from_secs(20), || prometheus.query(&promql).filter(|value| value.is_finite()))
    };
    let (half, most) = (quantile("0.5"), quantile("0.99"));
    assert!(half > 0.008192 && half <= 0.016384, "half of reads that take 12 ms within {half} s");
    assert!(most >= half && most <= 0.131072, "99 % of reads that take 12 ms within {most} s");

    let count =
        || host.scrape().histogram("ebhost_bio_latency_seconds", &[("device", disk.name()), ("operation", "read")]);
    let served = disk.at_rest(count).0.expect("the disk is served").count;
    assert!(served > 100, "{served} reads in 6 s");
    wait_until("the last count to be stored", Duration::from_secs(20), || {
        let stored = prometheus.query(&format!("ebhost_bio_latency_seconds_count{of_disk}"));
        (stored == Some(served as f64)).then_some(())
    });
    // Text 0.0.4 has no units: that it knows this one shows that it asked for OpenMetrics and could read it.
    let metadata = prometheus.api("targets/metadata?metric=ebhost_bio_latency_seconds");
    assert_eq!((&metadata[0]["type"], &metadata[0]["unit"]), (&"histogram".into(), &"seconds".into()), "{metadata}");
    assert_eq!(prometheus.query("up"), Some(1.0));
    host.stop();
}

#[test]
fn promtool_finds_nothing_to_say() {
    needs!(Root, Tool("fio"), Tool("promtool"));
    let disk = Disk::in_memory();
    let host = Ebhost::start(&committed());
    Fio::run(&disk.device(), &["--rw=randrw", "--bs=4k", "--number_ios=100"]);
    let served = host.get("/metrics", &[]);
    assert!(served.text().contains(&format!("device=\"{}\"", disk.name())), "{}", served.text());

    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checking = promtool.spawn().expect("promtool starts");
    checking.stdin.take().expect("stdin is a pipe").write_all(&served.body).expect("promtool reads");
    let checked = checking.wait_with_output().expect("promtool ends");
    let said = [checked.stdout, checked.stderr].concat();
    assert_eq!((checked.status.code(), String::from_utf8_lossy(&said).as_ref()), (Some(0), ""), "{}", served.text());
    host.stop();
}

#[test]
fn the_example_configuration_is_one() {
    needs!(Tool("promtool"));
    let example = workspace().join("examples/prometheus/prometheus.yml");
    output(Command::new("promtool").args(["check", "config"]).arg(example));
}
