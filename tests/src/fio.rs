//! Load by fio, and its own measurements.

use std::{path::Path, process::Command, time::Duration};

use serde_json::Value;

use crate::process::output;

/// The result of one run with one job.
#[derive(Debug)]
pub struct Fio {
    pub reads: Side,
    pub writes: Side,
    pub trims: Side,
}

/// The result for reads or for writes.
#[derive(Debug)]
pub struct Side {
    pub count: u64,
    /// Mean completion latency, from submission to completion.
    pub mean: Duration,
    /// Completion latencies in ns as a histogram: the middle of each of fio's buckets, which are 1.6 % wide, and its
    /// count.
    bins: Vec<(f64, u64)>,
}

impl Fio {
    /// Runs fio on a device or file, with direct I/O unless `args` say otherwise.
    pub fn run(on: &Path, args: &[&str]) -> Self {
        Self::run_by(&mut Command::new("fio"), on, args)
    }

    /// The same, with a command that starts fio, such as `sh -c …`.
    pub fn run_by(command: &mut Command, on: &Path, args: &[&str]) -> Self {
        command.args(["--output-format=json+", "--name=job", "--direct=1", "--thread", "--ioengine=psync"]);
        let printed = output(command.arg(format!("--filename={}", on.display())).args(args));
        // fio prints warnings before the JSON.
        let json = printed.find('{').map_or("", |begin| &printed[begin..]);
        let report: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("fio: {error}: {printed}"));
        let job = &report["jobs"][0];
        assert_eq!(job["error"], 0, "fio failed: {printed}");
        Self { reads: Side::of(&job["read"]), writes: Side::of(&job["write"]), trims: Side::of(&job["trim"]) }
    }
}

impl Side {
    fn of(side: &Value) -> Self {
        let latency = &side["clat_ns"];
        let bins = latency["bins"].as_object().into_iter().flatten();
        Self {
            count: side["total_ios"].as_u64().expect("fio prints a count"),
            mean: Duration::from_nanos(latency["mean"].as_f64().expect("fio prints a mean").round() as u64),
            bins: bins.map(|(ns, count)| (ns.parse().expect("ns"), count.as_u64().expect("a count"))).collect(),
        }
    }

    /// The number of requests that completed within a time, without those in the bucket that contains the time.
    pub fn within(&self, time: Duration) -> u64 {
        let limit = time.as_nanos() as f64 * 0.99;
        self.bins.iter().filter(|(ns, _)| *ns <= limit).map(|(_, count)| count).sum()
    }
}
