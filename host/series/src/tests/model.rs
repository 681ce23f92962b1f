//! The simple table: every rule of the contract as plainly as it can be written, at any cost.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::model_test::{ARRAY, BY_CPU, EVENTS, HASH, LEAST, LEVEL, PER_CPU, SEEN, SIZES, TOTAL, VALUE};

/// What a row gives to a feed: the family, the CPU's number if it is apart, and raw numbers by cell.
pub(super) fn gives(view: usize, row: &[u8]) -> Vec<(usize, Option<usize>, Vec<u64>)> {
    let u64_at = |value: &[u8], at: usize| u64::from_le_bytes(value[at..at + 8].try_into().unwrap());
    let u32_at = |value: &[u8], at: usize| u64::from(u32::from_le_bytes(value[at..at + 4].try_into().unwrap()));
    let level = |value: &[u8]| i64::from(u32_at(value, 8) as i32) as u64;
    let slots = |value: &[u8]| (3..7).map(|word| u32_at(value, word * 4)).collect::<Vec<_>>();
    match view {
        HASH => vec![(TOTAL, None, vec![u64_at(row, 0)]), (LEAST, None, vec![level(row)]), (SIZES, None, slots(row))],
        PER_CPU => {
            let totals: Vec<u64> = row.chunks(VALUE).map(|value| u64_at(value, 0)).collect();
            let apart = totals.iter().enumerate().map(|(cpu, &total)| (BY_CPU, Some(cpu), vec![total]));
            [(TOTAL, None, vec![totals.iter().sum()])].into_iter().chain(apart).collect()
        }
        ARRAY => vec![(SIZES, None, slots(row)), (LEVEL, None, vec![level(row)])],
        _ => unreachable!("events have a model of their own"),
    }
}

pub(super) type SeriesKey = (usize, String);

#[derive(Default)]
pub(super) struct Identity {
    pub(super) is_wanted: bool,
    /// Series by family and CPU; none: unanswered or refused.
    series: Option<BTreeMap<(usize, Option<usize>), SeriesKey>>,
    label: Option<String>,
}

pub(super) struct Entry {
    identity: u8,
    /// Its place among all entries; which series still find room depends on it.
    born: usize,
    base: BTreeMap<(usize, Option<usize>), Vec<u64>>,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) limit: usize,
    pub(super) identities: BTreeMap<(usize, u8), Identity>,
    pub(super) entries: BTreeMap<(usize, Vec<u8>), Entry>,
    pub(super) cells: BTreeMap<SeriesKey, Vec<u64>>,
    pub(super) waiting: Vec<(usize, Vec<u8>, Vec<u8>)>,
    /// Series named `other` that were created in this scrape.
    pub(super) new_folds: BTreeSet<SeriesKey>,
    /// Series, and the new ones that take over their counts if they end.
    pub(super) folds: Vec<(SeriesKey, SeriesKey)>,
}

pub(super) fn is_gauge(family: usize) -> bool {
    matches!(family, LEAST | LEVEL)
}

impl Model {
    fn fed(&self) -> BTreeSet<SeriesKey> {
        self.identities
            .values()
            .filter_map(|id| id.series.as_ref())
            .flat_map(|series| series.values().cloned())
            .collect()
    }

    pub(super) fn observe(&mut self, view: usize, rows: &[(Vec<u8>, Vec<u8>)], complete: bool) {
        self.waiting.retain(|(other, ..)| *other != view);
        for (key, row) in rows {
            let identity = if view == ARRAY { row[28] } else { key[0] };
            let entry =
                self.entries.entry((view, key.clone())).or_insert(Entry { identity, born: 0, base: BTreeMap::new() });
            entry.identity = identity;
            self.identities.entry((view, identity)).or_insert(Identity { is_wanted: true, ..Default::default() });
        }
        let present: BTreeSet<&Vec<u8>> = rows.iter().map(|(key, _)| key).collect();
        if complete {
            self.entries.retain(|(other, key), _| *other != view || present.contains(key));
        }
        let held: BTreeSet<u8> =
            self.entries.iter().filter(|((other, _), _)| *other == view).map(|(_, entry)| entry.identity).collect();
        self.identities.retain(|(other, id), _| *other != view || held.contains(id));
        for (key, row) in rows {
            let identity = &self.identities[&(view, self.entries[&(view, key.clone())].identity)];
            if identity.is_wanted && identity.series.is_none() {
                self.waiting.push((view, key.clone(), row.clone()));
            }
            self.count(view, key, row);
        }
    }

    fn count(&mut self, view: usize, key: &[u8], row: &[u8]) {
        let entry = self.entries.get_mut(&(view, key.to_vec())).unwrap();
        let series = self.identities[&(view, entry.identity)].series.clone();
        for (family, cpu, raws) in gives(view, row) {
            let base = entry.base.entry((family, cpu)).or_insert_with(|| vec![0; raws.len()]);
            if is_gauge(family) {
                *base = raws;
                continue;
            }
            for (at, raw) in raws.into_iter().enumerate() {
                let Some(series) = &series else {
                    base[at] = if raw < base[at] { 0 } else { base[at] };
                    continue;
                };
                let more = if raw < base[at] { raw } else { raw - base[at] };
                self.cells.get_mut(&series[&(family, cpu)]).unwrap()[at] += more;
                base[at] = raw;
            }
        }
    }

    pub(super) fn event(&mut self, cpu: u32, value: &[u8]) {
        let key = (EVENTS, vec![value[28], cpu as u8]);
        let born = self.entries.keys().filter(|(view, _)| *view == EVENTS).count();
        let entry = self.entries.entry(key).or_insert(Entry { identity: value[28], born, base: BTreeMap::new() });
        self.identities.entry((EVENTS, value[28])).or_insert(Identity { is_wanted: true, ..Default::default() });
        let size = u32::from_le_bytes(value[12..16].try_into().unwrap());
        let held = entry.base.entry((SIZES, None)).or_insert_with(|| vec![0; 4]);
        held[if size <= 10 {
            0
        } else if size <= 20 {
            1
        } else {
            2
        }] += 1;
        held[3] += u64::from(size);
        entry.base.entry((TOTAL, None)).or_insert_with(|| vec![0])[0] +=
            u64::from_le_bytes(value[..8].try_into().unwrap());
        entry.base.entry((SEEN, Some(cpu as usize))).or_insert_with(|| vec![0])[0] += 1;
    }

    pub(super) fn give_events(&mut self) {
        let mut keys: Vec<_> = self.entries.keys().filter(|(view, _)| *view == EVENTS).cloned().collect();
        keys.sort_by_key(|key| self.entries[key].born);
        for key in keys {
            let identity = self.entries[&key].identity;
            let Some(label) = self.identities[&(EVENTS, identity)].label.clone() else { continue };
            let base = &mut self.entries.get_mut(&key).unwrap().base;
            let owed = base.clone();
            base.values_mut().for_each(|held| held.fill(0));
            for ((family, cpu), held) in owed {
                let series = self.hold((EVENTS, identity), family, cpu, &label);
                for (cell, more) in self.cells.get_mut(&series).unwrap().iter_mut().zip(held) {
                    *cell += more;
                }
            }
        }
    }

    pub(super) fn answer(&mut self, view: usize, identity: u8, label: Option<String>) {
        let id = self.identities.get_mut(&(view, identity)).unwrap();
        id.is_wanted = false;
        id.series = label.as_ref().map(|_| BTreeMap::new());
        id.label.clone_from(&label);
        let Some(label) = label else { return };
        let targets = match view {
            HASH => vec![(TOTAL, None), (LEAST, None), (SIZES, None)],
            PER_CPU => vec![(TOTAL, None), (BY_CPU, Some(0)), (BY_CPU, Some(1))],
            ARRAY => vec![(SIZES, None), (LEVEL, None)],
            _ => vec![(SIZES, None), (TOTAL, None)],
        };
        for (family, cpu) in targets {
            self.hold((view, identity), family, cpu, &label);
        }
    }

    fn hold(&mut self, id: (usize, u8), family: usize, cpu: Option<usize>, label: &str) -> SeriesKey {
        if let Some(series) = self.identities[&id].series.as_ref().unwrap().get(&(family, cpu)) {
            return series.clone();
        }
        let block = |name: &str| match family {
            BY_CPU => format!("name=\"{name}\",cpu=\"{}\",kind=\"x\"", cpu.unwrap()),
            SEEN => format!("name=\"{name}\",cpu=\"{}\"", cpu.unwrap()),
            _ => format!("name=\"{name}\""),
        };
        let fed = self.fed();
        let mut series = (family, block(label));
        if !fed.contains(&series) && fed.len() >= self.limit {
            let ended = std::mem::replace(&mut series, (family, block("other")));
            if !self.cells.contains_key(&series) {
                self.new_folds.insert(series.clone());
            }
            if ended != series && self.new_folds.contains(&series) && self.cells.contains_key(&ended) {
                self.folds.push((ended, series.clone()));
            }
        }
        let width = if family == SIZES { 4 } else { 1 };
        self.cells.entry(series.clone()).or_insert_with(|| vec![0; width]);
        self.identities.get_mut(&id).unwrap().series.as_mut().unwrap().insert((family, cpu), series.clone());
        series
    }

    pub(super) fn settle(&mut self, view: usize) {
        for (_, key, row) in self.waiting.clone().into_iter().filter(|(other, ..)| *other == view) {
            self.count(view, &key, &row);
        }
    }

    pub(super) fn finish(&mut self) {
        let fed = self.fed();
        self.new_folds.clear();
        for (from, into) in std::mem::take(&mut self.folds) {
            if !fed.contains(&from) {
                let cells = self.cells.get_mut(&from).unwrap();
                let counted = std::mem::replace(cells, vec![0; cells.len()]);
                let sums = self.cells.get_mut(&into).unwrap();
                sums.iter_mut().zip(counted).for_each(|(sum, counted)| *sum += counted);
            }
        }
        self.cells.retain(|series, _| fed.contains(series));
        let mut folded: HashMap<SeriesKey, i64> = HashMap::new();
        for ((view, _), entry) in &self.entries {
            let Some(series) = &self.identities[&(*view, entry.identity)].series else { continue };
            for ((family, cpu), base) in entry.base.iter().filter(|((family, _), _)| is_gauge(*family)) {
                let value = base[0] as i64;
                let fold = |old: i64| if *family == LEAST { old.min(value) } else { old + value };
                folded.entry(series[&(*family, *cpu)].clone()).and_modify(|old| *old = fold(*old)).or_insert(value);
            }
        }
        for (series, value) in folded {
            self.cells.insert(series, vec![value as u64]);
        }
    }
}
