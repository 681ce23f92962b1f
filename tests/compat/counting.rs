//! What the kernel counts: in programs, and in maps of every type that configurations read.

use ebhost_tests::{KernelMap, Labels, alone, needs, wait_until};
use std::time::Duration;

use crate::drop_in::{DropIns, family, put};

/// A program that counts getpgid(2) by process, which no other process calls as often, and sends an event for each
/// call.
fn program() -> String {
    let number = libc::SYS_getpgid;
    format!(
        "
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*comm)(void *to, u32 size) = (void *)16;
static long (*output)(void *context, void *map, u64 flags, void *data, u64 size) = (void *)25;
struct key {{ u32 process; char comm[16]; u32 unused; }};
TABLE(calls_total, HASH, 24, 1024);
EVENTS(call_events_total);
SEC(\"raw_tp/sys_enter\") int on_enter(u64 *context)
{{
    if (context[1] != {number})
        return 0;
    struct key key = {{ .process = pid_tgid() >> 32 }};
    comm(key.comm, sizeof(key.comm));
    u64 one = 1, *count = lookup(&calls_total, &key);
    if (count)
        __sync_fetch_and_add(count, 1);
    else
        update(&calls_total, &key, &one, 0);
    output(context, &call_events_total, 0xffffffffULL, &key.process, sizeof(key.process));
    return 0;
}}
"
    )
}

const YAML: &str = "
metrics:
  counters:
    - name: calls_total
      help: Calls of getpgid(2).
      labels:
        - { name: process, size: 4, decoders: [{ name: uint }] }
        - { name: comm, size: 16, padding: 4, decoders: [{ name: string }] }
    - name: call_events_total
      help: The same, event by event.
      perf_event_array: true
      flush_interval: 10s
      labels: [{ name: process, size: 4, decoders: [{ name: uint }] }]
";

#[test]
fn a_program_counts_and_sends_events() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = DropIns::with("calls", &program(), YAML);
    let host = folder.listening("calls");
    let own = std::process::id().to_string();
    let of = |name: &str| {
        let served = host.scrape();
        let samples = served.families.get(name).map(|family| family.samples.as_slice()).unwrap_or_default();
        let own = samples.iter().filter(|sample| sample.labels["process"] == own);
        own.map(|sample| sample.value as u64).sum::<u64>()
    };
    let mut calls = 0;
    for round in [1, 100, 1_000] {
        for _ in 0..round {
            let _ = rustix::process::getpgid(None);
        }
        calls += round;
        assert_eq!(of("ebpf_exporter_calls_total"), calls);
        // Events stay in the host's buffers, which are emptied from time to time.
        wait_until("all events", Duration::from_secs(10), || {
            let events = of("ebpf_exporter_call_events_total");
            assert!(events <= calls, "{events} events of {calls} calls");
            (events == calls).then_some(())
        });
    }
    host.stop();
}

const KINDS: &str = "
metrics:
  counters:
    - { name: one_total, help: One number. }
    - { name: slots_total, help: Every slot., labels: [{ name: slot, size: 4, decoders: [{ name: uint }] }] }
    - { name: summed_total, help: Over CPUs., labels: [{ name: id, size: 4, decoders: [{ name: uint }] }] }
    - name: by_cpu_total
      help: CPU by CPU.
      labels:
        - { name: id, size: 4, decoders: [{ name: uint }] }
        - { name: cpu, size: 2, decoders: [{ name: uint }] }
    - { name: cpu_total, help: Of each CPU., labels: [{ name: cpu, size: 2, decoders: [{ name: uint }] }] }
    - name: folded
      help: Equal labels, in a counter without _total.
      labels:
        - { name: name, size: 8, decoders: [{ name: string }] }
    - { name: recent_total, help: What an LRU map keeps., labels: [{ name: id, size: 4, decoders: [{ name: uint }] }] }
";

#[test]
fn every_kind_of_map_is_served() {
    needs!(Root, Tool("clang-19"));
    let source = "
        TABLE(one_total, ARRAY, 4, 3);
        TABLE(slots_total, ARRAY, 4, 4);
        TABLE(summed_total, PER_CPU_HASH, 4, 16);
        TABLE(by_cpu_total, PER_CPU_HASH, 4, 16);
        TABLE(cpu_total, PER_CPU_ARRAY, 4, 1);
        TABLE(folded, HASH, 8, 16);
        TABLE(recent_total, LRU_HASH, 4, 16);
    ";
    let folder = DropIns::with("kinds", source, KINDS);
    let host = folder.listening("kinds");
    let four = |map, number: u32, value| put(&host, map, &number.to_le_bytes(), value);
    four("one_total", 0, 7);
    four("one_total", 2, 1_000);
    four("slots_total", 2, 5);
    four("summed_total", 9, 3);
    let cpus = KernelMap::of(host.pid(), "summed_total").cpus() as u64;
    let different: Vec<u8> = (0..cpus).flat_map(|cpu| (cpu + 1).to_le_bytes()).collect();
    for map in ["by_cpu_total", "cpu_total"] {
        assert!(KernelMap::of(host.pid(), map).update(&[0; 4], &different));
    }
    put(&host, "folded", b"same\0\0\0a", 2);
    put(&host, "folded", b"same\0\0\0b", 40);
    four("recent_total", 1, 1);

    let of = |name: &str| family(&host, &format!("ebpf_exporter_{name}"))[1..].to_vec();
    assert_eq!(of("one_total"), ["# TYPE ebpf_exporter_one_total counter", "ebpf_exporter_one_total 7"]);
    let slots = [0, 0, 5, 0].iter().enumerate();
    let slots: Vec<_> =
        slots.map(|(slot, value)| format!("ebpf_exporter_slots_total{{slot=\"{slot}\"}} {value}")).collect();
    assert_eq!(of("slots_total")[1..], slots, "zeros too");
    assert_eq!(of("summed_total")[1..], [format!("ebpf_exporter_summed_total{{id=\"9\"}} {}", 3 * cpus)]);
    let each = |head: &str| {
        let line = |cpu| format!("ebpf_exporter_{head}cpu=\"{cpu}\"}} {}", cpu + 1);
        (0..cpus).map(line).collect::<Vec<_>>()
    };
    assert_eq!(of("by_cpu_total")[1..], each("by_cpu_total{id=\"0\","));
    assert_eq!(of("cpu_total")[1..], each("cpu_total{"));
    assert_eq!(of("folded"), ["# TYPE ebpf_exporter_folded counter", "ebpf_exporter_folded{name=\"same\"} 42"]);
    assert_eq!(of("recent_total")[1..], ["ebpf_exporter_recent_total{id=\"1\"} 1"]);
    host.stop();
}

/// The kernel requires an integer type for an array's key: with an `enum` it creates the map, but not with its BTF
/// types.
#[test]
fn a_map_whose_types_the_kernel_refuses_is_created_without_them() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let (number, process) = (libc::SYS_getpgid, std::process::id());
    let source = format!(
        "
enum slot {{ CALLS = 2 }};
MAP(plain_total, u32, u64);
MAP(named_total, enum slot, u64);
static void *(*lookup)(void *map, const void *key) = (void *)1;
static u64 (*pid_tgid)(void) = (void *)14;
SEC(\"raw_tp/sys_enter\") int on_enter(u64 *context)
{{
    enum slot slot = CALLS;
    if (context[1] != {number} || pid_tgid() >> 32 != {process})
        return 0;
    u64 *plain = lookup(&plain_total, &slot), *named = lookup(&named_total, &slot);
    if (plain && named) {{
        __sync_fetch_and_add(plain, 1);
        __sync_fetch_and_add(named, 1);
    }}
    return 0;
}}
"
    );
    let yaml = "
metrics:
  counters:
    - { name: plain_total, help: H., labels: [{ name: slot, size: 4, decoders: [{ name: uint }] }] }
    - { name: named_total, help: H., labels: [{ name: slot, size: 4, decoders: [{ name: uint }] }] }
";
    let folder = DropIns::with("types", &source, yaml);
    let host = folder.listening("types");
    for (map, has_types) in [("plain_total", true), ("named_total", false)] {
        assert_eq!(KernelMap::of(host.pid(), map).has_types(), has_types, "{map}");
    }
    (0..300).for_each(|_| _ = rustix::process::getpgid(None));
    let served = host.scrape();
    for family in ["ebpf_exporter_plain_total", "ebpf_exporter_named_total"] {
        let slots = ["0", "1", "2", "3"].map(|slot| served.value(family, &[("slot", slot)]));
        assert_eq!(slots, [0.0, 0.0, 300.0, 0.0].map(Some), "{family}");
    }
    host.stop();
}

/// A steady scrape works the same for this component: identities that it has labelled are not passed to it again.
#[test]
fn a_steady_scrape_does_not_call_the_component() {
    needs!(Root, Tool("clang-19"));
    const ENTRIES: u64 = 100_000;
    let yaml = "
metrics:
  counters:
    - name: many_total
      help: H.
      labels:
        - { name: id, size: 8, decoders: [{ name: uint }] }
        - { name: kind, size: 8, decoders: [{ name: uint }, { name: static_map, static_map: { 0: even, 1: odd } }] }
";
    let folder = DropIns::with("many", "TABLE(many_total, HASH, 16, 131072);", yaml);
    let host = folder.listening("many");
    let map = KernelMap::of(host.pid(), "many_total");
    let keys: Vec<u8> = (0..ENTRIES).flat_map(|id| [id.to_le_bytes(), (id % 2).to_le_bytes()].concat()).collect();
    let values = |round: u64| (0..ENTRIES).flat_map(|id| (id + round).to_le_bytes()).collect::<Vec<_>>();
    map.update_all(&keys, &values(1));
    let own = |name: &str| {
        let is_its = |labels: &Labels| labels.get("plugin").is_none_or(|plugin| plugin == "many");
        let served = host.scrape();
        let family = served.families.values().find(|family| family.samples.iter().any(|sample| sample.name == name));
        let sample = family.and_then(|family| {
            family
                .samples
                .iter()
                .find(|sample| sample.name == name && is_its(&sample.labels))
                .map(|sample| sample.value)
        });
        sample.unwrap_or_else(|| panic!("{name} is served")) as u64
    };
    wait_until("all entries to be labelled", Duration::from_secs(20), || {
        (own("ebhost_plugin_series") == ENTRIES && own("ebhost_plugin_unlabelled") == 0).then_some(())
    });
    let (asked, calls) =
        (own("ebhost_plugin_decoded_entries_total"), own("ebhost_plugin_decode_duration_seconds_count"));
    assert_eq!(asked, ENTRIES, "each once");
    for round in 2..5 {
        map.update_all(&keys, &values(round));
        let served = host.scrape();
        let samples = &served.families["ebpf_exporter_many_total"].samples;
        assert_eq!(samples.len() as u64, ENTRIES);
        for sample in samples {
            let id: u64 = sample.labels["id"].parse().expect("a number");
            assert_eq!(sample.value as u64, id + round, "{id}");
            assert_eq!(sample.labels["kind"], if id.is_multiple_of(2) { "even" } else { "odd" });
        }
    }
    assert_eq!(own("ebhost_plugin_decoded_entries_total"), asked);
    assert_eq!(own("ebhost_plugin_decode_duration_seconds_count"), calls);
    host.stop();
}
