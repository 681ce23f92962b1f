//! The cost of the series table and the writer alone, in ns per entry: `cargo bench --bench series [ENTRIES …]`.
//!
//! Rows are synthetic: no kernel, no plugin. `cargo xtask bench` measures whole scrapes.

#![allow(clippy::print_stdout)]

use ebhost_metrics::{Created, Family, Format, Kind, Presentation, encoder};
use ebhost_series::schema::{Encoding, Feed, Field, LabelSource, Number, Part, Schema, Value, View};
use ebhost_series::{Answer, Labels, Table, TableLimits};
use ebhost_snapshot::{Keys, Snapshot};
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEY: usize = 16;

/// A map of 16-byte keys to a `u64`, all of the key in the labels.
fn schema() -> Schema {
    let family = Family {
        name: "bytes_total".into(),
        help: "Bytes.".into(),
        unit: String::new(),
        labels: vec!["command".into(), "id".into()],
        kind: Kind::Counter,
        times: 1.0,
        per: 1.0,
    };
    let number = Number { offset: 0, size: 8, encoding: Encoding::Unsigned };
    let labels = vec![LabelSource::Column(0), LabelSource::Column(1)];
    let view = View {
        source: "map".into(),
        key_size: KEY,
        value_size: 8,
        identity: vec![Field { part: Part::Key, offset: 0, length: KEY }],
        lookups: vec![],
        columns: 2,
        feeds: vec![Feed { family: 0, labels, value: Value::Number(number) }],
    };
    Schema { families: vec![family], views: vec![view] }
}

/// A hash map as a kernel lists it: keys in arbitrary order.
struct Map {
    keys: Vec<u64>,
    counts: Vec<u64>,
    next: u64,
}

impl Map {
    fn new(len: usize) -> Self {
        Self { keys: (0..len as u64).collect(), counts: vec![1; len], next: len as u64 }
    }

    /// Replaces so many keys by new ones in other places.
    fn churn(&mut self, keys: usize) {
        for _ in 0..keys {
            let at = mix(self.next) as usize % self.keys.len();
            (self.keys[at], self.counts[at]) = (self.next, 0);
            self.next += 1;
        }
    }

    fn read(&mut self) -> Snapshot {
        self.counts.iter_mut().for_each(|count| *count += 3);
        let key = |&key: &u64| [mix(key).to_le_bytes(), key.to_le_bytes()].concat();
        Snapshot {
            keys: Keys::Bytes { size: KEY, bytes: self.keys.iter().flat_map(key).collect() },
            values: self.counts.iter().flat_map(|count| count.to_le_bytes()).collect(),
            value_stride: 8,
            cpus: 1,
            len: self.keys.len(),
            complete: true,
            ..Snapshot::default()
        }
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number ^ (number >> 29)
}

/// The duration of a scrape, without the generation of labels.
fn scrape(table: &mut Table, snapshot: &Snapshot) -> Duration {
    let began = Instant::now();
    let mut made_up = Duration::ZERO;
    let mut scrape = table.scrape(0.0);
    scrape.observe(0, snapshot).expect("rows fit their schema");
    let mut labelling = scrape.label();
    for batch in labelling.unlabelled(0).to_vec().chunks(4096) {
        let making = Instant::now();
        let label = |identity: &[u8]| u64::from_le_bytes(identity[8..].try_into().expect("16 bytes"));
        let labels: Vec<_> = batch.iter().map(|&id| label(labelling.identity_bytes(0, id))).collect();
        let labels: Vec<_> =
            labels.iter().map(|label| [format!("command-{}", label % 200), label.to_string()]).collect();
        made_up += making.elapsed();
        for (&id, [command, number]) in batch.iter().zip(&labels) {
            labelling.answer(0, id, Answer::Series { labels: Labels::Named(&[command, number]), bucket: None });
        }
    }
    let mut settling = labelling.settle();
    settling.count(0, snapshot).expect("rows fit their schema");
    settling.finish();
    began.elapsed() - made_up
}

fn print(table: &Table) -> Duration {
    let began = Instant::now();
    let mut nowhere = std::io::sink();
    let mut encoder = encoder(Format::Text004, Created::LeftOut, &mut nowhere);
    let mut families = table.families();
    let encoded = families.try_for_each(|series| encoder.family(Presentation::exact("ebhost"), series));
    encoded.and_then(|()| encoder.finish()).expect("a sink takes everything");
    began.elapsed()
}

fn measure(len: usize) {
    let mut table = Table::new(Arc::new(schema()), TableLimits { series: len * 2, ..TableLimits::default() });
    let mut map = Map::new(len);
    let row = |what: &str, times: &mut dyn FnMut() -> Duration, rounds: usize| {
        let mut took: Vec<Duration> = (0..rounds).map(|_| times()).collect();
        took.sort_unstable();
        let each = |time: Duration| time.as_nanos() as f64 / len as f64;
        println!(
            "{len:>9}  {what:<24}{:>8.1}{:>8.1}{:>8.1}",
            each(took[0]),
            each(took[rounds / 2]),
            each(took[rounds - 1])
        );
    };
    row("first scrape", &mut || scrape(&mut table, &map.read()), 1);
    row("steady", &mut || scrape(&mut table, &map.read()), 15);
    row("print", &mut || print(&table), 15);
    row(
        "1 % new keys",
        &mut || {
            map.churn(len / 100);
            scrape(&mut table, &map.read())
        },
        30,
    );
    row("steady after that", &mut || scrape(&mut table, &map.read()), 9);
    row(
        "all keys new",
        &mut || {
            map.keys.iter_mut().for_each(|key| *key += map.next);
            map.next *= 2;
            scrape(&mut table, &map.read())
        },
        4,
    );
}

fn main() {
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    println!("{:>9}  {:<24}{:>8}{:>8}{:>8}", "entries", "ns an entry", "least", "median", "most");
    for &len in if asked.is_empty() { &[10_000, 100_000, 1_000_000][..] } else { &asked } {
        measure(len);
    }
}
