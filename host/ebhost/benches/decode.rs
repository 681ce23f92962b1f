//! What labelling costs inside and at the edge of the sandbox, in ns per entry that was never seen: `cargo bench --workspace --bench decode`.
//!
//! Keys are made up, each with labels of its own: no kernel, no table. The same keys are labelled by a component of one's own and
//! by the host's, by configuration; both are read from their files, so that a component alone can be made anew.

#![allow(clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ebhost_limits as limits;
use ebhost_package::{Artefact, Compat};
use ebhost_plugin_host::{Ask, Asked, Context, Engine, Plugin, PluginLimits};
use ebhost_series::schema::SourceShape;

const KEY: usize = 16;
const ENTRIES: usize = 100 * limits::BATCH_ENTRIES;
const ROUNDS: u64 = 7;

/// Components and what they are told; the second as the host tells it, and as the first labels.
const COMPONENTS: [(&str, &str, &str); 2] = [
    ("maps", "bench/packages/maps/maps.wasm", r#"{"read": ["hash"]}"#),
    (
        "builtin",
        "plugins/builtin/builtin.wasm",
        r#"{
            "host": {
                "architecture": "x86_64", "is_peers": false, "maps": {"hash": {"kind": "table", "key_size": 16, "value_size": 8}}
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
        let limits = PluginLimits { memory_bytes: 64 << 20, decode: Duration::from_millis(500) };
        let context = Context { sources: &sources, grants: &[], compat: Compat::Native };
        let mut plugin = Plugin::describe(name, Arc::new(compiled), config, limits, &context)
            .unwrap_or_else(|error| panic!("{error}"));
        let rounds = (0..ROUNDS).map(|round| {
            let before = plugin.tally().guest_time;
            let whole = ask_all(&mut plugin, round);
            (whole, plugin.tally().guest_time - before)
        });
        let (whole, inside): (Vec<_>, Vec<_>) = rounds.unzip();
        let memory = plugin.tally().memory_bytes >> 10;
        println!("{name:<8} {:>6.1} ns/entry, {:>6.1} in the call, {memory} KiB", least(&whole), least(&inside));
    }
}

/// What else the machine did only adds.
fn least(rounds: &[Duration]) -> f64 {
    rounds.iter().min().map_or(0.0, |least| least.as_nanos() as f64 / ENTRIES as f64)
}

/// Asks about that many new keys, in batches.
fn ask_all(plugin: &mut Plugin, round: u64) -> Duration {
    let mut spent = Duration::ZERO;
    for batch in 0..(ENTRIES / limits::BATCH_ENTRIES) as u64 {
        let mut ask = Ask { view: 0, count: limits::BATCH_ENTRIES, ..Ask::default() };
        for entry in 0..limits::BATCH_ENTRIES as u64 {
            let id = 1_000_000 + round * ENTRIES as u64 + batch * limits::BATCH_ENTRIES as u64 + entry;
            ask.identities.extend_from_slice(&id.to_le_bytes());
            ask.identities.extend_from_slice(&(id as u32 % 1000).to_le_bytes());
            ask.identities.extend_from_slice(&(entry as u32 % 8).to_le_bytes());
        }
        let started = spent_by_thread();
        let now = Instant::now();
        let until = now + Duration::from_secs(10);
        assert!(plugin.begin(now, until), "the package has no faults");
        let asked = plugin.ask(&ask, until, &mut |_, answers| assert!(answers.is_ok(), "the package has no faults"));
        spent += spent_by_thread() - started;
        assert_eq!(asked, Asked::Whole, "asked in time");
    }
    spent
}

fn spent_by_thread() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
