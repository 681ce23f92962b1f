//! Losses of a package by reason: the events that the host lost, and those that the package's own families of losses count.

use std::collections::BTreeMap;

use super::Running;
use ebhost_kernel::Source;
use ebhost_metrics::{FamilySeries, Kind, Layout, labels, scale::Scale};

/// A plugin's counter with this ending counts what its programs gave up.
const LOSSES: &str = "_lost_total";

/// Losses by reason since the start, over all versions of the package.
#[derive(Debug, Default)]
pub(super) struct Losses {
    by_reason: BTreeMap<String, Loss>,
    /// The numbers that were found at the last look: mostly they are the same, and nothing has to be added up.
    last: Vec<u64>,
}

/// The losses of one reason.
#[derive(Debug, Default)]
struct Loss {
    total: u64,
    /// The sum over all sources at the last look.
    found: u64,
}

impl Losses {
    /// Takes over what is found now. Where a series ended there is less than before, which is no loss.
    fn update(&mut self, found: BTreeMap<String, u64>) {
        for (reason, loss) in &mut self.by_reason {
            loss.found = loss.found.min(found.get(reason).copied().unwrap_or(0));
        }
        for (reason, found) in found {
            let loss = self.by_reason.entry(reason).or_default();
            loss.total += found.saturating_sub(loss.found);
            loss.found = found;
        }
    }

    /// Goes on with the losses of the version before, whose sources are gone.
    pub(super) fn inherit(&mut self, previous: &Self) {
        for (reason, before) in &previous.by_reason {
            self.by_reason.entry(reason.clone()).or_default().total += before.total;
        }
    }

    /// Each reason, and the losses since the start.
    pub(super) fn totals(&self) -> Vec<(String, u64)> {
        self.by_reason.iter().map(|(reason, loss)| (reason.clone(), loss.total)).collect()
    }
}

impl Running {
    /// Looks what was lost until now.
    pub(super) fn count_losses(&mut self) {
        let buffers = self.loaded.sources.iter().filter_map(|source| match source {
            Source::Events(reader) => Some(reader.tally().1),
            Source::Map(_) | Source::Perf(_) => None,
        });
        let in_buffers = buffers.reduce(|sum, lost| sum + lost);
        // Events that were read while too many different ones were remembered.
        let beyond_limit = in_buffers.map_or(0, |_| self.table.stats().lost_events);
        let families = self.table.families().filter(|series| series.family().name.ends_with(LOSSES));
        let cells = families.flat_map(|series| {
            series.feeders.iter().map(|feeders| u64::from(*feeders)).chain(series.cells.iter().copied())
        });
        let last: Vec<u64> = [in_buffers.unwrap_or(0), beyond_limit].into_iter().chain(cells).collect();
        if last == self.losses.last {
            return;
        }
        self.losses.last = last;
        let mut found = BTreeMap::new();
        if let Some(lost) = in_buffers {
            found.insert("buffer_full".to_owned(), lost);
            found.insert("too_many_identities".to_owned(), beyond_limit);
        }
        self.table.families().for_each(|series| add_losses(&mut found, &series));
        self.losses.update(found);
    }
}

/// Adds the series of a family of losses, by their label `reason`.
fn add_losses(losses: &mut BTreeMap<String, u64>, series: &FamilySeries<'_>) {
    let family = series.family();
    let (true, Kind::Counter, Layout::Single(kind)) = (family.name.ends_with(LOSSES), &family.kind, series.layout())
    else {
        return;
    };
    let scale = Scale::new(family.times, family.per);
    for each in series.iter() {
        let reason = labels::parse_block(each.labels).find(|(name, _)| *name == b"reason");
        let reason = match reason {
            Some((_, reason)) => String::from_utf8_lossy(&reason).into_owned(),
            None => family.name.trim_end_matches("_total").to_owned(),
        };
        *losses.entry(reason).or_default() += kind.value(each.cells[0], scale) as u64;
    }
}

#[cfg(test)]
mod tests {
    use ebhost_metrics::{CellKind, Family, OwnedFamily};

    use super::*;

    fn family(name: &str, labels: &[&str]) -> OwnedFamily {
        let description = Family {
            name: name.to_owned(),
            help: String::new(),
            unit: String::new(),
            labels: labels.iter().map(ToString::to_string).collect(),
            kind: Kind::Counter,
            times: 1.0,
            per: 1.0,
        };
        OwnedFamily::new(description, Layout::Single(CellKind::U64))
    }

    #[test]
    fn losses_of_every_plugin_are_found_under_one_name() {
        let mut latency = family("bio_latency_lost_total", &["device", "reason"]);
        latency.push([("device", "vda"), ("reason", "banks_full")], &[2], None);
        latency.push([("device", "vdb"), ("reason", "banks_full")], &[3], None);
        latency.push([("device", "vdb"), ("reason", "no_end")], &[0], None);
        let mut opens = family("file_opens_lost_total", &[]);
        opens.push([], &[7], None);
        let mut others = family("file_opens_total", &[]);
        others.push([], &[9], None);
        let mut losses = BTreeMap::new();
        for family in [&latency, &opens, &others] {
            add_losses(&mut losses, &family.series());
        }
        let expected = [("banks_full", 5), ("file_opens_lost", 7), ("no_end", 0)];
        assert_eq!(losses, expected.map(|(reason, count)| (reason.to_owned(), count)).into());
    }

    #[test]
    fn losses_never_fall_when_a_series_ends_or_a_version_is_replaced() {
        let found = |lost: u64| BTreeMap::from([("full".to_owned(), lost)]);
        let total = |losses: &Losses| losses.totals().first().map(|(_, total)| *total);
        let mut losses = Losses::default();
        losses.update(found(0));
        assert_eq!(total(&losses), Some(0), "there from the start");
        for (lost, expected) in [(5, 5), (3, 5), (4, 6)] {
            losses.update(found(lost));
            assert_eq!(total(&losses), Some(expected), "{lost} found");
        }
        losses.update(BTreeMap::new());
        losses.update(found(1));
        assert_eq!(total(&losses), Some(7));
        let mut next = Losses::default();
        next.update(found(0));
        next.inherit(&losses);
        next.update(found(2));
        assert_eq!(total(&next), Some(9));
    }
}
