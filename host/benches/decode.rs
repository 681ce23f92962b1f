//! What labelling costs inside and at the edge of the sandbox, in ns per entry that was never seen: `cargo bench --workspace --bench decode`.
//!
//! Keys are made up, each with labels of its own: no kernel, no table.

#![allow(clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ebhost::{
    limits,
    package::Package,
    plugin::{Ask, Asked, Context, Engine, Plugin, PluginLimits},
    series::schema::SourceShape,
};

const KEY: usize = 16;
const ENTRIES: usize = 100 * limits::BATCH_ENTRIES;

fn main() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/packages/maps/plugin.yaml");
    let package = Package::read(&file).unwrap_or_else(|error| panic!("{error}"));
    let engine = Engine::new(None, None).expect("an engine");
    let compiled = Arc::new(engine.compile(&package.component).unwrap_or_else(|error| panic!("{error}")));
    let sources = BTreeMap::from([("hash".to_owned(), SourceShape::Table { key_size: KEY, value_size: 8 })]);
    let limits = PluginLimits { memory_bytes: package.limits.memory_bytes, decode: package.limits.decode };
    let context = Context { sources: &sources, grants: &[], dialect: package.dialect };
    let config = r#"{"read":["hash"]}"#;
    let mut plugin =
        Plugin::describe("maps", compiled, config, limits, &context).unwrap_or_else(|error| panic!("{error}"));
    for round in 0..5 {
        println!("{:>6.1} ns/entry", ask_all(&mut plugin, round).as_nanos() as f64 / ENTRIES as f64);
    }
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
