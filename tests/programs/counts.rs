//! The tables of counts.h under the worst conditions: far more keys than banks, and interrupts that count in the same tables while a program
//! is in the middle of counting.

use std::collections::HashMap;
use std::{
    os::unix::process::parent_id,
    process::Command,
    sync::{atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use ebhost_tests::{Ebhost, Folder, KernelMap, Start, alone, group, needs, output, wait_until, workspace};

const IDS: u32 = 10_000;
const CALLS: u64 = 300_000;
const THREADS: usize = 2;
const SWITCHES: u32 = 50_000;

/// The name of the threads whose calls are counted; the program compares 8 bytes.
const NAME: &[u8; 8] = b"counted\0";

/// A host with the package `counts`: 64 banks on each CPU, and room for every key in the map that all CPUs share.
fn host(programs: &str) -> (Ebhost, Folder) {
    let folder = Folder::new();
    folder.copy(&workspace().join("bench/packages/counts"));
    let edits = [
        ("programs: []".to_owned(), format!("programs: [{programs}]")),
        ("targ_ids: 1024".to_owned(), format!("targ_ids: {IDS}")),
        ("targ_comm: 0".to_owned(), format!("targ_comm: {}", u64::from_le_bytes(*NAME))),
        ("targ_getppid: 110".to_owned(), format!("targ_getppid: {}", libc::SYS_getppid)),
        (" calls: 256, calls_spill: 1".to_owned(), " calls: 64 per cpu, calls_spill: 16384".to_owned()),
        (" times: 256, times_spill: 1".to_owned(), " times: 64 per cpu, times_spill: 16384".to_owned()),
        (" truth: 1".to_owned(), format!(" truth: {IDS}")),
        ("series: 1000".to_owned(), "series: 50000".to_owned()),
    ];
    for (from, to) in edits {
        folder.amend("counts", &from, &to);
    }
    (Start::with(folder.path()).args(&["--strict"]).listening(), folder)
}

/// Makes the calls in threads that have ended when this returns.
fn call() {
    let counted = |_| {
        let thread = thread::Builder::new().name("counted".to_owned());
        thread.spawn(|| (0..CALLS).for_each(|_| _ = parent_id())).expect("a thread")
    };
    let threads: Vec<_> = (0..THREADS).map(counted).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it only calls"));
}

/// The words of a mapped array.
fn words(host: &Ebhost, map: &str) -> Vec<u64> {
    let memory = KernelMap::of(host.pid(), map).memory();
    memory.words().iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

/// Every sample of a scrape by its name and labels as they are printed. The strict parser takes minutes for so many buckets.
struct Served(HashMap<String, f64>);

impl Served {
    /// Scrapes until every identity has its labels, which may take more than one scrape.
    fn labelled(host: &Ebhost) -> Self {
        wait_until("every identity is labelled", Duration::from_secs(60), || {
            let served = Self::scrape(host);
            let is_labelled = served.get("ebhost_plugin_unlabelled{plugin=\"counts\"}") == 0.0;
            is_labelled.then(|| Self::scrape(host))
        })
    }

    fn scrape(host: &Ebhost) -> Self {
        let response = host.get("/metrics", &[]);
        let samples = response.text().lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        };
        Self(samples.map(sample).collect())
    }

    /// The value of a sample; 0: it is not served.
    fn get(&self, sample: &str) -> f64 {
        self.0.get(sample).copied().unwrap_or_default()
    }

    fn calls(&self, id: u64) -> f64 {
        let kind = ["read", "write", "open", "close", "sync", "lock", "poll", "other"][id as usize % 8];
        self.get(&format!("ebhost_calls_total{{id=\"{id}\",group=\"{}\",kind=\"{kind}\"}}", group(id)))
    }

    fn times(&self, part: &str, id: u64) -> f64 {
        self.get(&format!("ebhost_times_seconds_{part}{{id=\"{id}\"}}"))
    }

    fn lost(&self, table: &str) -> f64 {
        let reasons = ["spill_full", "spill_busy"].iter();
        reasons.map(|reason| self.get(&format!("ebhost_{table}_lost_total{{reason=\"{reason}\"}}"))).sum()
    }
}

#[test]
fn no_count_is_lost_when_keys_outnumber_banks_and_interrupts_nest() {
    needs!(Root);
    let _alone = alone();
    let (host, _folder) = host("in_process, in_interrupt");
    call();
    let served = Served::labelled(&host);
    let truth = words(&host, "truth");
    let [process, interrupts, nested] = words(&host, "contexts")[..] else { panic!("three contexts") };
    eprintln!("{process} calls in process context, {interrupts} in interrupts, {nested} of them nested");
    assert_eq!(process, CALLS * THREADS as u64, "the kernel ran the program at every call");
    assert!(nested > 100, "only {nested} interrupts of the program in process context");
    assert_eq!(truth.iter().sum::<u64>(), process + interrupts);

    for (id, count) in (0u64..).zip(&truth) {
        assert_eq!(served.calls(id), *count as f64, "calls of {id}");
        assert_eq!(served.times("count", id), *count as f64, "observations of {id}");
        assert_eq!(served.times("sum", id), (count * 1000 * id) as f64 / 1e9, "sum of {id}");
    }
    for table in ["calls", "times"] {
        let spilled = served.get(&format!("ebhost_{table}_spilled_total"));
        eprintln!("{table}: {spilled} spilled");
        assert!(spilled > 0.0 && spilled < (process + interrupts) as f64, "{table}: {spilled} spilled");
        assert_eq!(served.lost(table), 0.0);
    }
    host.stop();
}

/// Makes threads that wait for each other in turns, on all CPUs, and that have ended when this returns.
fn switch() {
    let counted =
        |run: Box<dyn FnOnce() + Send>| thread::Builder::new().name("counted".to_owned()).spawn(run).expect("a thread");
    let pairs = (0..2 * THREADS).flat_map(|_| {
        let (ping, pinged) = mpsc::sync_channel::<()>(0);
        let (pong, ponged) = mpsc::sync_channel::<()>(0);
        let first = move || (0..SWITCHES).for_each(|_| _ = ping.send(()).is_ok() && ponged.recv().is_ok());
        let second = move || while pinged.recv().is_ok() && pong.send(()).is_ok() {};
        [counted(Box::new(first)), counted(Box::new(second))]
    });
    pairs.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().expect("it only waits"));
}

/// Programs that count alone on their CPUs share the entries of keys without a bank all the same.
#[test]
fn no_count_is_lost_when_programs_on_two_cpus_count_without_atomics_and_keys_outnumber_banks() {
    needs!(Root);
    let _alone = alone();
    let (host, _folder) = host("in_switch");
    switch();
    let served = Served::labelled(&host);
    let truth = words(&host, "truth");
    let total: u64 = truth.iter().sum();
    eprintln!("{total} switches, {} of them spilled", served.get("ebhost_calls_spilled_total"));
    assert!(total > u64::from(SWITCHES));
    assert!(served.get("ebhost_calls_spilled_total") > total as f64 / 2.0, "most keys have no bank");
    for (id, count) in (0u64..).zip(&truth) {
        assert_eq!(served.calls(id), *count as f64, "calls of {id}");
        assert_eq!(served.times("count", id), *count as f64, "observations of {id}");
    }
    host.stop();
}

/// With room for a tenth of the keys, the counts that are served and those that are reported as lost add up.
#[test]
fn counts_that_find_no_room_are_reported() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&workspace().join("bench/packages/counts"));
    for (from, to) in [
        ("programs: []", "programs: [in_process]".to_owned()),
        ("targ_ids: 1024", format!("targ_ids: {IDS}")),
        ("targ_comm: 0", format!("targ_comm: {}", u64::from_le_bytes(*NAME))),
        ("targ_getppid: 110", format!("targ_getppid: {}", libc::SYS_getppid)),
        (" calls: 256, calls_spill: 1,", " calls: 64 per cpu, calls_spill: 1000,".to_owned()),
        ("series: 1000", "series: 50000".to_owned()),
    ] {
        folder.amend("counts", from, &to);
    }
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    call();
    let served = Served::labelled(&host);
    let counted: f64 = (0..u64::from(IDS)).map(|id| served.calls(id)).sum();
    eprintln!("{counted} counted, {} lost", served.lost("calls"));
    assert!(served.lost("calls") > 0.0);
    assert_eq!(counted + served.lost("calls"), (CALLS * THREADS as u64) as f64);
    host.stop();
}

/// Calls with each id, and calls before each scrape, of a thread whose ids come and go.
const CALLS_OF_AN_ID: u64 = 4;
const CALLS_OF_A_ROUND: u64 = 80;
/// Time between two scrapes. The programs keep what is not counted for at least 0.8 s.
const ROUND: Duration = Duration::from_millis(150);

/// Short-lived cgroups or processes, ten times as many as there is room for: each is counted to the end, and none leaves anything behind.
#[test]
fn keys_that_come_and_go_lose_no_count_and_leave_the_shared_map_empty() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&workspace().join("bench/packages/counts"));
    for (from, to) in [
        ("programs: []", "programs: [in_passing]".to_owned()),
        (
            "targ_ids: 1024",
            format!("targ_ids: {CALLS_OF_AN_ID}, targ_counts_keep_ns: 1000000000, targ_counts_rest_ns: 1"),
        ),
        ("targ_comm: 0", format!("targ_comm: {}", u64::from_le_bytes(*NAME))),
        ("targ_getppid: 110", format!("targ_getppid: {}", libc::SYS_getppid)),
        (" calls: 256, calls_spill: 1,", " calls: 64 per cpu, calls_spill: 512,".to_owned()),
        (" times: 256, times_spill: 1,", " times: 64 per cpu, times_spill: 512,".to_owned()),
        ("series: 1000", "series: 50000".to_owned()),
    ] {
        folder.amend("counts", from, &to);
    }
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    let counted = thread::Builder::new().name("counted".to_owned());
    let rounds = counted.spawn(move || {
        let mut passing = Passing::default();
        (0..250).for_each(|_| passing.round(&host, CALLS_OF_A_ROUND));
        eprintln!("{} ids, at most {} of {} in the shared map", passing.ids(), passing.most_shared, 512);
        assert!(passing.most_shared > 0.0, "too few ids for this test");
        // Few keys at a time find a bank each. They take away what the others left.
        let drained = (0..600).find(|_| {
            passing.round(&host, CALLS_OF_A_ROUND / 10);
            passing.shared == 0.0
        });
        eprintln!("the shared map was empty after {drained:?} more rounds");
        assert!(drained.is_some(), "{} keys remain in the shared map", passing.shared);
        passing.check(&host);
        host.stop();
    });
    rounds.expect("a thread").join().expect("no assertion failed");
}

/// The served counts of ids that come and go.
#[derive(Default)]
struct Passing {
    calls: u64,
    /// The last count of each id that was served.
    served: HashMap<String, f64>,
    shared: f64,
    most_shared: f64,
}

impl Passing {
    /// Makes calls, and scrapes until their ids have labels.
    fn round(&mut self, host: &Ebhost, calls: u64) {
        (0..calls).for_each(|_| _ = parent_id());
        self.calls += calls;
        thread::sleep(ROUND);
        let served = Served::labelled(host);
        self.shared = served.get("ebhost_calls_spill_entries") + served.get("ebhost_times_spill_entries");
        self.most_shared = self.most_shared.max(self.shared);
        let counts = served.0.into_iter().filter(|(name, _)| {
            name.starts_with("ebhost_calls_total{") || name.starts_with("ebhost_times_seconds_count{")
        });
        self.served.extend(counts);
    }

    fn ids(&self) -> u64 {
        self.calls / CALLS_OF_AN_ID
    }

    /// Every id was counted by both tables, as often as it was called with, and nothing was lost.
    fn check(self, host: &Ebhost) {
        assert_eq!(self.served.len() as u64, 2 * self.ids());
        let wrong: Vec<_> = self.served.iter().filter(|(_, count)| **count != CALLS_OF_AN_ID as f64).take(5).collect();
        assert!(wrong.is_empty(), "counts other than {CALLS_OF_AN_ID}: {wrong:?}");
        let last = Served::scrape(host);
        assert_eq!((last.lost("calls"), last.lost("times")), (0.0, 0.0));
    }
}

/// The slots of all histograms that are computed for a package, at each bound and beside it, compiled for this machine.
#[test]
fn a_value_beyond_the_last_bound_does_not_count_as_a_small_one() {
    needs!(Tool("clang-19"));
    let folder = Folder::new();
    let source = r#"
        #include "ebhost/counts.h"
        POWERS_OF_TWO(sizes, u32, 9, 20)
        LINEAR(depths, u32, 10, 5, 16)
        int main(void)
        {
            for (u64 value = 0; value < (1 << 21) + 3; value++) {
                u32 size = 0, depth = 0;
                while (size < 12 && value > 1ull << (9 + size))
                    size++;
                while (depth < 16 && value > 10 + 5 * depth)
                    depth++;
                if (sizes_slot(value) != size || depths_slot(value) != depth)
                    return 1;
            }
            return sizes_slot(~0ull) != 12 || depths_slot(~0ull) != 16;
        }"#;
    let (file, program) = (folder.path().join("slots.c"), folder.path().join("slots"));
    std::fs::write(&file, source).expect("our own folder");
    let include = format!("-I{}", workspace().join("bpf").display());
    output(Command::new("clang-19").args(["-O1", "-w", &include, "-o"]).arg(&program).arg(&file));
    output(&mut Command::new(&program));
}
