//! Checks that decoding is pure: two instances decode the same synthetic entries, in different orders and batches, and must return the
//! same row for each.
//!
//! The entries are the same in every run. Some are typical contents of maps (zeros, small numbers, text), most are random: a guest should
//! refuse what it does not understand, and not trap.

use std::time::{Duration, Instant};

use super::{cost::LimitUsage, findings::Finding, fixes, recording::hex};
use ebhost_agent::Offline;
use ebhost_limits as limits;
use ebhost_package::Package;
use ebhost_plugin_host::{Answers, DecodeError, DecodeRequest, Plugin, Progress, Row};
use ebhost_series::schema::View;

/// The row of an entry as text; `None`: it has no answer.
type RowText = Option<String>;

/// Decodes with both instances and compares the rows.
pub(super) fn check(package: &Package, mut first: Offline, mut second: Offline) -> Vec<Finding> {
    let place = package.component.path.display().to_string();
    let schema = first.plugin.schema().clone();
    let mut findings = Vec::new();
    for (index, view) in schema.views.iter().enumerate() {
        let entries = synthetic(view);
        let order: Vec<usize> = (0..entries.len()).collect();
        let (whole, failures) = decode(&mut first.plugin, index, view, &entries, &order, entries.len());
        let (split, _) = decode(&mut second.plugin, index, view, &entries, &shuffled(&order), 7);
        let (again, _) = decode(&mut first.plugin, index, view, &entries, &order, entries.len());
        let named = format!("view {index} (`{}`)", view.source);
        if let Some((entry, why)) = failures.first() {
            let message = format!("{named}: decode of identity {} {why}", hex(&entries[*entry].identity));
            findings.push(Finding::warning("decode", &place, message, fixes::decode_fix(why)));
        }
        let differing = order.iter().find(|entry| whole[**entry] != split[**entry] || whole[**entry] != again[**entry]);
        if let Some(entry) = differing {
            let shown = |row: &RowText| row.clone().unwrap_or_else(|| "no answer".to_owned());
            let message = format!(
                "{named}: decode is not pure: identity {} gave {}, then {} in another batch and {} when asked again",
                hex(&entries[*entry].identity),
                shown(&whole[*entry]),
                shown(&split[*entry]),
                shown(&again[*entry])
            );
            let fix = "let a row depend on its entry and the config alone: no counters, no state from other entries";
            findings.push(Finding::error("decode", &place, message, fix));
        }
    }
    findings.extend(costs(package, &first.plugin));
    findings
}

/// Warnings about limits that decoding comes near.
fn costs(package: &Package, plugin: &Plugin) -> Vec<Finding> {
    let (tally, file) = (plugin.tally(), package.file.display().to_string());
    // Estimates the time of a full batch by the entries asked so far.
    let full = tally.guest_time.mul_f64(limits::BATCH_ENTRIES as f64 / tally.asked.max(1) as f64);
    let in_full = |near: String| format!("{near}, in a full batch");
    let decode = LimitUsage::decode(full, package.limits);
    let memory = LimitUsage::memory(tally.memory_bytes, package.limits);
    let near = [(decode, decode.near().map(in_full)), (memory, memory.near())];
    near.into_iter().filter_map(|(usage, near)| Some(Finding::warning("limits", &file, near?, usage.remedy))).collect()
}

/// An identity and the names found for its lookups.
struct Entry {
    identity: Vec<u8>,
    names: Vec<Option<String>>,
}

/// Entries for a view, each identity once.
fn synthetic(view: &View) -> Vec<Entry> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut entries: Vec<Entry> = Vec::new();
    for number in 0..limits::MADE_UP_ENTRIES {
        let mut identity = Vec::with_capacity(view.identity_size());
        for field in &view.identity {
            let content: Vec<u8> = match number % 4 {
                0 => (number as u64 / 4).to_le_bytes().to_vec(),
                1 => b"text".to_vec(),
                2 => vec![u8::MAX; field.length],
                _ => std::iter::repeat_with(|| random.next() as u8).take(field.length).collect(),
            };
            identity.extend((0..field.length).map(|byte| content.get(byte).copied().unwrap_or_default()));
        }
        let name = |_| (!random.next().is_multiple_of(4)).then(|| format!("name{}", random.next() % 16));
        let names = (0..view.lookups.len()).map(name).collect();
        // A batch has each identity once.
        if !entries.iter().any(|entry| entry.identity == identity) {
            entries.push(Entry { identity, names });
        }
    }
    entries
}

fn shuffled(order: &[usize]) -> Vec<usize> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut shuffled = order.to_vec();
    for last in (1..shuffled.len()).rev() {
        shuffled.swap(last, (random.next() % (last as u64 + 1)) as usize);
    }
    shuffled
}

/// Decodes entries in an order and in batches of a size. Returns the rows by entry, and the errors of those without one.
fn decode(
    plugin: &mut Plugin,
    index: usize,
    view: &View,
    entries: &[Entry],
    order: &[usize],
    batch: usize,
) -> (Vec<RowText>, Vec<(usize, DecodeError)>) {
    let (mut rows, mut failures) = (vec![None; entries.len()], Vec::new());
    let until = Instant::now() + Duration::from_secs(60);
    plugin.begin_scrape(Instant::now(), until);
    for part in order.chunks(batch.max(1)) {
        let mut request = DecodeRequest { view: index, count: part.len(), ..DecodeRequest::default() };
        for entry in part.iter().map(|entry| &entries[*entry]) {
            request.identities.extend_from_slice(&entry.identity);
            for name in &entry.names {
                request.found.push(request.names.len() as u32);
                request.names.push(name.clone());
            }
        }
        debug_assert_eq!(request.found.len(), part.len() * view.lookups.len());
        let progress = plugin.decode(&request, until, &mut |first, answers| match answers {
            Ok(answers) => {
                for entry in 0..answers.count() {
                    rows[part[first + entry]] = Some(row_text(answers, entry));
                }
            }
            Err(error) => failures.push((part[first], error.clone())),
        });
        // A component that fails at every entry backs off, and no entry is blamed.
        if let (Progress::Deferred, Some(failure)) = (progress, plugin.last_failure()) {
            failures.push((part[0], failure.error.clone()));
        }
    }
    (rows, failures)
}

fn row_text(answers: &Answers, entry: usize) -> String {
    match answers.row(entry) {
        Row::Labels { columns, bucket } => {
            let labels: Vec<_> = columns.iter().map(|column| answers.label(*column)).collect();
            format!("{labels:?} bucket {bucket:?}")
        }
        Row::Skip => "skip".to_owned(),
        Row::Unknown { why } | Row::Unsound { why } => format!("unknown ({why})"),
    }
}

/// Xorshift with a fixed seed: the same numbers each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebhost_series::schema::{Field, Part};

    #[test]
    fn synthetic_entries_are_distinct_and_the_same_each_time() {
        let identity =
            vec![Field { part: Part::Key, offset: 0, length: 4 }, Field { part: Part::Key, offset: 4, length: 2 }];
        let view = View {
            source: "m".into(),
            key_size: 8,
            value_size: 8,
            identity,
            lookups: vec![],
            columns: 1,
            feeds: vec![],
        };
        let (one, other) = (synthetic(&view), synthetic(&view));
        assert!(one.len() > limits::MADE_UP_ENTRIES / 2 && one.iter().all(|entry| entry.identity.len() == 6));
        assert!(one.iter().zip(&other).all(|(one, other)| one.identity == other.identity && one.names == other.names));
        let order = shuffled(&(0..one.len()).collect::<Vec<_>>());
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(order != sorted && sorted == (0..one.len()).collect::<Vec<_>>());
    }
}
