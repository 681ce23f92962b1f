//! Events that a perf event array has no room for. ebpf_exporter drops them silently.

use std::time::Duration;

use ebhost_tests::{Ebhost, alone, needs, wait_until};
use rustix::{
    process::{Signal, getpgid},
    thread::{CpuSet, sched_setaffinity},
};

use crate::{drop_in::DropIns, faults::own};

/// A program that writes an event and counts for each getpgid(2) of this process.
fn program() -> String {
    let (number, process) = (libc::SYS_getpgid, std::process::id());
    format!(
        "
static void *(*lookup)(void *map, const void *key) = (void *)1;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*output)(void *context, void *map, u64 flags, void *data, u64 size) = (void *)25;
TABLE(written_total, ARRAY, 4, 1);
EVENTS(seen_total);
SEC(\"raw_tp/sys_enter\") int on_enter(u64 *context)
{{
    u32 slot = 0, process = pid_tgid() >> 32;
    if (context[1] != {number} || process != {process})
        return 0;
    u64 *written = lookup(&written_total, &slot);
    if (written)
        __sync_fetch_and_add(written, 1);
    output(context, &seen_total, 0xffffffffULL, &process, sizeof(process));
    return 0;
}}
"
    )
}

const YAML: &str = "
metrics:
  counters:
    - { name: written_total, help: What the program wrote. }
    - name: seen_total
      help: What came.
      perf_event_array: true
      labels: [{ name: process, size: 4, decoders: [{ name: uint }] }]
";

/// The events that were written, read, and lost.
fn events(host: &Ebhost) -> [u64; 3] {
    let served = host.scrape();
    let process = std::process::id().to_string();
    let lost = [("plugin", "events"), ("source", "seen_total")];
    [
        served.value("ebpf_exporter_written_total", &[]),
        served.value("ebpf_exporter_seen_total", &[("process", &process)]),
        served.value("ebhost_events_lost_total", &lost),
    ]
    .map(|value| value.unwrap_or_default() as u64)
}

#[test]
fn every_lost_event_is_counted() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = DropIns::with("events", &program(), YAML);
    let host = folder.listening("events");
    // All events go into the buffer of one CPU.
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(None, &first).expect("every machine has a first CPU");
    let call = |times: u64| (0..times).for_each(|_| _ = getpgid(None));
    let whole = |what: &str| {
        wait_until(what, Duration::from_secs(10), || {
            let [written, seen, lost] = events(&host);
            assert!(seen + lost <= written, "{seen} seen and {lost} lost of {written}");
            (seen + lost == written).then_some([written, seen, lost])
        })
    };
    call(100);
    assert_eq!(whole("all events"), [100, 100, 0]);
    // Nobody empties the buffer, which has room for about ten thousand events.
    host.tell(Signal::STOP);
    call(40_000);
    host.tell(Signal::CONT);
    // The events in the buffer are read. The kernel reports lost events with the next event.
    wait_until("what the buffer held", Duration::from_secs(10), || (events(&host)[1] > 100).then_some(()));
    call(1);
    let [written, seen, lost] = whole("all events, seen or lost");
    assert_eq!(written, 40_101);
    assert!(lost > 10_000 && seen > 5_000, "{seen} seen, {lost} lost");
    let source = "{plugin=\"events\",source=\"seen_total\"}";
    assert_eq!(own(&host, &format!("ebhost_events_read_total{source}")), seen.to_string());
    host.stop();
}
