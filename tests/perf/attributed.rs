//! Counts attributed to a process equal the kernel's own counts of that process, event for event.

use std::{path::Path, process, time::Duration};

use ebhost_tests::{Cgroup, Ebhost, Exposition, KernelMap, Start, alone, llcstat, needs, skip, wait_until};

use crate::toucher::{Kernel, Toucher};

const FAULTS_AND_SWITCHES: [&str; 2] =
    ["software/page-faults, software/context-switches", "page_faults, context_switches"];

/// The counts of one label value and of all CPUs, and the kernel's own counts of the process.
struct Grown {
    charged: [u64; 2],
    cpus: [u64; 2],
    kernel: Kernel,
}

/// The series of one label value in two families.
struct Series<'a> {
    names: [&'a str; 2],
    by: &'a str,
    value: String,
}

impl Series<'_> {
    fn charged(&self, served: &Exposition) -> [u64; 2] {
        self.names.map(|name| {
            let name = format!("ebhost_{name}_by_{}_total", self.by);
            served.value(&name, &[(self.by, &self.value)]).unwrap_or_default() as u64
        })
    }

    fn cpus(&self, served: &Exposition) -> [u64; 2] {
        self.names.map(|name| {
            let name = format!("ebhost_{name}_total");
            served.samples().filter(|sample| sample.name == name).map(|sample| sample.value as u64).sum()
        })
    }

    fn unattributed(&self, served: &Exposition) -> f64 {
        let name = format!("ebhost_{}_by_{}_total", self.names[0], self.by);
        served.value(&name, &[(self.by, "unattributed")]).unwrap_or_default()
    }

    /// Makes the process cause events. If the kernel hid a context switch from the program meanwhile, it is repeated.
    fn grow(&self, host: &Ebhost, toucher: &mut Toucher, order: &str) -> Grown {
        for _ in 0..20 {
            // The program counts when the process falls asleep, which is a moment after it is seen asleep.
            std::thread::sleep(Duration::from_millis(20));
            let (first, kernel_first) = (host.scrape(), toucher.kernel());
            toucher.order(order);
            std::thread::sleep(Duration::from_millis(20));
            let (last, kernel_last) = (host.scrape(), toucher.kernel());
            if self.unattributed(&first) != self.unattributed(&last) {
                continue;
            }
            let less = |last: [u64; 2], first: [u64; 2]| [last[0] - first[0], last[1] - first[1]];
            return Grown {
                charged: less(self.charged(&last), self.charged(&first)),
                cpus: less(self.cpus(&last), self.cpus(&first)),
                kernel: kernel_last - kernel_first,
            };
        }
        panic!("of 20 tries none without a switch that the kernel hid");
    }
}

fn faults_and_switches(by: &str, value: String) -> Series<'_> {
    Series { names: ["page_faults", "context_switches"], by, value }
}

fn is_exact(grown: &Grown) {
    assert!(grown.kernel.faults >= 300, "{:?}", grown.kernel);
    assert_eq!(grown.charged, [grown.kernel.faults, grown.kernel.switches], "charged (left) and the kernel's (right)");
    assert!(grown.cpus[0] >= 300 && grown.cpus[0] >= grown.charged[0], "{:?} on all CPUs", grown.cpus);
}

#[test]
fn faults_and_switches_by_process_equal_the_kernels() {
    needs!(Root);
    let _alone = alone();
    let [events, names] = FAULTS_AND_SWITCHES;
    let folder = llcstat::switched("pid", events, names);
    let host = Ebhost::start(folder.path());
    let mut toucher = Toucher::start();
    let series = faults_and_switches("pid", toucher.pid().to_string());
    is_exact(&series.grow(&host, &mut toucher, "pages 300"));

    // The process exits: its series ends, what it did after the last scrape is counted in `exited`, and no sum
    // decreases.
    let before = host.scrape();
    assert!(series.charged(&before)[0] >= 300);
    drop(toucher);
    let after = wait_until("the end of a dead process' series", Duration::from_secs(5), || {
        let served = host.scrape();
        let name = "ebhost_page_faults_by_pid_total";
        served.value(name, &[("pid", &series.value)]).is_none().then_some(served)
    });
    assert!(after.value("ebhost_page_faults_by_pid_total", &[("pid", "exited")]).is_some());
    states(&after, &["software/page-faults", "software/context-switches"], "live");
    host.stop();
}

#[test]
fn faults_and_switches_by_comm_equal_the_kernels() {
    needs!(Root);
    let _alone = alone();
    let [events, names] = FAULTS_AND_SWITCHES;
    let host = Ebhost::start(llcstat::switched("comm", events, names).path());
    let mut toucher = Toucher::start();
    is_exact(&faults_and_switches("comm", "toucher".into()).grow(&host, &mut toucher, "pages 300"));
    host.stop();
}

#[test]
fn faults_and_switches_by_cgroup_equal_the_kernels() {
    needs!(Root, Cgroup2);
    let _alone = alone();
    let [events, names] = FAULTS_AND_SWITCHES;
    let host = Ebhost::start(llcstat::switched("cgroup", events, names).path());
    let group = Cgroup::new(&format!("ebhost-perf-{}", process::id()));
    let mut toucher = Toucher::start();
    group.take(toucher.pid());
    let series = faults_and_switches("cgroup", group.path().to_owned());
    is_exact(&series.grow(&host, &mut toucher, "pages 300"));

    drop(toucher);
    let name = series.value.clone();
    drop(group);
    wait_until("the end of a removed cgroup's series", Duration::from_secs(5), || {
        host.scrape().value("ebhost_page_faults_by_cgroup_total", &[("cgroup", &name)]).is_none().then_some(())
    });
    host.stop();
}

#[test]
fn cpu_time_equals_the_schedulers() {
    needs!(Root);
    let _alone = alone();
    let host = Ebhost::start(
        llcstat::switched("pid", "software/cpu-clock, software/page-faults", "cpu_clock_ns, faults").path(),
    );
    let mut toucher = Toucher::start();
    let series = Series { names: ["cpu_clock_ns", "faults"], by: "pid", value: toucher.pid().to_string() };
    let grown = series.grow(&host, &mut toucher, "spin 200");
    let (counted, kernel) = (grown.charged[0] as f64, grown.kernel.runtime_ns as f64);
    // The scheduler excludes interrupts and time stolen by a hypervisor.
    assert!(
        counted >= kernel * 0.99 && counted <= kernel * 1.25 + 2e6,
        "{counted} ns charged, {kernel} by the scheduler"
    );
    assert_eq!(grown.charged[1], grown.kernel.faults);
    host.stop();
}

#[test]
fn a_tracepoint_is_counted_exactly() {
    needs!(Root);
    let _alone = alone();
    if !Path::new("/sys/kernel/tracing/events/syscalls/sys_enter_getppid").is_dir() {
        return skip("a_tracepoint_is_counted_exactly", "tracefs with syscalls at /sys/kernel/tracing");
    }
    let events = "tracepoint/syscalls/sys_enter_getppid, software/page-faults";
    let host = Ebhost::start(llcstat::switched("pid", events, "getppid_calls, faults").path());
    let mut toucher = Toucher::start();
    let series = Series { names: ["getppid_calls", "faults"], by: "pid", value: toucher.pid().to_string() };
    let grown = series.grow(&host, &mut toucher, "getppid 777");
    assert_eq!(grown.charged, [777, grown.kernel.faults]);
    assert!(grown.cpus[0] >= 777);
    host.stop();
}

/// A machine of 1 024 CPUs, as far as the program can tell: the process has a bank among those of CPU 300, too.
#[test]
fn a_dead_process_has_no_series_left_on_a_machine_of_more_than_256_cpus() {
    needs!(Root);
    let _alone = alone();
    // Enough for the processes of a busy machine.
    const BANKS: u32 = 512;
    let [events, names] = FAULTS_AND_SWITCHES;
    let folder = llcstat::switched("pid", events, names);
    folder.amend("llcstat", "charges: 1024 per cpu", &format!("counts_cpus: 1024, charges: {}", 1024 * BANKS));
    let host = Ebhost::start(folder.path());
    let mut toucher = Toucher::start();
    let pid = toucher.pid().to_string();
    let series = |served: &Exposition| served.value("ebhost_page_faults_by_pid_total", &[("pid", &pid)]);
    toucher.order("pages 300");
    wait_until("a series of the process", Duration::from_secs(5), || series(&host.scrape()));

    let banks = KernelMap::of(host.pid(), "charges");
    let copied = wait_until("a bank of the process", Duration::from_secs(5), || {
        let mut bank = [0; BANK_BYTES];
        let found = (0..2 * BANKS)
            .find(|index| banks.lookup(&index.to_le_bytes(), &mut bank) && pid_of(&bank) == toucher.pid())?;
        Some(banks.update(&(300 * BANKS + found % BANKS).to_le_bytes(), &bank))
    });
    assert!(copied);
    let before = series(&host.scrape());
    assert!(before.is_some());
    drop(toucher);
    wait_until("the end of a dead process' series", Duration::from_secs(5), || {
        series(&host.scrape()).is_none().then_some(())
    });
    host.stop();
}

/// Bytes of a bank of llcstat: its head, a key of 16 bytes, the note, two counts.
const BANK_BYTES: usize = 48;

fn pid_of(bank: &[u8; BANK_BYTES]) -> u32 {
    u32::from_le_bytes(bank[8..12].try_into().expect("4 bytes"))
}

/// A process that has its counts in the map that all CPUs share loses nothing, and ends like one that has banks.
#[test]
fn a_process_without_a_bank_has_a_series_of_its_own_until_it_exits() {
    needs!(Root);
    let _alone = alone();
    let [events, names] = FAULTS_AND_SWITCHES;
    let folder = llcstat::switched("pid", events, names);
    folder.amend("llcstat", "charges: 1024 per cpu", "charges: 1");
    let host = Ebhost::start(folder.path());
    let mut toucher = Toucher::start();
    let series = faults_and_switches("pid", toucher.pid().to_string());
    is_exact(&series.grow(&host, &mut toucher, "pages 300"));
    let name = "ebhost_page_faults_by_pid_total";
    let exited = |served: &Exposition| served.value(name, &[("pid", "exited")]).unwrap_or_default();
    let before = host.scrape();
    drop(toucher);
    let after = wait_until("the end of a dead process' series", Duration::from_secs(5), || {
        let served = host.scrape();
        served.value(name, &[("pid", &series.value)]).is_none().then_some(served)
    });
    assert!(exited(&after) >= exited(&before), "no count decreases");
    host.stop();
}

/// More processes than there is room for: those without any are counted in `other`, and the sum equals that of the CPUs.
#[test]
fn without_a_free_place_counts_go_to_other() {
    needs!(Root);
    let _alone = alone();
    let [events, names] = FAULTS_AND_SWITCHES;
    let folder = llcstat::switched("pid", events, names);
    folder.amend("llcstat", "charges: 1024 per cpu, charges_spill: 4096", "charges: 1, charges_spill: 2");
    let host = Start::with(folder.path()).listening();
    let first = host.scrape();
    let mut touchers: Vec<_> = (0..4).map(|_| Toucher::start()).collect();
    touchers.iter_mut().for_each(|toucher| toucher.order("pages 300"));
    let last = host.scrape();
    let charged = |served: &Exposition, only: Option<&str>| -> f64 {
        let samples = served.samples().filter(|sample| sample.name == "ebhost_page_faults_by_pid_total");
        samples.filter(|sample| only.is_none_or(|pid| sample.labels["pid"] == pid)).map(|sample| sample.value).sum()
    };
    let other = charged(&last, Some("other")) - charged(&first, Some("other"));
    assert!(other >= 600.0, "at most two of four have a place: {other}");
    assert!(charged(&last, None) - charged(&first, None) >= 1200.0);
    let series = last.samples().filter(|sample| sample.name == "ebhost_page_faults_by_pid_total").count();
    assert!(series <= 2 + 3, "two places, other, unattributed, exited: {series}");
    host.stop();
}

/// Asserts that every event has this one state on every CPU.
fn states(served: &Exposition, events: &[&str], state: &str) {
    let found: Vec<_> = served.samples().filter(|sample| sample.name == "ebhost_perf_events").collect();
    assert_eq!(found.len(), events.len() * 4, "each event in each state: {found:?}");
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    for sample in found {
        assert!(events.contains(&sample.labels["event"].as_str()), "{sample:?}");
        assert_eq!(sample.value, if sample.labels["state"] == state { cpus } else { 0.0 }, "{sample:?}");
    }
}
