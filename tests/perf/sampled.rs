//! Programs that are run by samples of perf events.

use std::{
    fs,
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Folder, alone, compile, llcstat, needs};

use crate::toucher::Toucher;

/// With a sample at every event, the estimate of the process that caused it is an exact count.
#[test]
fn a_sample_at_every_event_is_exact() {
    needs!(Root);
    let _alone = alone();
    let folder = llcstat::alone(
        "perf:\n  llc: { events: [software/page-faults, software/context-switches] }\n  \
         faults: { events: [software/page-faults], sample_period: 1, program: sample_references }\n\
         bpf:\n  object: llcstat.bpf.o\n  programs: [sched_process_exit]\n  globals: { targ_by: 3 }\n  \
         max_entries: { charges: 1024 per cpu, charges_spill: 4096, folded: 2 per cpu }\n\
         config: { by: pid, names: [faults, switches] }\n",
    );
    let host = Ebhost::start(folder.path());
    let mut toucher = Toucher::start();
    let pid = toucher.pid().to_string();
    let charged = || host.scrape().value("ebhost_faults_by_pid_total", &[("pid", &pid)]).unwrap_or_default() as u64;
    let (first, kernel_first) = (charged(), toucher.kernel());
    toucher.order("pages 300");
    let (last, kernel_last) = (charged(), toucher.kernel());
    let kernel = kernel_last - kernel_first;
    assert!(kernel.faults >= 300);
    assert_eq!(last - first, kernel.faults);
    host.stop();
}

/// A program's section alone names its event, as in ebpf_exporter.
#[test]
fn a_section_names_its_event() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = Folder::with_biolatency();
    let source = "
        MAP(banks, u32, struct bank);
        HASH(banks_spill, u64, struct bank);
        MAP(banks_stats, u32, u64);
        MAP(lost, u32, u64);
        MAP(slow, u32, u64);
        static void *(*lookup)(void *, const void *) = (void *)1;
        SEC(\"perf_event/type=1,config=0,frequency=100\") int tick(void *ctx) {
            u32 key = 1;
            u64 *count = lookup(&lost, &key);
            if (count) __sync_fetch_and_add(count, 1);
            return 0;
        }";
    compile(source, "bpf", &folder.path().join("biolatency/biolatency.bpf.o"));
    let file = folder.path().join("biolatency/plugin.yaml");
    let text = "name: biolatency\ncomponent: biolatency.wasm\nbpf: { object: biolatency.bpf.o }\ngrants: [disk]\n";
    fs::write(file, text).expect("our own file");
    let host = Ebhost::start(folder.path());
    let ticks = || {
        let served = host.scrape();
        let state = [("plugin", "biolatency"), ("source", "tick"), ("event", "software/cpu-clock"), ("state", "live")];
        assert!(served.value("ebhost_perf_events", &state) >= Some(1.0));
        served.value("ebhost_bio_latency_lost_total", &[("reason", "starts_full")]).unwrap_or_default()
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let (before, first, began) = (Instant::now(), ticks(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let (ended, last, after) = (Instant::now(), ticks(), Instant::now());
    // A hundred a second on each CPU that is not idle. A virtual machine that is not run for a while gets its late ticks as one.
    let (least, most) = ((ended - began).as_secs_f64() * 100.0, (after - before).as_secs_f64() * 100.0 * cpus);
    let counted = last - first;
    assert!(counted >= least * 0.5 && counted <= most * 1.02 + cpus, "{counted} ticks, expected {least} to {most}");
    host.stop();
}
