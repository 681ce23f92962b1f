//! A component that commits the fault that its config names: `{"fault": "spin", "family": "x_total"}`.
//!
//! It reads the array `banks` of biolatency's BPF object and takes the key as the identity, so there are as many identities as the map has
//! entries. Without a fault it works correctly: the label `bank` is the index.

#![allow(unsafe_code, reason = "a component that misbehaves on purpose")]
#![allow(clippy::all, unconditional_recursion, reason = "the code is wrong on purpose")]
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively nothing is exported"))]

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

use std::cell::{Cell, RefCell};

use ebhost::plugin::log::{Level, write};
use exports::ebhost::plugin::decoder::{
    Batch, Family, Field, Fold, Guest, Kind, Label, Lookup, Manifest, Number, Part, Reason, Refusal, Rows, Series,
    Value, View,
};

thread_local! {
    static FAULT: RefCell<String> = const { RefCell::new(String::new()) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// The index of the one entry that the faults named `…-one` affect.
const ONE: u32 = 77;

struct Misbehaving;

#[cfg(target_family = "wasm")]
export!(Misbehaving);

impl Guest for Misbehaving {
    fn describe(config: String) -> Result<Manifest, String> {
        let config: serde_json::Value = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        let text = |key: &str, default: &str| config[key].as_str().unwrap_or(default).to_owned();
        let fault = text("fault", "");
        let mut family = family(&text("family", "misbehaving_total"));
        let mut view = view();
        match fault.as_str() {
            "describe-trap" => unreachable(),
            "describe-spin" => spin(),
            "describe-grow" => grow(),
            "describe-recursion" => drop(recurse(1)),
            "describe-refuse" => return Err("the config is not to my taste\n\x1b[2Jnot at all".into()),
            "family-name" => family.name = "9 lives\n_total".into(),
            "family-own" => family.name = "plugin_up_total".into(),
            "family-of-another" => {
                family.name = "bio_latency_seconds_count_total".into();
                let mut histogram = self::family("bio_latency_seconds");
                histogram.kind = Kind::Gauge(Fold::Sum);
                return Ok(Manifest { families: vec![histogram], views: vec![gauge(view)] });
            }
            "label-name" => family.labels = vec!["le".into()],
            "label-twice" => {
                family.labels = vec!["a".into(), "a".into()];
                view.series[0].labels = vec![Label::Column(0), Label::Column(0)];
            }
            "no-families" => return Ok(Manifest { families: vec![], views: vec![] }),
            "many-families" => {
                let families = (0..5_000).map(|n| self::family(&format!("f{n}_total"))).collect();
                return Ok(Manifest { families, views: vec![view] });
            }
            "long-help" => family.help = "x".repeat(4 << 20),
            "factor" => family.per = f64::NAN,
            "bounds" => {
                family.name = "misbehaving".into();
                family.kind = Kind::Histogram(vec![2.0, 1.0]);
            }
            "key-size" => view.key_size = 8,
            "value-range" => view.series[0].value = number(u32::MAX, 8),
            "identity-range" => view.identity = vec![Field { part: Part::Key, offset: u32::MAX, length: 4 }],
            "family-index" => view.series[0].family = 1_000_000,
            "column-index" => view.series[0].labels = vec![Label::Column(7)],
            "source" => view.source = "no_such_map".into(),
            "table-unknown" => view.lookups = vec![Lookup { table: "passwords".into(), field: 0 }],
            "table-ungranted" => view.lookups = vec![Lookup { table: "network-interface".into(), field: 0 }],
            "many-columns" => {
                view.columns = u32::MAX;
                view.series[0].labels = vec![Label::Column(0)];
            }
            _ => {}
        }
        FAULT.set(fault);
        Ok(Manifest { families: vec![family], views: vec![view] })
    }

    fn decode(batch: Batch) -> Rows {
        let calls = CALLS.get() + 1;
        CALLS.set(calls);
        let fault = FAULT.take();
        let rows = answer(&fault, &batch, calls);
        FAULT.set(fault);
        rows
    }
}

fn answer(fault: &str, batch: &Batch, calls: u32) -> Rows {
    let indices: Vec<u32> =
        batch.identities.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let one = indices.iter().position(|index| *index == ONE);
    let mut rows = Rows {
        dictionary: indices.iter().map(u32::to_string).collect(),
        labels: (0..batch.count).collect(),
        buckets: vec![],
        refused: vec![],
    };
    let refusal = |entry, why: &str| Refusal { entry, why: Reason::Unknown(why.into()) };
    match fault {
        "trap" => {
            write(Level::Error, "I am about to fall");
            unreachable();
        }
        "trap-one" if one.is_some() => unreachable(),
        "trap-third" if calls % 3 == 0 => unreachable(),
        "spin" => spin(),
        "spin-one" if one.is_some() => spin(),
        "recursion" => drop(recurse(1)),
        "deep" => drop(sink(u32::MAX)),
        "half-deep" => drop(sink(2_000)),
        "grow" => grow(),
        "grow-one" if one.is_some() => grow(),
        "oob" => read_beyond(),
        "divide" => drop(write(Level::Info, &(1 / (batch.count - batch.count)).to_string())),
        "long-string" => rows.dictionary.push("x".repeat(65 << 20)),
        "many-strings" => rows.dictionary = vec![String::new(); 1 << 20],
        "no-rows" => rows.labels.clear(),
        "short" => drop(rows.labels.pop()),
        "long" => rows.labels.extend([0; 1_000]),
        "huge-columns" => rows.labels = vec![0; 2 << 20],
        "index-one" => one.into_iter().for_each(|one| rows.labels[one] = u32::MAX),
        "index-all" => rows.labels.fill(u32::MAX),
        "buckets" => rows.buckets = vec![0; batch.count as usize],
        "refuse-beyond" => rows.refused.push(refusal(batch.count, "beyond")),
        "refuse-twice" => rows.refused = vec![refusal(0, "one"), refusal(0, "two")],
        "refuse-all" => rows.refused = (0..batch.count).map(|entry| refusal(entry, "no\n\x1b[31mreason")).collect(),
        "refuse-long" => rows.refused = vec![refusal(0, &"x".repeat(1 << 20))],
        "utf8" => {
            let bytes = vec![0xff, 0xfe, 0xc0];
            // SAFETY: this is unsound, which is the fault.
            rows.dictionary[0] = unsafe { String::from_utf8_unchecked(bytes) };
        }
        "label-long" => rows.dictionary[0] = "ü".repeat(1 << 20),
        "label-quotes" => rows.dictionary.iter_mut().for_each(|label| label.push_str("\"} 1\nup{x=\"\\")),
        "label-same" => rows.labels.fill(0),
        "log-flood" => (0..100_000).for_each(|line| write(Level::Error, &format!("line {line}"))),
        "log-long" => write(Level::Warn, &"y".repeat(8 << 20)),
        "log-lines" => write(Level::Warn, "one\n{\"level\":\"ERROR\"}\n\x1b[2Jthree"),
        _ => {}
    }
    rows
}

fn unreachable() {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}

fn spin() {
    let mut n = 0u64;
    loop {
        n = core::hint::black_box(n + 1);
    }
}

fn grow() {
    let mut all = Vec::new();
    loop {
        all.push(core::hint::black_box(vec![1u8; 1 << 20]));
    }
}

#[inline(never)]
fn recurse(n: u64) -> u64 {
    let frame = core::hint::black_box([n; 64]);
    recurse(core::hint::black_box(n + 1)) + frame[(n % 64) as usize]
}

/// Uses the engine's stack, and hardly any of the guest's own stack in linear memory.
#[inline(never)]
fn sink(depth: u32) -> u32 {
    if core::hint::black_box(depth) == 0 { 0 } else { sink(depth - 1).wrapping_mul(3) ^ depth }
}

fn read_beyond() {
    let beyond = core::hint::black_box(usize::MAX - 64) as *const u8;
    // SAFETY: this is unsound, which is the fault.
    let _ = core::hint::black_box(unsafe { beyond.read_volatile() });
}

fn family(name: &str) -> Family {
    Family {
        name: name.into(),
        help: "Nanoseconds in a bank.".into(),
        unit: String::new(),
        labels: vec!["bank".into()],
        kind: Kind::Counter,
        times: 1.0,
        per: 1.0,
    }
}

fn view() -> View {
    View {
        source: "banks".into(),
        key_size: 4,
        value_size: 296,
        identity: vec![Field { part: Part::Key, offset: 0, length: 4 }],
        lookups: vec![],
        columns: 1,
        series: vec![Series { family: 0, labels: vec![Label::Column(0)], value: number(56, 8) }],
    }
}

fn gauge(view: View) -> View {
    view
}

fn number(offset: u32, size: u32) -> Value {
    Value::Number(Number { offset, size, is_signed: false })
}
