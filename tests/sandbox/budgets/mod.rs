//! Everything that the host builds for a guest is bounded as the guest is: what a manifest multiplies, the bytes of an answer, instances, compiled
//! code, and the time to start an instance.
//!
//! Each case of the table is put in the place of an honest component beside biolatency. While the host has it, and until it is mended, every
//! scrape of a client that waits for a second must be answered in time and have biolatency's families, the host must stay below 256 MiB and the
//! compiler below 1 GiB, and the log or the metrics must name the reason. Soon after the honest component is back, its memory must be, too.
//!
//! `EBHOST_BUDGETS=all cargo xtask test budgets` runs every case, each while a disk is read, and compares biolatency's count of reads with the
//! kernel's. By default the cases run without the disk, and a few of them with it.

mod cases;
mod files;
mod guest;
mod memory;

use std::{
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use ebhost_tests::{Disk, Ebhost, Entries, Exposition, Folder, Format, KernelMap, alone, compile, needs, wait_until};

use self::{
    cases::{Case, Keys, Outcome, cases},
    guest::{HONEST, OBJECT},
    memory::Watched,
};
use crate::rig::{EFFECT_TIMEOUT, Witness, replace, resident};

const HOST_BYTES: u64 = 256 << 20;
const COMPILER_BYTES: u64 = 1 << 30;

/// The client waits for a second. On a machine that other programs keep busy a process may have to wait for a CPU for some time more.
const ANSWERED: Duration = Duration::from_secs(3);

/// How long the host may take until the outcome is seen: compilers have limits of CPU time.
const OUTCOME: Duration = Duration::from_secs(600);

/// How long a mended package's memory may stay, and how much of it may stay longer.
const GIVEN_BACK: Duration = Duration::from_secs(60);
const KEPT_BYTES: u64 = 32 << 20;

/// Scrapes after the outcome is seen, and where each of them brings entries that the component has not answered before.
const SCRAPES_AFTER: usize = 4;
const SCRAPES_OF_NEW_KEYS: usize = 20;

#[test]
fn what_the_host_builds_for_a_guest_is_bounded() {
    needs!(Root, Tool("clang-19"));
    if env::var("EBHOST_BUDGETS").as_deref() == Ok("all") {
        return; // the other test has all of them, and a disk
    }
    let _alone = alone();
    let hostile = Hostile::start();
    let only = env::var("EBHOST_BUDGETS").unwrap_or_default();
    let failures: Vec<_> =
        cases().iter().filter(|case| case.name.contains(&only)).filter_map(|case| hostile.play(case).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    hostile.host.stop();
}

/// biolatency's count of reads must equal the kernel's during each case.
#[test]
fn and_a_disk_is_counted_exactly_beside_it() {
    needs!(Root, Tool("clang-19"), Tool("fio"));
    let _alone = alone();
    let all = env::var("EBHOST_BUDGETS").as_deref() == Ok("all");
    let (hostile, disk) = (Hostile::start(), Disk::in_memory());
    let witness = Witness { host: &hostile.host, disk: &disk };
    for case in cases().into_iter().step_by(if all { 1 } else { 8 }) {
        witness.assert_matches_kernel(case.name, || {
            if let Err(why) = hostile.play(&case) {
                panic!("{why}");
            }
        });
    }
    hostile.host.stop();
}

/// An interpreter that needed a second to start was never started again after its instance had failed, because a scraper that waits for a
/// second leaves half of it: what was new stayed without labels.
#[test]
fn a_component_that_starts_slower_than_scrapes_allow_goes_on_after_a_failure() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let hostile = Hostile::start();
    let before = value(&hostile.scrape(), "ebhost_plugin_restarts_total").unwrap_or(0.0);
    hostile.exchange_for_a_slow_start();
    for key in 0..4 {
        hostile.insert(key..key + 1);
        let labelled = f64::from(key + 1);
        hostile.wait("the key is labelled", |served| value(served, "ebhost_plugin_series") == Some(labelled));
    }
    let served = hostile.scrape();
    assert!(value(&served, "ebhost_plugin_restarts_total") >= Some(before + 3.0));
    assert_eq!(value(&served, "ebhost_plugin_unlabelled"), Some(0.0));
    hostile.host.stop();
}

/// A host with biolatency and a package whose component is exchanged.
struct Hostile {
    host: Ebhost,
    folder: Folder,
    /// Its own, as an outcome may depend on what was compiled before.
    _cache: Folder,
    /// The hash that some cases have entries of.
    fresh: KernelMap,
    /// Bytes of the host while all is well.
    usual: u64,
}

impl Hostile {
    fn start() -> Self {
        let folder = Folder::with_biolatency();
        let package = folder.path().join("hostile");
        fs::create_dir(&package).expect("a new folder in our own");
        compile(OBJECT, "bpf", &package.join("hostile.bpf.o"));
        fs::write(package.join("hostile.wasm"), HONEST.component()).expect("our own folder");
        fs::write(package.join("plugin.yaml"), yaml("")).expect("our own folder");
        let cache = Folder::new();
        let cached = cache.path().join("cache").display().to_string();
        let host = crate::rig::start(&folder, &["--cache.dir", &cached]);
        let fresh = KernelMap::of(host.pid(), "fresh");
        let mut hostile = Self { host, folder, _cache: cache, fresh, usual: 0 };
        hostile.wait("the honest component runs", |served| value(served, "ebhost_plugin_series") == Some(256.0));
        hostile.usual = resident(&hostile.host);
        hostile
    }

    /// Puts a component in the place of the honest one whose start takes longer than a scrape leaves it, and no longer than it may on this machine.
    fn exchange_for_a_slow_start(&self) {
        let mut turns = cases::SLOW_TURNS;
        loop {
            let tried = self.scrape().reloads_tried();
            self.exchange(&cases::slow_and_fails_in_its_second_call(turns), "");
            let mut used = None;
            self.wait("it is taken or refused", |served| {
                used = served.value("ebhost_plugin_limit_used_ratio", &[("plugin", "hostile"), ("limit", "describe")]);
                served.reloads_tried() > tried
            });
            match used {
                // It was refused, and the honest one, which starts at once, goes on; or a later start may take longer than it may.
                Some(used) if !(0.01..0.6).contains(&used) => turns /= 2,
                // A quarter of two seconds is what a scraper that waits for a second leaves.
                Some(used) if used < 0.3 => turns *= 2,
                _ => return,
            }
        }
    }

    /// Puts a case in the place of the honest component, watches it, and mends it. The error says what was not as it has to be.
    fn play(&self, case: &Case) -> Result<(), String> {
        let name = case.name;
        eprintln!("{name}");
        let (logged, started) = (self.host.log().lines().len(), Instant::now());
        let before = self.scrape();
        let memory = Watched::begin(self.host.pid());
        if let Keys::Many(count) = case.keys {
            self.insert(0..count);
        }
        self.exchange(&(case.component)(), case.limits);
        let seen = |served: &Exposition| self.has_come(case, &before, served, logged);
        let (mut scrapes, mut slowest) = (0, Duration::ZERO);
        let mut scrape = || {
            if case.keys == Keys::Trickle {
                self.insert(scrapes * 16..(scrapes + 1) * 16);
            }
            scrapes += 1;
            let began = Instant::now();
            let served = self.scrape();
            slowest = slowest.max(began.elapsed());
            served
        };
        let mut has_come = false;
        while !has_come && started.elapsed() < OUTCOME {
            has_come = seen(&scrape());
            std::thread::sleep(Duration::from_millis(50));
        }
        let scrapes_after = if case.keys == Keys::Trickle { SCRAPES_OF_NEW_KEYS } else { SCRAPES_AFTER };
        for _ in 0..scrapes_after {
            scrape();
            std::thread::sleep(Duration::from_millis(100));
        }
        let lines = self.host.log().lines().split_off(logged);
        let log: String = lines.iter().map(|line| format!("{} {}\n", line.level, line.text)).collect();
        // The heap of the package that is mended belongs to its peak, the time to mend it does not.
        let peak = memory.end();
        let given_back = self.mend(name);
        eprintln!(
            "{name}: {:.1} s, slowest scrape {slowest:?}, host {} MiB, compiler {} MiB, {} MiB afterwards",
            started.elapsed().as_secs_f64(),
            peak.host >> 20,
            peak.compiler >> 20,
            resident(&self.host) >> 20,
        );
        let demands = [
            (has_come, format!("expected {:?}; the log:\n{log}", case.outcome)),
            (lines.len() < 100, format!("{} lines in the log", lines.len())),
            (lines.iter().all(|line| line.text.len() < 8 << 10), "a line in the log is too long".to_owned()),
            (slowest < ANSWERED, format!("a scrape took {slowest:?}")),
            (peak.host < HOST_BYTES, format!("the host took {} bytes", peak.host)),
            (peak.compiler < COMPILER_BYTES, format!("the compiler took {} bytes", peak.compiler)),
        ];
        let broken = demands.into_iter().filter(|(holds, _)| !holds).map(|(_, why)| why).chain(given_back.err());
        let broken: Vec<_> = broken.collect();
        if broken.is_empty() { Ok(()) } else { Err(format!("{name}: {}", broken.join("; "))) }
    }

    /// Puts the honest component back; its memory must be given back soon.
    fn mend(&self, name: &str) -> Result<(), String> {
        self.exchange(&HONEST.component(), "");
        let mut entries = Entries::default();
        self.fresh.read(&mut entries);
        self.fresh.delete_all(&entries.keys[..4 * entries.len]);
        let end = Instant::now() + GIVEN_BACK;
        self.wait(&format!("mended after {name}"), |served| {
            value(served, "ebhost_plugin_current") == Some(1.0) && value(served, "ebhost_plugin_series") == Some(256.0)
        });
        let most = self.usual + KEPT_BYTES;
        while resident(&self.host) > most {
            if Instant::now() >= end {
                return Err(format!("{} bytes stay, {} before", resident(&self.host), self.usual));
            }
            std::thread::sleep(Duration::from_millis(200));
            self.scrape();
        }
        Ok(())
    }

    fn has_come(&self, case: &Case, before: &Exposition, served: &Exposition, logged: usize) -> bool {
        let grew = |name: &str, labels: &[(&str, &str)]| {
            let of = |served: &Exposition| served.value(name, labels).unwrap_or(0.0);
            of(served) > of(before)
        };
        let log = |level: &str, part: &str| {
            self.host.log().lines().iter().skip(logged).any(|line| line.level == level && line.text.contains(part))
        };
        let is_taken = grew("ebhost_reloads_total", &[]);
        let is_refused = grew("ebhost_reload_failures_total", &[]);
        let package = ("plugin", "hostile");
        let state = |state| served.value("ebhost_plugin_state", &[package, ("state", state)]) == Some(1.0);
        match case.outcome {
            Outcome::Refused(part) => is_refused && log("ERROR", part),
            Outcome::Slow => {
                let used = served.value("ebhost_plugin_limit_used_ratio", &[package, ("limit", "compile_time")]);
                is_refused && log("ERROR", "of CPU time, which is too long for its size")
                    || is_taken && used.is_some_and(|used| used <= 1.0)
            }
            Outcome::Logged(part) => is_taken && log("WARN", part),
            Outcome::Folded => {
                is_taken
                    && grew("ebhost_plugin_exposition_folded_total", &[package])
                    && served.value("ebhost_plugin_limit_used_ratio", &[package, ("limit", "exposition")]) > Some(0.5)
            }
            Outcome::BacksOff(reason) => {
                is_taken
                    && grew("ebhost_plugin_failures_total", &[package, ("reason", reason)])
                    && (state("backing_off") || state("quarantined"))
            }
            Outcome::Runs => is_taken && state("running") && value(served, "ebhost_plugin_unlabelled") == Some(0.0),
            Outcome::Bounded => is_taken || is_refused,
        }
    }

    fn exchange(&self, component: &[u8], limits: &str) {
        let package = self.package();
        replace(&package.join("hostile.wasm"), component);
        replace(&package.join("plugin.yaml"), yaml(limits).as_bytes());
        self.host.hang_up();
    }

    /// Scrapes as a client that waits for a second; biolatency's families must be there. The hostile package's families are not parsed.
    fn scrape(&self) -> Exposition {
        let answer = self.host.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
        assert_eq!(answer.status, 200, "{}", self.host.log().text());
        let is_ours = |line: &&str| {
            !line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with("ebhost_hostile_")
        };
        let text: String = answer.text().lines().filter(is_ours).flat_map(|line| [line, "\n"]).collect();
        let served = Exposition::parse(&text, Format::Text).unwrap_or_else(|why| panic!("{why}; served:\n{text}"));
        assert!(
            served.value("ebhost_bio_latency_lost_total", &[("reason", "no_start")]).is_some(),
            "biolatency is served:\n{text}"
        );
        served
    }

    fn wait(&self, what: &str, mut condition: impl FnMut(&Exposition) -> bool) {
        wait_until(what, EFFECT_TIMEOUT, || condition(&self.scrape()).then_some(()));
    }

    fn insert(&self, keys: std::ops::Range<u32>) {
        let values = 1u64.to_le_bytes().repeat(keys.len());
        self.fresh.update_all(&keys.flat_map(u32::to_le_bytes).collect::<Vec<_>>(), &values);
    }

    fn package(&self) -> PathBuf {
        self.folder.path().join("hostile")
    }
}

/// A value of the host's own metrics for the package.
fn value(served: &Exposition, name: &str) -> Option<f64> {
    served.value(name, &[("plugin", "hostile")])
}

fn yaml(limits: &str) -> String {
    format!(
        "name: hostile\ncomponent: hostile.wasm\nbpf:\n  object: hostile.bpf.o\n  \
         max_entries: {{ wide: 256, fresh: 200000, by_cpu: 256 }}\nlimits: {{ {limits} }}\n"
    )
}
