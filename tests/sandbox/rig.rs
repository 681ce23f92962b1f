//! Fixtures of this suite: folders with the misbehaving component, a host on them, and helpers that read its metrics.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{
    Disk, Ebhost, Exposition, Fio, Folder, Format, SCRAPED, Start, assert_reported_as_lost, committed, fewest_counted,
    reported_as_lost, wait_until, workspace,
};

/// How long the host may take until a change has its effect. Long, because the machine may be under load.
pub(crate) const EFFECT_TIMEOUT: Duration = Duration::from_secs(600);

/// A folder with the package `misbehaving`, and possibly others.
pub(crate) struct Misbehaving {
    pub(crate) folder: Folder,
}

impl Misbehaving {
    /// A folder with this package alone.
    pub(crate) fn alone(config: &str) -> Self {
        let misbehaving = Self { folder: Folder::new() };
        misbehaving.add("misbehaving", config);
        misbehaving
    }

    /// A folder with this package and biolatency.
    pub(crate) fn beside_biolatency(config: &str) -> Self {
        let misbehaving = Self { folder: Folder::with_biolatency() };
        misbehaving.add("misbehaving", config);
        misbehaving
    }

    /// Adds another package with the same component; returns its folder.
    pub(crate) fn add(&self, name: &str, config: &str) -> PathBuf {
        let package = self.folder.path().join(name);
        fs::create_dir(&package).expect("a new folder in our own");
        copy(&workspace().join("tests/sandbox/misbehaving/misbehaving.wasm"), &package.join("misbehaving.wasm"));
        copy(&committed().join("biolatency/biolatency.bpf.o"), &package.join("biolatency.bpf.o"));
        write_config(&package, config, "");
        package
    }

    /// The folder of the package.
    pub(crate) fn package(&self) -> PathBuf {
        self.folder.path().join("misbehaving")
    }

    /// Writes another config and limits, and signals the host to reload at once.
    pub(crate) fn configure(&self, host: &Ebhost, config: &str, limits: &str) {
        write_config(&self.package(), config, limits);
        host.hang_up();
    }
}

/// Writes a `plugin.yaml` as editors do: to a new file that is renamed over the old one.
pub(crate) fn write_config(package: &Path, config: &str, limits: &str) {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let yaml = format!(
        "name: {name}\nversion: \"1.2\"\ncomponent: misbehaving.wasm\nbpf:\n  object: biolatency.bpf.o\n  \
         programs: [block_rq_issue, block_rq_complete, block_rq_requeue]\n  \
         globals: {{ targ_queued: false, targ_per_flag: false }}\n  \
         max_entries: {{ banks: 128 per cpu }}\nconfig: {{ {config} }}\nlimits: {{ {limits} }}\n"
    );
    replace(&package.join("plugin.yaml"), yaml.as_bytes());
}

/// Replaces a file atomically.
pub(crate) fn replace(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, file)).expect("our own file");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// Starts a host on a folder, with the compilation cache that the tests share.
pub(crate) fn start(folder: &Folder, args: &[&str]) -> Ebhost {
    Start::with(folder.path()).args(args).listening()
}

/// Scrapes once, as a client that waits for five seconds; it must be answered by then, or soon after on a machine that gives nobody a CPU.
#[track_caller]
pub(crate) fn scrape(host: &Ebhost) -> Exposition {
    let started = Instant::now();
    let answer = host.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "5")]);
    let took = started.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(took < SCRAPED, "the scrape took {took:?}; the log:\n{}", host.log().text());
    Exposition::parse(answer.text(), Format::Text).unwrap_or_else(|why| panic!("{why}; served:\n{}", answer.text()))
}

/// The value of one of the host's metrics for the misbehaving plugin.
pub(crate) fn plugin_value(served: &Exposition, name: &str) -> Option<f64> {
    served.value(name, &[("plugin", "misbehaving")])
}

/// The same for a metric with another label; 0 if there is no such series.
pub(crate) fn labelled_value(served: &Exposition, name: &str, label: &str, value: &str) -> f64 {
    served.value(name, &[("plugin", "misbehaving"), (label, value)]).unwrap_or(0.0)
}

/// The state of the misbehaving plugin.
pub(crate) fn state(served: &Exposition) -> String {
    let states = ["admitted", "running", "backing_off", "quarantined"];
    let now = |state: &&&str| labelled_value(served, "ebhost_plugin_state", "state", state) == 1.0;
    states.iter().find(now).map_or("none", |state| state).to_string()
}

/// Waits until the last error in the log is that a new version was refused for one of these reasons. The log is written by a thread of its own, and
/// may lag behind the metrics.
pub(crate) fn wait_for_refusal(host: &Ebhost, fault: &str, says: &[&str]) {
    wait_until(&format!("the refusal of `{fault}`: {says:?}"), Duration::from_secs(20), || {
        let line = host.log().lines().into_iter().rfind(|line| line.level == "ERROR")?;
        (line.text.contains("the version before goes on: ") && says.iter().any(|says| line.text.contains(says)))
            .then_some(())
    });
}

/// Scrapes until `condition` holds; returns that scrape. `what` names the condition if it never does.
#[track_caller]
pub(crate) fn scrape_until(host: &Ebhost, what: &str, mut condition: impl FnMut(&Exposition) -> bool) -> Exposition {
    let mut last = None;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_until(what, EFFECT_TIMEOUT, || {
            let served = scrape(host);
            if condition(&served) {
                return Some(served);
            }
            last = Some(served);
            None
        })
    }));
    found.unwrap_or_else(|_| {
        let shown: Vec<_> = last
            .iter()
            .flat_map(Exposition::samples)
            .filter(|sample| sample.name.starts_with("ebhost_plugin") && !sample.name.contains("_bucket"))
            .map(|sample| format!("{} {:?} {}", sample.name, sample.labels, sample.value))
            .collect();
        panic!("never: {what}; last served:\n{}\nthe log:\n{}", shown.join("\n"), host.log().text())
    })
}

/// Compares biolatency's counts of a disk with the kernel's, while something else happens.
pub(crate) struct Witness<'a> {
    pub(crate) host: &'a Ebhost,
    pub(crate) disk: &'a Disk,
}

impl Witness<'_> {
    /// Runs `act` while the disk is read continuously. biolatency must count each of these reads exactly once and must not fail.
    ///
    /// The kernel hides some requests from every program (see tests/kernel/counts.rs), so a run with such a read is repeated, if biolatency
    /// reports it as lost. No run may count a read too many or miss more than the kernel hides on a busy machine.
    #[track_caller]
    pub(crate) fn assert_matches_kernel(&self, what: &str, mut act: impl FnMut()) {
        const RUNS: usize = 10;
        let exact = (0..RUNS).any(|_| {
            let ((first, _, lost), kernel_first) = self.disk.at_rest(|| self.counts());
            under_load(&self.disk.device(), &mut act);
            let ((last, failures, _), kernel_last) = self.disk.at_rest(|| self.counts());
            assert_eq!(failures, 0.0, "{what}: failures of biolatency");
            let (counted, completed) = (last - first, (kernel_last - kernel_first).reads);
            assert!(completed >= 200, "{what}: {completed} reads are too few for a load");
            assert!(counted <= completed, "{what}: {counted} counted, {completed} completed");
            let is_near = counted as f64 >= fewest_counted(completed as f64);
            assert!(is_near, "{what}: {counted} counted, {completed} completed");
            if counted < completed {
                eprintln!("{what}: {counted} counted, {completed} completed: repeating");
                assert_reported_as_lost(self.disk, completed - counted, lost, || scrape(self.host));
            }
            counted == completed
        });
        assert!(exact, "{what}: in none of {RUNS} runs were all reads counted");
    }

    /// The reads of the disk that biolatency counted, its failures, and the requests that it reports as lost.
    fn counts(&self) -> (u64, f64, f64) {
        let served = scrape(self.host);
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
        let labels = [("device", self.disk.name()), ("operation", "read")];
        let reads = served.value("ebhost_bio_latency_seconds_count", &labels).unwrap_or(0.0) as u64;
        let is_failure = |sample: &&ebhost_tests::Sample| {
            sample.name == "ebhost_plugin_failures_total" && sample.labels["plugin"] == "biolatency"
        };
        let failures = served.samples().filter(is_failure).map(|sample| sample.value).sum();
        (reads, failures, reported_as_lost(&served))
    }
}

/// Reads a disk while `act` runs, and stops even if it panics.
fn under_load(device: &Path, act: impl FnOnce()) {
    struct StopOnDrop<'a>(&'a AtomicBool);
    impl Drop for StopOnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let is_loaded = &is_over;
        scope.spawn(move || {
            loop {
                Fio::run(device, &["--rw=randread", "--bs=4k", "--number_ios=300"]);
                if is_loaded.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let _stop = StopOnDrop(&is_over);
        act();
    });
}

/// The sum of all series of the misbehaving plugin.
pub(crate) fn counted(served: &Exposition) -> f64 {
    served.samples().filter(|sample| sample.name == "ebhost_misbehaving_total").map(|sample| sample.value).sum()
}

/// The host's resident memory, in bytes.
pub(crate) fn resident(host: &Ebhost) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}
