//! Reads that go wrong: keys that are deleted at the position of the walk, and maps that cannot be read. ebpf_exporter
//! loses the metric or counts entries twice, silently.

use ebhost_tests::{Ebhost, KernelMap, needs};

use crate::{
    drop_in::{DropIns, put},
    faults::own,
};

/// More entries than two batches, fewer than a package's series limit.
const ENTRIES: u32 = 9_000;

/// The kernel continues the walk of a trie after a key, and from the beginning if that key was deleted. This program
/// deletes the key at the position of the host's walk just before it continues: as often as `control` says, and, if
/// `control` says so, inserts the key again the next time.
fn disturber() -> String {
    let number = libc::SYS_bpf;
    format!(
        "
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*delete)(void *map, const void *key) = (void *)3;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
struct {{ int (*type)[11]; int (*max_entries)[{ENTRIES}]; int (*key_size)[8]; int (*value_size)[8]; int (*map_flags)[1]; }}
    routes_total SEC(\".maps\");
TABLE(control, ARRAY, 4, 8);
enum {{ WHOM, TIMES, PUTS_BACK, TAKEN, KEY, VALUE }};
static inline u64 *at(u32 slot) {{ return lookup(&control, &slot); }}
SEC(\"raw_tp/sys_enter\") int on_enter(u64 *context)
{{
    u64 *whom = at(WHOM), *times = at(TIMES), *puts_back = at(PUTS_BACK), *taken = at(TAKEN);
    u64 *kept_key = at(KEY), *kept_value = at(VALUE);
    if (!whom || !times || !puts_back || !taken || !kept_key || !kept_value)
        return 0;
    if (context[1] != {number} || pid_tgid() >> 32 != *whom)
        return 0;
    u64 command = 0, attributes = 0, after = 0, key = 0;
    read_kernel(&command, 8, (void *)context[0] + 112);
    read_kernel(&attributes, 8, (void *)context[0] + 104);
    if ((u32)command != 24)
        return 0;
    if (*kept_key)
        update(&routes_total, kept_key, kept_value, 0);
    *kept_key = 0;
    read_user(&after, 8, (void *)attributes);
    if (!*times || !after || read_user(&key, 8, (void *)after))
        return 0;
    u64 *value = lookup(&routes_total, &key);
    if (!value)
        return 0;
    if (*puts_back) {{
        *kept_key = key;
        *kept_value = *value;
    }}
    delete(&routes_total, &key);
    *times -= 1;
    *taken += 1;
    return 0;
}}
"
    )
}

const YAML: &str = "
metrics:
  counters:
    - name: routes_total
      help: H.
      labels:
        - { name: length, size: 4, decoders: [{ name: uint }] }
        - { name: route, size: 4, decoders: [{ name: inet_ip }] }
";

/// The addresses from 10.0.0.0/32 on, in the order of the walk.
fn key(id: u32) -> Vec<u8> {
    [32u32.to_le_bytes(), (10 << 24 | id).to_be_bytes()].concat()
}

fn fill(host: &Ebhost, round: u64) {
    let map = KernelMap::of(host.pid(), "routes_total");
    (0..ENTRIES).for_each(|id| assert!(map.update(&key(id), &(u64::from(id) + round).to_le_bytes())));
}

/// The number of series, the sum of their values, and the number of entries that the read returned.
fn routes(host: &Ebhost) -> (u64, u64, u64) {
    let served = host.scrape();
    let samples = &served.families["ebpf_exporter_routes_total"].samples;
    let entries = served.value("ebhost_map_entries", &[("plugin", "routes"), ("map", "routes_total")]);
    let sum = samples.iter().map(|sample| sample.value as u64).sum();
    (samples.len() as u64, sum, entries.expect("each map has it") as u64)
}

fn errors(host: &Ebhost) -> String {
    own(host, "ebhost_map_read_errors_total{plugin=\"routes\",map=\"routes_total\"}")
}

/// What the program does to the host's reads from now on.
struct Disturbing {
    times: u64,
    puts_back: bool,
}

fn disturb(host: &Ebhost, how: &Disturbing) {
    let slots = [(1u32, how.times), (2, how.puts_back.into()), (3, 0), (0, host.pid().into())];
    slots.iter().for_each(|(slot, value)| put(host, "control", &slot.to_le_bytes(), *value));
}

/// The number of keys that the program has deleted.
fn taken(host: &Ebhost) -> u64 {
    let mut taken = [0; 8];
    assert!(KernelMap::of(host.pid(), "control").lookup(&3u32.to_le_bytes(), &mut taken));
    u64::from_le_bytes(taken)
}

/// The expected result of `fill`.
fn whole(round: u64) -> (u64, u64, u64) {
    let count = u64::from(ENTRIES);
    (count, count * (count - 1) / 2 + round * count, count)
}

#[test]
fn a_key_deleted_at_the_position_of_the_walk_affects_only_its_own_series() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("routes", &disturber(), YAML);
    let host = folder.listening("routes");
    fill(&host, 1);
    assert_eq!(routes(&host), whole(1));
    disturb(&host, &Disturbing { times: 1, puts_back: false });
    // The key was read before it was deleted; the keys before it were read twice.
    assert_eq!((routes(&host), taken(&host)), (whole(1), 1));
    // The last key of the first batch.
    let (series, sum, entries) = whole(1);
    assert_eq!(routes(&host), (series - 1, sum - 4_096, entries - 1));
    assert_eq!(errors(&host), "0", "it reached the end");
    host.stop();
}

#[test]
fn a_walk_that_restarts_too_often_is_abandoned_and_counted() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("routes", &disturber(), YAML);
    let host = folder.listening("routes");
    fill(&host, 1);
    assert_eq!(routes(&host), whole(1));
    for scrapes in 1..=3 {
        disturb(&host, &Disturbing { times: u64::MAX, puts_back: true });
        let (series, sum, entries) = routes(&host);
        assert_eq!((series, sum), (whole(1).0, whole(1).1), "nothing is gone, nothing twice");
        assert!(entries < series && taken(&host) > 4, "{entries} entries, {} keys taken", taken(&host));
        disturb(&host, &Disturbing { times: 0, puts_back: true });
        assert_eq!(errors(&host), scrapes.to_string());
    }
    fill(&host, 1_000);
    assert_eq!(routes(&host), whole(1_000));
    assert_eq!(errors(&host), "3");
    let log = host.stop();
    assert!(log.text().contains("sent it back to the beginning too often"), "{}", log.text());
}

/// Frozen for system calls, so that only programs can read it.
#[test]
fn a_map_that_cannot_be_read_counts_each_attempt() {
    needs!(Root, Tool("clang-19"));
    let source = "
        TABLE(open_total, HASH, 4, 16);
        struct { int (*type)[HASH]; int (*max_entries)[16]; int (*key_size)[4]; int (*value_size)[8]; int (*map_flags)[16]; }
            closed_total SEC(\".maps\");
        SEC(\"raw_tp/sched_process_exec\") int idle(void *context) { return 0; }
    ";
    let yaml = "
metrics:
  counters:
    - { name: closed_total, help: H., labels: [{ name: it, size: 4, decoders: [{ name: uint }] }] }
    - { name: open_total, help: H., labels: [{ name: it, size: 4, decoders: [{ name: uint }] }] }
";
    let folder = DropIns::with("closed", source, yaml);
    let host = folder.listening("closed");
    put(&host, "open_total", &[1, 0, 0, 0], 5);
    let errors = |map: &str| {
        let served = host.scrape();
        let errors = served.value("ebhost_map_read_errors_total", &[("plugin", "closed"), ("map", map)]);
        (errors.expect("each map has it") as u64, served.value("ebpf_exporter_open_total", &[("it", "1")]))
    };
    for scrapes in 1..=3 {
        assert_eq!(errors("closed_total"), (scrapes, Some(5.0)));
    }
    assert_eq!(errors("open_total"), (0, Some(5.0)));
    let log = host.stop();
    assert!(log.text().contains("source was not read whole: Operation not permitted"), "{}", log.text());
}
