//! Programs that are attached while requests are in flight.

use std::{process::Command, time::Duration};

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, Running, alone, needs, wait_until};

use crate::counted;

/// Requests in flight at each start.
const IN_FLIGHT: u64 = 64;

/// A request that was issued before the host saw issues, or completed before it saw completions, is not lost: it was never the host's.
#[test]
fn a_start_under_load_loses_no_requests() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let disk = Disk::in_memory();
    let mut command = Command::new("fio");
    let args = ["--name=load", "--direct=1", "--rw=randread", "--bs=4k", "--time_based", "--runtime=300"];
    command.args(args).args(["--ioengine=libaio", "--output=/dev/null", "--filename"]).arg(disk.device());
    let fio = Running::start(command.arg(format!("--iodepth={IN_FLIGHT}")));
    wait_until("reads", Duration::from_secs(30), || (disk.stat().reads > 1000).then_some(()));
    let folder = Folder::with_biolatency();
    for start in 0..10 {
        let host = Ebhost::start(folder.path());
        let reads = || counted(&host.scrape()).get(disk.name()).map_or(0, |counted| counted.reads);
        wait_until("reads that are counted", Duration::from_secs(30), || (reads() > 5000).then_some(()));
        let lost = lost(&host.scrape());
        // The kernel may hide a few from the programs; see counts.rs.
        let reasons = lost_by_reason(&host.scrape());
        assert!(lost < IN_FLIGHT / 4, "start {start} with {IN_FLIGHT} requests in flight: {lost} lost, {reasons:?}");
        host.stop();
    }
    drop(fio);
}

fn lost_by_reason(served: &Exposition) -> Vec<(String, f64)> {
    let lost = served.samples().filter(|sample| sample.name == "ebhost_bio_latency_lost_total" && sample.value > 0.0);
    lost.map(|sample| (sample.labels["reason"].clone(), sample.value)).collect()
}

/// Requests that were not counted, whatever the reason.
fn lost(served: &Exposition) -> u64 {
    let lost = served.samples().filter(|sample| sample.name == "ebhost_bio_latency_lost_total");
    lost.map(|sample| sample.value as u64).sum()
}
