//! Start times: the first increments of a new series count in `rate()` and `increase()`.

use std::time::Duration;

use ebhost_tests::{
    Disk, Fio, Folder, KernelMap, Prometheus, Start, fewest_counted, key, needs, wait_until, workspace,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The increase of a series over all of its samples, as of the last one: nothing is extrapolated then.
fn increase(server: &Prometheus, series: &str) -> Option<f64> {
    let last = server.query(&format!("max_over_time(timestamp({series})[1h:1s])"))?;
    let promql = format!("increase({series}[1h])");
    let answer = server.api(&format!("query?time={last}&query={}", ebhost_tests::encode(&promql)));
    answer["result"][0]["value"][1].as_str()?.parse().ok()
}

/// A device that began with a burst of errors had none by `increase()`, because the first sample of a series was its baseline.
#[test]
fn the_first_increments_of_a_new_series_are_not_lost_to_increase() {
    needs!(Root, Tool("fio"), Tool("apt-get"), Tool("dpkg-deb"));
    let (disk, folder) = (Disk::in_memory(), Folder::with_biolatency());
    folder.copy(&workspace().join("bench/packages/maps"));
    let host = Start::with(folder.path()).listening();
    let knows_starts = Prometheus::newer(host.address(), &["--enable-feature=created-timestamp-zero-ingestion"]);
    let knows_none = Prometheus::newer(host.address(), &[]);
    let servers = [&knows_starts, &knows_none];
    for server in servers {
        wait_until("two scrapes", PATIENCE, || (server.query("count_over_time(up[1h])")? >= 2.0).then_some(()));
    }
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=300"]);
    assert!(KernelMap::of(host.pid(), "hash").update(&key(1), &7u64.to_le_bytes()));

    let calls = "ebhost_hash_calls_total".to_owned();
    let reads = format!("ebhost_bio_latency_seconds_count{{device=\"{}\",operation=\"read\"}}", disk.name());
    let bucket =
        format!("ebhost_bio_latency_seconds_bucket{{device=\"{}\",operation=\"read\",le=\"+Inf\"}}", disk.name());
    let of_disk = [("device", disk.name()), ("operation", "read")];
    let served = disk.at_rest(|| host.scrape().histogram("ebhost_bio_latency_seconds", &of_disk)).0;
    let count = served.expect("the disk is served").count as f64;
    assert!(count >= fewest_counted(300.0), "{count} reads");
    for (series, value) in [(&calls, 7.0), (&reads, count), (&bucket, count)] {
        for server in servers {
            let samples = format!("count_over_time({series}[1h])");
            wait_until(series, PATIENCE, || {
                (server.query(series)? == value && server.query(&samples)? >= 4.0).then_some(())
            });
        }
        assert_eq!(increase(&knows_starts, series), Some(value), "{series}: all of it is increase");
        let known = increase(&knows_none, series);
        assert!(
            known < Some(value),
            "{series}: a server that ignores start times does not know the first value: {known:?}"
        );
    }
    host.stop();
}
