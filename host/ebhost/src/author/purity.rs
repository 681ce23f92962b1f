//! Whether a decode is pure: made-up entries are decoded by two instances, in another order and in other batches, and each entry has
//! to come to the same row.
//!
//! The entries are the same in every run. Some are as maps have them (zeros, small numbers, text), most are noise: a guest is to
//! refuse what it does not understand and not to trap on it.

use std::time::{Duration, Instant};

use super::{cost::Share, findings::Finding, fixes, recording::hex};
use crate::agent::Offline;
use ebhost_limits as limits;
use ebhost_package::Package;
use ebhost_plugin_host::{Ask, AskError, Asked, Plugin, Row};
use ebhost_series::schema::View;

/// What came of an entry, as text.
type Told = Option<String>;

/// Decodes twice and compares.
pub(super) fn check(package: &Package, mut first: Offline, mut second: Offline) -> Vec<Finding> {
    let place = package.component.path.display().to_string();
    let schema = first.plugin.schema().clone();
    let mut findings = Vec::new();
    for (index, view) in schema.views.iter().enumerate() {
        let entries = made_up(view);
        let order: Vec<usize> = (0..entries.len()).collect();
        let (whole, failures) = decode(&mut first.plugin, index, view, &entries, &order, entries.len());
        let (split, _) = decode(&mut second.plugin, index, view, &entries, &shuffled(&order), 7);
        let (again, _) = decode(&mut first.plugin, index, view, &entries, &order, entries.len());
        let named = format!("view {index} (`{}`)", view.source);
        if let Some((entry, why)) = failures.first() {
            let message = format!("{named}: decode of identity {} {why}", hex(&entries[*entry].identity));
            findings.push(Finding::warning("decode", &place, message, fixes::of_decode(why)));
        }
        let other = order.iter().find(|entry| whole[**entry] != split[**entry] || whole[**entry] != again[**entry]);
        if let Some(entry) = other {
            let tell = |told: &Told| told.clone().unwrap_or_else(|| "no answer".to_owned());
            let message = format!(
                "{named}: decode is not pure: identity {} gave {}, then {} in another batch and {} when asked again",
                hex(&entries[*entry].identity),
                tell(&whole[*entry]),
                tell(&split[*entry]),
                tell(&again[*entry])
            );
            let fix = "let a row depend on its entry and the config alone: no counters, no state from other entries";
            findings.push(Finding::error("decode", &place, message, fix));
        }
    }
    findings.extend(costs(package, &first.plugin));
    findings
}

fn costs(package: &Package, plugin: &Plugin) -> Vec<Finding> {
    let (tally, file) = (plugin.tally(), package.file.display().to_string());
    // What one full batch would take, by the entries asked so far.
    let full = tally.guest_time.mul_f64(limits::BATCH_ENTRIES as f64 / tally.asked.max(1) as f64);
    let in_full = |near: String| format!("{near}, in a full batch");
    let (decode, memory) = (Share::decode(full, package.limits), Share::memory(tally.memory_bytes, package.limits));
    let near = [(decode, decode.near().map(in_full)), (memory, memory.near())];
    near.into_iter().filter_map(|(share, near)| Some(Finding::warning("limits", &file, near?, share.remedy))).collect()
}

/// An identity and the names found for its lookups.
struct Entry {
    identity: Vec<u8>,
    names: Vec<Option<String>>,
}

fn made_up(view: &View) -> Vec<Entry> {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut entries: Vec<Entry> = Vec::new();
    for number in 0..limits::MADE_UP_ENTRIES {
        let mut identity = Vec::with_capacity(view.identity_size());
        for field in &view.identity {
            let content: Vec<u8> = match number % 4 {
                0 => (number as u64 / 4).to_le_bytes().to_vec(),
                1 => b"text".to_vec(),
                2 => vec![u8::MAX; field.length],
                _ => std::iter::repeat_with(|| noise.next() as u8).take(field.length).collect(),
            };
            identity.extend((0..field.length).map(|byte| content.get(byte).copied().unwrap_or_default()));
        }
        let name = |_| (!noise.next().is_multiple_of(4)).then(|| format!("name{}", noise.next() % 16));
        let names = (0..view.lookups.len()).map(name).collect();
        // The contract lists an identity once.
        if !entries.iter().any(|entry| entry.identity == identity) {
            entries.push(Entry { identity, names });
        }
    }
    entries
}

fn shuffled(order: &[usize]) -> Vec<usize> {
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    let mut shuffled = order.to_vec();
    for last in (1..shuffled.len()).rev() {
        shuffled.swap(last, (noise.next() % (last as u64 + 1)) as usize);
    }
    shuffled
}

/// The rows by entry, and why entries have none.
fn decode(
    plugin: &mut Plugin,
    index: usize,
    view: &View,
    entries: &[Entry],
    order: &[usize],
    batch: usize,
) -> (Vec<Told>, Vec<(usize, AskError)>) {
    let (mut told, mut failures) = (vec![None; entries.len()], Vec::new());
    let until = Instant::now() + Duration::from_secs(60);
    plugin.begin(Instant::now(), until);
    for part in order.chunks(batch.max(1)) {
        let mut ask = Ask { view: index, count: part.len(), ..Ask::default() };
        for entry in part.iter().map(|entry| &entries[*entry]) {
            ask.identities.extend_from_slice(&entry.identity);
            for name in &entry.names {
                ask.found.push(ask.names.len() as u32);
                ask.names.push(name.clone());
            }
        }
        debug_assert_eq!(ask.found.len(), part.len() * view.lookups.len());
        let asked = plugin.ask(&ask, until, &mut |first, answers| match answers {
            Ok(answers) => {
                for at in 0..answers.count() {
                    told[part[first + at]] = Some(match answers.row(at) {
                        Row::Labels { columns, bucket } => {
                            let labels: Vec<_> = columns.iter().map(|column| answers.label(*column)).collect();
                            format!("{labels:?} bucket {bucket:?}")
                        }
                        Row::Skip => "skip".to_owned(),
                        Row::Unknown { why } | Row::Unsound { why } => format!("unknown ({why})"),
                    });
                }
            }
            Err(error) => failures.push((part[first], error.clone())),
        });
        // A component that fails about everything is backed off from, and no entry is blamed.
        if let (Asked::Part, Some(failure)) = (asked, plugin.last_failure()) {
            failures.push((part[0], failure.clone()));
        }
    }
    (told, failures)
}

/// Xorshift: the same numbers each time.
struct Noise(u64);

impl Noise {
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
    fn made_up_entries_are_distinct_and_the_same_each_time() {
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
        let (one, other) = (made_up(&view), made_up(&view));
        assert!(one.len() > limits::MADE_UP_ENTRIES / 2 && one.iter().all(|entry| entry.identity.len() == 6));
        assert!(one.iter().zip(&other).all(|(one, other)| one.identity == other.identity && one.names == other.names));
        let order = shuffled(&(0..one.len()).collect::<Vec<_>>());
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(order != sorted && sorted == (0..one.len()).collect::<Vec<_>>());
    }
}
