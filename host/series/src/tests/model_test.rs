//! The table against a model that is too simple to be wrong in the same way: strings and maps, everything looked up
//! anew in every scrape. Random maps are filled, emptied, reset, reordered, listed twice and read in part, names change,
//! plugins fail; after each scrape every cell has to be equal, and no count may have fallen.
//!
//! Made wrong on purpose, the table fails here; each of these was tried: a second row of a key that counts again, bases
//! that a fall does not move, entries ended after an incomplete reading, a cursor that trusts positions, "in step"
//! without a comparison, series ended before the settling, numbers not laid anew with their entries or kept for the next
//! one in their place, a changed identity that is not let go, a relabelled one that still feeds its old series.

use super::model::{Model, SeriesKey, is_gauge};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::schema::*;
use crate::{Answer, Labels, Stats, Table, TableLimits, Values};
use ebhost_snapshot::{Keys, Snapshot};

const CPUS: usize = 2;
pub(super) const VALUE: usize = 32;
/// Names of the views below.
pub(super) const HASH: usize = 0;
pub(super) const PER_CPU: usize = 1;
pub(super) const ARRAY: usize = 2;
pub(super) const EVENTS: usize = 3;
/// And of the families.
pub(super) const TOTAL: usize = 0;
pub(super) const LEAST: usize = 1;
pub(super) const SIZES: usize = 2;
pub(super) const BY_CPU: usize = 3;
pub(super) const LEVEL: usize = 4;
pub(super) const SEEN: usize = 5;

/// A value: a total, a signed level, three slots, their sum, the identity's bytes where it lies in the value.
fn number(offset: usize, size: usize, encoding: Encoding) -> Number {
    Number { offset, size, encoding }
}

fn schema() -> Schema {
    let family = |name: &str, labels: &[&str], kind: Kind| Family {
        name: name.into(),
        help: "Help.".into(),
        unit: String::new(),
        labels: labels.iter().map(ToString::to_string).collect(),
        kind,
        times: 1.0,
        per: 1.0,
    };
    let families = vec![
        family("total", &["name"], Kind::Counter),
        family("least", &["name"], Kind::Gauge(Fold::Min)),
        family("sizes", &["name"], Kind::Histogram(vec![10.0, 20.0])),
        family("by_cpu_total", &["name", "cpu", "kind"], Kind::Counter),
        family("level", &["name"], Kind::Gauge(Fold::Sum)),
        family("seen_total", &["name", "cpu"], Kind::Counter),
    ];
    let name = || LabelSource::Column(0);
    let feed = |family, value| Feed { family, labels: vec![name()], value };
    let slots = Value::Slots(Slots { offset: 12, size: 4, sum: Some(number(24, 4, Encoding::Unsigned)) });
    let total = Value::Number(number(0, 8, Encoding::Unsigned));
    let level = Value::Number(number(8, 4, Encoding::Signed));
    let by_cpu =
        Feed { family: BY_CPU, labels: vec![name(), LabelSource::Cpu, LabelSource::Fixed("x".into())], value: total };
    let seen = Feed { family: SEEN, labels: vec![name(), LabelSource::Cpu], value: Value::One };
    let view = |source: &str, key_size, identity: (Part, usize), feeds| View {
        source: source.into(),
        key_size,
        value_size: VALUE,
        identity: vec![Field { part: identity.0, offset: identity.1, length: 1 }],
        lookups: vec![],
        columns: 1,
        feeds,
    };
    let views = vec![
        view("hash", 4, (Part::Key, 0), vec![feed(TOTAL, total), feed(LEAST, level), feed(SIZES, slots)]),
        // The whole key, so that no two entries share an identity.
        View {
            identity: vec![Field { part: Part::Key, offset: 0, length: 4 }],
            ..view("per_cpu", 4, (Part::Key, 0), vec![feed(TOTAL, total), by_cpu])
        },
        view("array", 4, (Part::Value, 28), vec![feed(SIZES, slots), feed(LEVEL, level)]),
        view(
            "events",
            0,
            (Part::Value, 28),
            vec![feed(SIZES, Value::Observation(number(12, 4, Encoding::Unsigned))), feed(TOTAL, total), seen],
        ),
    ];
    Schema { families, views }
}

/// A map in the kernel, in the order in which it is listed.
#[derive(Default)]
struct KernelMap {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy)]
struct Op {
    what: u8,
    a: u8,
    b: u8,
}

impl KernelMap {
    fn apply(&mut self, view: usize, op: Op, cpus: usize) {
        let at = if self.rows.is_empty() { None } else { Some(op.a as usize % self.rows.len()) };
        match (op.what % 8, at) {
            (0 | 1, _) if view != ARRAY => {
                let key = vec![op.a % 6, if view == PER_CPU { 0 } else { op.b % 8 }, 0, 0];
                if self.rows.iter().all(|(other, _)| *other != key) {
                    let place = usize::from(op.b) * 7 % (self.rows.len() + 1);
                    self.rows.insert(place, (key, vec![0; VALUE * cpus]));
                }
            }
            (2, Some(at)) if view != ARRAY => _ = self.rows.remove(at),
            (3, Some(at)) => self.rows[at].1.fill(0),
            (4, Some(at)) if view == ARRAY => self.rows[at].1[28] = op.b % 4,
            (5, Some(at)) if view != ARRAY => self.rows.rotate_left(at),
            (_, Some(at)) => {
                // A count, in one slot and one CPU.
                let cpu = op.b as usize % cpus * VALUE;
                let row = &mut self.rows[at].1;
                row[cpu] = row[cpu].saturating_add(op.b);
                let slot = cpu + 12 + op.b as usize % 3 * 4;
                row[slot] = row[slot].saturating_add(1);
                row[cpu + 24] = row[cpu + 24].saturating_add(op.b);
                row[cpu + 8..cpu + 12].copy_from_slice(&i32::from(op.b as i8).to_le_bytes());
            }
            _ => {}
        }
    }

    /// What one reading lists: `twice` adds a row once more, `until` cuts it short.
    fn listed(&self, twice: Option<u8>, until: Option<u8>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = self.rows.clone();
        if let Some(at) = twice.filter(|_| !rows.is_empty()) {
            let row = rows[at as usize % rows.len()].clone();
            rows.insert(at as usize * 3 % (rows.len() + 1), row);
        }
        rows.truncate(until.map_or(usize::MAX, usize::from));
        rows
    }
}

fn snapshot(view: usize, rows: &[(Vec<u8>, Vec<u8>)], complete: bool) -> Snapshot {
    let bytes = rows.iter().flat_map(|(key, _)| key.clone()).collect();
    Snapshot {
        keys: if view == ARRAY { Keys::Index } else { Keys::Bytes { size: 4, bytes } },
        values: rows.iter().flat_map(|(_, value)| value.clone()).collect(),
        value_stride: VALUE,
        cpus: if view == PER_CPU { CPUS } else { 1 },
        len: rows.len(),
        complete,
        ..Snapshot::default()
    }
}

/// The snapshot as a reader gives it that knows whether it found the keys of the `last` one again, and which values are others.
fn read(mut snapshot: Snapshot, last: &mut Option<Snapshot>) -> Snapshot {
    let is_same = |last: &&Snapshot| match (&snapshot.keys, &last.keys) {
        (Keys::Bytes { bytes, .. }, Keys::Bytes { bytes: before, .. }) => snapshot.complete && bytes == before,
        (Keys::Index, Keys::Index) => snapshot.complete && snapshot.len == last.len,
        _ => false,
    };
    match last.as_ref().filter(is_same).and_then(|last| Some((last, last.complete_keys()?))) {
        Some((last, keys)) => {
            let changed = (0..snapshot.len).filter(|row| snapshot.row(*row) != last.row(*row));
            let changed: Vec<_> = changed.collect();
            snapshot.changes.begin();
            changed.into_iter().for_each(|row| snapshot.changes.mark(row));
            snapshot.finish_compared(keys, last.read);
        }
        None => snapshot.finish(snapshot.len, snapshot.complete),
    }
    *last = Some(snapshot.clone());
    snapshot
}

fn event_snapshot(events: &[(u32, Vec<u8>)]) -> Snapshot {
    Snapshot {
        keys: Keys::Events { cpus: events.iter().map(|(cpu, _)| *cpu).collect() },
        values: events.iter().flat_map(|(_, value)| value.clone()).collect(),
        value_stride: VALUE,
        cpus: 1,
        len: events.len(),
        complete: true,
        ..Snapshot::default()
    }
}

#[derive(Debug, Clone)]
struct Scrape {
    ops: Vec<(u8, Op)>,
    events: Vec<(u32, u8, u8)>,
    rename: Option<(u8, u8)>,
    is_plugin_up: bool,
    twice: Option<u8>,
    until: Option<u8>,
    is_exchanged: bool,
}

fn scrapes() -> impl Strategy<Value = Vec<Scrape>> {
    let op = (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(what, a, b)| Op { what, a, b });
    let rare = |limit| prop::option::weighted(0.2, 0u8..limit);
    let scrape = (
        prop::collection::vec((0u8..3, op), 0..20),
        prop::collection::vec((0u32..5, 0u8..4, any::<u8>()), 0..6),
        prop::option::weighted(0.3, (0u8..6, 0u8..8)),
        prop::bool::weighted(0.8),
        rare(30),
        rare(10),
        prop::bool::weighted(0.05),
    );
    let scrape = scrape.prop_map(|(ops, events, rename, is_plugin_up, twice, until, is_exchanged)| Scrape {
        ops,
        events,
        rename,
        is_plugin_up,
        twice,
        until,
        is_exchanged,
    });
    prop::collection::vec(scrape, 1..25)
}

/// The plugin: what each identity is called now; 6 and above: skipped.
fn label(names: &[u8; 6], identity: u8) -> Option<String> {
    let name = names[identity as usize % 6];
    (name < 6).then(|| format!("n{name}"))
}

fn shown(table: &Table) -> BTreeMap<SeriesKey, Vec<u64>> {
    let all = table.families().enumerate().flat_map(|(family, series)| {
        series.iter().map(move |each| ((family, String::from_utf8(each.labels.to_vec()).unwrap()), each.cells.to_vec()))
    });
    let all: Vec<_> = all.collect();
    let by_key: BTreeMap<_, _> = all.iter().cloned().collect();
    assert_eq!(by_key.len(), all.len(), "a series is listed twice");
    by_key
}

fn run(scrapes: &[Scrape], limit: usize) {
    let limits = TableLimits { series: limit, event_entries: 1000, ..TableLimits::default() };
    let mut table = Table::new(Arc::new(schema()), limits);
    let mut model = Model { limit, ..Default::default() };
    let mut maps: [KernelMap; 3] = Default::default();
    maps[ARRAY].rows = (0..6u32).map(|row| (row.to_le_bytes().to_vec(), vec![0; VALUE])).collect();
    let mut names = [0, 1, 2, 0, 6, 3];
    let mut before: BTreeMap<(usize, String), Vec<u64>> = BTreeMap::new();
    let mut last_snapshots: [Option<Snapshot>; 3] = Default::default();
    for scrape in scrapes {
        for &(view, op) in &scrape.ops {
            maps[view as usize].apply(view as usize, op, if view as usize == PER_CPU { CPUS } else { 1 });
        }
        if let Some((identity, name)) = scrape.rename {
            names[identity as usize] = name;
            for view in 0..4 {
                table.request_again(view, |bytes| bytes[0] == identity);
            }
            for ((_, id), state) in &mut model.identities {
                state.is_wanted |= *id == identity;
            }
        }
        if scrape.is_exchanged {
            (0..4).for_each(|view| table.request_again(view, |_| true));
            model.identities.values_mut().for_each(|state| state.is_wanted = true);
        }
        let listed: Vec<_> = (0..3)
            .map(|view| {
                let (twice, until) = if view == ARRAY { (None, None) } else { (scrape.twice, scrape.until) };
                maps[view].listed(twice, until)
            })
            .collect();
        let complete = scrape.until.is_none();
        let mut snapshots: Vec<_> =
            (0..3).map(|view| read(snapshot(view, &listed[view], complete), &mut last_snapshots[view])).collect();
        let events: Vec<_> = scrape
            .events
            .iter()
            .map(|&(cpu, identity, amount)| {
                let mut value = vec![0; VALUE];
                (value[0], value[12], value[28]) = (amount, amount % 30, identity);
                (cpu, value)
            })
            .collect();
        snapshots.push(event_snapshot(&events));
        let mut observing = table.scrape(0.0);
        for (view, snapshot) in snapshots.iter().enumerate() {
            observing.observe(view, snapshot).unwrap();
            if view == EVENTS {
                // The table gives each event as it comes; so does the model, for `other` to be chosen in the same order.
                for (cpu, value) in &events {
                    model.event(*cpu, value);
                    model.give_events();
                }
            } else {
                model.observe(view, &listed[view], complete);
            }
        }
        let mut labelling = observing.label();
        for view in 0..snapshots.len() {
            let unlabelled = labelling.unlabelled(view).to_vec();
            let wanted: BTreeSet<u8> = unlabelled.iter().map(|&id| labelling.identity_bytes(view, id)[0]).collect();
            let expected: BTreeSet<u8> = model
                .identities
                .iter()
                .filter(|((v, _), id)| *v == view && id.is_wanted)
                .map(|((_, id), _)| *id)
                .collect();
            assert_eq!(wanted, expected, "asked about by view {view}");
            assert_eq!(wanted.len(), unlabelled.len(), "an identity is asked about twice");
            for id in unlabelled.into_iter().filter(|_| scrape.is_plugin_up) {
                let identity = labelling.identity_bytes(view, id)[0];
                let label = label(&names, identity);
                let labels = [label.as_deref().unwrap_or_default()];
                // In both ways that labels can be given.
                let values: Values = ["\"", labels[0]].iter().skip(usize::from(identity >> 1 & 1)).collect();
                let last = [values.len() as u32 - 1];
                let answer = match &label {
                    Some(_) if identity & 1 == 1 => {
                        Answer::Series { labels: Labels::Listed(&values, &last), bucket: None }
                    }
                    Some(_) => Answer::Series { labels: Labels::Named(&labels), bucket: None },
                    None => Answer::Skip,
                };
                labelling.answer(view, id, answer);
                model.answer(view, identity, label);
            }
        }
        let mut settling = labelling.settle();
        for (view, snapshot) in snapshots.iter().enumerate() {
            settling.count(view, snapshot).unwrap();
            if view == EVENTS { model.give_events() } else { model.settle(view) }
        }
        settling.finish();
        model.finish();
        let now = shown(&table);
        assert_eq!(now, model.cells);
        for (series, cells) in before.iter().filter(|((family, _), _)| !is_gauge(*family)) {
            let fell =
                now.get(series).is_some_and(|now: &Vec<u64>| now.iter().zip(cells).any(|(now, before)| now < before));
            assert!(!fell, "{series:?} fell from {cells:?} to {:?}", now[series]);
        }
        check_stats(&table.stats(), &model, now.len());
        before = now;
    }
}

fn check_stats(stats: &Stats, model: &Model, series: usize) {
    assert_eq!(stats.series, series);
    assert_eq!(stats.entries, model.entries.len());
    assert_eq!(stats.identities, model.identities.len());
    assert_eq!(stats.unlabelled, model.identities.values().filter(|id| id.is_wanted).count());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_table_equals_the_model(scrapes in scrapes()) {
        run(&scrapes, 1000);
    }

    #[test]
    fn and_with_little_room(scrapes in scrapes(), limit in 0usize..12) {
        run(&scrapes, limit);
    }
}
