//! Cost of labelling new entries, in ns per entry, in the sandbox and in all: `cargo bench --workspace --bench decode`.
//!
//! Keys are synthetic and each has labels of its own; no kernel and no series table is involved. A component written for these keys and
//! the built-in one, by configuration, label the same keys. Both are read from their files, so that one can be rebuilt alone.

#![allow(clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use ebhost_limits as limits;
use ebhost_package::{Artefact, Compat};
use ebhost_plugin_host::{DecodeRequest, Engine, ManifestContext, Pace, Plugin, PluginLimits, Progress};
use ebhost_series::schema::SourceShape;

const KEY: usize = 16;
const ENTRIES: usize = 100 * limits::BATCH_ENTRIES;
const ROUNDS: u64 = 7;

/// Name, file and config of each component. The second's config makes it label as the first does.
const COMPONENTS: [(&str, &str, &str); 2] = [
    ("maps", "bench/packages/maps/maps.wasm", r#"{"read": ["hash"]}"#),
    (
        "builtin",
        "plugins/builtin/builtin.wasm",
        r#"{
            "host": {
                "package": "bench", "architecture": "x86_64", "is_ebpf_exporter": false, "syscall_names": "kernel",
                "maps": {"hash": {"kind": "table", "key_size": 16, "value_size": 8}}
            },
            "metrics": {"counters": [{"name": "hash_calls_total", "help": "Made-up calls.", "map": "hash", "labels": [
                {"name": "id", "size": 8, "decoders": [{"name": "uint"}]},
                {"name": "group", "size": 4, "decoders": [{"name": "uint"}]},
                {"name": "kind", "size": 4, "decoders": [{"name": "uint"}, {"name": "static_map", "static_map": {
                    "0": "read", "1": "write", "2": "open", "3": "close", "4": "sync", "5": "lock", "6": "poll", "7": "other"
                }}]}
            ]}]}
        }"#,
    ),
];

fn main() {
    let engine = Engine::new(None, None).expect("an engine");
    for (name, path, config) in COMPONENTS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let compiled = engine.compile(&Artefact::new(path, bytes)).unwrap_or_else(|error| panic!("{error}"));
        let sources = BTreeMap::from([("hash".to_owned(), SourceShape::Table { key_size: KEY, value_size: 8 })]);
        let limits = PluginLimits { memory_bytes: 64 << 20, decode: Duration::from_millis(500), pace: Pace::Scrape };
        let context = ManifestContext { sources: &sources, grants: &[], compat: Compat::Native };
        let mut plugin =
            Plugin::describe(name, compiled, config, limits, &context).unwrap_or_else(|error| panic!("{error}"));
        let rounds = (0..ROUNDS).map(|round| {
            let before = plugin.tally().guest_time;
            let whole = label_all(&mut plugin, round);
            (whole, plugin.tally().guest_time - before)
        });
        let (whole, inside): (Vec<_>, Vec<_>) = rounds.unzip();
        let memory = plugin.tally().memory_bytes >> 10;
        println!("{name:<8} {:>6.1} ns/entry, {:>6.1} in the call, {memory} KiB", least(&whole), least(&inside));
    }
}

/// The fastest round, in ns per entry: whatever else the machine does only adds.
fn least(rounds: &[Duration]) -> f64 {
    rounds.iter().min().map_or(0.0, |least| least.as_nanos() as f64 / ENTRIES as f64)
}

/// Time of this thread for labelling [`ENTRIES`] new keys in batches.
fn label_all(plugin: &mut Plugin, round: u64) -> Duration {
    let mut spent = Duration::ZERO;
    for batch in 0..(ENTRIES / limits::BATCH_ENTRIES) as u64 {
        let mut request = DecodeRequest { view: 0, count: limits::BATCH_ENTRIES, ..DecodeRequest::default() };
        for entry in 0..limits::BATCH_ENTRIES as u64 {
            let id = 1_000_000 + round * ENTRIES as u64 + batch * limits::BATCH_ENTRIES as u64 + entry;
            request.identities.extend_from_slice(&id.to_le_bytes());
            request.identities.extend_from_slice(&(id as u32 % 1000).to_le_bytes());
            request.identities.extend_from_slice(&(entry as u32 % 8).to_le_bytes());
        }
        let started = spent_by_thread();
        let now = Instant::now();
        let until = now + Duration::from_secs(10);
        assert!(plugin.begin_scrape(now, until), "the package has no faults");
        let progress =
            plugin.decode(&request, until, &mut |_, answers| assert!(answers.is_ok(), "the package has no faults"));
        spent += spent_by_thread() - started;
        assert_eq!(progress, Progress::Done, "asked in time");
    }
    spent
}

fn spent_by_thread() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
