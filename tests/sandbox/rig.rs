//! A host with the sinner in it, and what can be asked of it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Disk, Ebhost, Exposition, Fio, Folder, Format, Start, committed, wait_until, workspace};

/// How long a scraper waits, by the header that Prometheus sends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What a change in the plugin folder may take to be seen; loaded machines are slow.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// A folder with the package `sinner`, and perhaps others.
pub(crate) struct Sinner {
    pub(crate) folder: Folder,
}

impl Sinner {
    /// With nothing else in the folder.
    pub(crate) fn alone(config: &str) -> Self {
        let sinner = Self { folder: Folder::new() };
        sinner.add("sinner", config);
        sinner
    }

    pub(crate) fn beside_biolatency(config: &str) -> Self {
        let sinner = Self { folder: Folder::with_biolatency() };
        sinner.add("sinner", config);
        sinner
    }

    /// One more package of the same component.
    pub(crate) fn add(&self, name: &str, config: &str) -> PathBuf {
        let package = self.folder.path().join(name);
        fs::create_dir(&package).expect("a new folder in our own");
        copy(&workspace().join("tests/sandbox/sinner/sinner.wasm"), &package.join("sinner.wasm"));
        copy(&committed().join("biolatency/biolatency.bpf.o"), &package.join("biolatency.bpf.o"));
        write_config(&package, config, "");
        package
    }

    pub(crate) fn package(&self) -> PathBuf {
        self.folder.path().join("sinner")
    }

    /// Another config, and the signal that has it taken at once.
    pub(crate) fn sin(&self, host: &Ebhost, config: &str, limits: &str) {
        write_config(&self.package(), config, limits);
        host.hang_up();
    }
}

/// A `plugin.yaml` as editors write one: beside, and then in its place.
pub(crate) fn write_config(package: &Path, config: &str, limits: &str) {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let yaml = format!(
        "name: {name}\nversion: \"1.2\"\ncomponent: sinner.wasm\nbpf:\n  object: biolatency.bpf.o\n  \
         programs: [block_rq_issue, block_rq_complete, block_rq_requeue]\n  \
         globals: {{ targ_queued: false, targ_per_flag: false, targ_banks: 128 }}\n  \
         max_entries: {{ banks: 128 per cpu }}\nconfig: {{ {config} }}\nlimits: {{ {limits} }}\n"
    );
    replace(&package.join("plugin.yaml"), yaml.as_bytes());
}

/// Puts a file in another's place, whole.
pub(crate) fn replace(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, file)).expect("our own file");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// A host on a folder, with a cache that the tests share.
pub(crate) fn start(folder: &Folder, args: &[&str]) -> Ebhost {
    Start::with(folder.path()).args(args).listening()
}

/// One scrape, which must be answered within its timeout.
#[track_caller]
pub(crate) fn scrape(host: &Ebhost) -> Exposition {
    let started = Instant::now();
    let answer = host.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "5")]);
    let took = started.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(took < PATIENCE, "the scrape took {took:?}; the log:\n{}", host.log().text());
    Exposition::parse(answer.text(), Format::Text).unwrap_or_else(|why| panic!("{why}; served:\n{}", answer.text()))
}

/// A metric of the host about the sinner.
pub(crate) fn of(served: &Exposition, name: &str) -> Option<f64> {
    served.value(name, &[("plugin", "sinner")])
}

pub(crate) fn by(served: &Exposition, name: &str, label: &str, value: &str) -> f64 {
    served.value(name, &[("plugin", "sinner"), (label, value)]).unwrap_or(0.0)
}

pub(crate) fn state(served: &Exposition) -> String {
    let states = ["admitted", "running", "backing_off", "quarantined"];
    let now = |state: &&&str| by(served, "ebhost_plugin_state", "state", state) == 1.0;
    states.iter().find(now).map_or("none", |state| state).to_string()
}

/// Scrapes until something holds.
#[track_caller]
pub(crate) fn until(host: &Ebhost, what: &str, mut holds: impl FnMut(&Exposition) -> bool) -> Exposition {
    let mut last = None;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_until(what, SOON, || {
            let served = scrape(host);
            if holds(&served) {
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

/// Holds what biolatency counts on a disk against the kernel's own count, while something else happens.
pub(crate) struct Witness<'a> {
    pub(crate) host: &'a Ebhost,
    pub(crate) disk: &'a Disk,
}

impl Witness<'_> {
    /// Has `act` done while the disk is read without a pause. Of these reads biolatency must have counted each once, and failed in
    /// nothing.
    ///
    /// What the kernel shows to no program cannot be counted (see tests/kernel/counts.rs): a run with such a read is repeated. In
    /// none may there be a read too many, or more than a few too few.
    #[track_caller]
    pub(crate) fn beside(&self, what: &str, mut act: impl FnMut()) {
        const RUNS: usize = 5;
        let exact = (0..RUNS).any(|_| {
            let ((first, _), kernel_first) = self.disk.at_rest(|| self.counts());
            under_load(&self.disk.device(), &mut act);
            let ((last, failures), kernel_last) = self.disk.at_rest(|| self.counts());
            assert_eq!(failures, 0.0, "{what}: of biolatency");
            let (counted, completed) = (last - first, (kernel_last - kernel_first).reads);
            assert!(completed >= 200, "{what}: {completed} reads are no load");
            assert!(counted <= completed, "{what}: {counted} counted, {completed} completed");
            assert!((completed - counted) * 100 <= completed, "{what}: {counted} counted, {completed} completed");
            if counted < completed {
                eprintln!("{what}: {counted} counted, {completed} completed: to be repeated");
            }
            counted == completed
        });
        assert!(exact, "{what}: in {RUNS} runs never all that the kernel counted");
    }

    /// Reads of the disk, and failures of biolatency.
    fn counts(&self) -> (u64, f64) {
        let served = scrape(self.host);
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
        let labels = [("device", self.disk.name()), ("operation", "read")];
        let reads = served.value("ebhost_bio_latency_seconds_count", &labels).unwrap_or(0.0) as u64;
        let of_it = |sample: &&ebhost_tests::Sample| {
            sample.name == "ebhost_plugin_failures_total" && sample.labels["plugin"] == "biolatency"
        };
        (reads, served.samples().filter(of_it).map(|sample| sample.value).sum())
    }
}

/// Reads a disk until `act` is done, whichever way it ends.
fn under_load(device: &Path, act: impl FnOnce()) {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
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
        let _over = Over(&is_over);
        act();
    });
}

/// All that the sinner's banks have counted.
pub(crate) fn counted(served: &Exposition) -> f64 {
    served.samples().filter(|sample| sample.name == "ebhost_sinner_total").map(|sample| sample.value).sum()
}

/// Bytes of physical memory.
pub(crate) fn resident(host: &Ebhost) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}
