//! Events: rows without a key, of which each is an increase.
//!
//! The host makes entries of them, one for each identity (and CPU, where those are apart), and holds for each what its
//! events brought and no series has been given yet. So an event is never lost for want of an answer, and a late label
//! finds everything since the start. Such entries never go away by themselves; beyond their limit those without series
//! make way, and then further identities' events are dropped and counted.

use super::families::Families;
use super::identities::{NONE, Standing};
use super::plan::Take;
use super::values::Labels;
use super::view::ViewTable;
use ebhost_snapshot::Snapshot;

impl ViewTable {
    pub(super) fn observe_events(&mut self, snapshot: &Snapshot, cpus: &[u32], families: &mut Families) {
        if self.entries.live() >= self.event_limit {
            self.end_refused(families);
        }
        let by_cpu = self.plan.by_cpu();
        for row in 0..snapshot.len {
            let cpu = cpus.get(row).copied().unwrap_or_default();
            self.gather(snapshot, row);
            if by_cpu {
                self.scratch.extend_from_slice(&cpu.to_le_bytes());
                self.widen(cpu as usize + 1);
            }
            if let Some(entry) = self.event_entry() {
                self.take_event(entry, snapshot.row(row));
                self.give(entry, families);
            } else {
                self.lost_events += 1;
            }
        }
    }

    /// Gives what has been held back to the series that answers have named since this was last done.
    pub(super) fn give_answered(&mut self, families: &mut Families) {
        if !self.plan.is_events() || !std::mem::take(&mut self.has_answers) {
            return;
        }
        let entries: Vec<usize> = self.entries.alive().collect();
        for entry in entries {
            self.give(entry as u32, families);
        }
    }

    /// The CPU of an entry, where events keep them apart.
    pub(super) fn event_cpu(&self, entry: u32) -> usize {
        let cpu = self.entries.key(entry).get(self.plan.identity_size..).and_then(|rest| rest.first_chunk());
        cpu.map_or(0, |&cpu| u32::from_le_bytes(cpu) as usize)
    }

    /// The entry whose key is in `scratch`; none: there is no room for it.
    fn event_entry(&mut self) -> Option<u32> {
        if let Some(entry) = self.entries.find(&self.scratch) {
            return Some(entry);
        }
        if self.entries.live() >= self.event_limit {
            return None;
        }
        let entry = self.entries.bear(&self.scratch);
        self.entries.identity[entry as usize] = self.identities.hold(&self.scratch[..self.plan.identity_size]);
        self.make_room();
        for (feed, last) in self.plan.feeds.iter().zip(&mut self.last) {
            let lanes = feed.take.lanes();
            last[entry as usize * lanes..][..lanes].fill(0);
        }
        Some(entry)
    }

    fn take_event(&mut self, entry: u32, value: &[u8]) {
        for (feed, last) in self.plan.feeds.iter().zip(&mut self.last) {
            let lanes = feed.take.lanes();
            let last = &mut last[entry as usize * lanes..][..lanes];
            let mut add = |lane: usize, more: u64| last[lane] = last[lane].wrapping_add(more);
            match &feed.take {
                Take::Amount(reading) => add(0, reading.map_or(1, |reading| reading.of(value))),
                Take::Observed { reading, thresholds, sum } => {
                    let raw = reading.of(value);
                    add(thresholds.partition_point(|threshold| threshold.is_none_or(|most| raw > most)), 1);
                    add(*sum, raw);
                }
                Take::Present { reading: Some(reading), .. } => last[0] = reading.of(value),
                Take::Present { reading: None, .. } | Take::Totals(_) | Take::Bucket { .. } => {}
            }
        }
    }

    /// Moves what an entry holds to its series, if its identity has labels.
    fn give(&mut self, entry: u32, families: &mut Families) {
        let id = self.entries.identity[entry as usize];
        if self.identities.standing(id) != Standing::Labelled {
            return;
        }
        let cpu = self.event_cpu(entry);
        for (index, feed) in self.plan.feeds.iter().enumerate() {
            let at = if feed.by_cpu { id as usize * self.cpus + cpu } else { id as usize };
            let target = &mut self.targets[index][at];
            if *target == NONE {
                let labels: Vec<&str> = self.labels[id as usize].iter().map(AsRef::as_ref).collect();
                *target = families.hold(feed, Labels::Named(&labels), cpu);
            }
            if matches!(feed.take, Take::Present { .. }) {
                continue;
            }
            let table = &mut families.tables[feed.family];
            let lanes = feed.take.lanes();
            let last = &mut self.last[index][entry as usize * lanes..][..lanes];
            for (cell, held) in table.cells[*target as usize * table.width..].iter_mut().zip(last) {
                *cell = cell.wrapping_add(std::mem::take(held));
            }
        }
    }

    /// Room for the series of so many CPUs.
    fn widen(&mut self, cpus: usize) {
        if cpus <= self.cpus {
            return;
        }
        let (before, after) = (self.cpus, cpus.next_power_of_two());
        for (feed, targets) in self.plan.feeds.iter().zip(&mut self.targets) {
            if feed.by_cpu {
                let mut wide = vec![NONE; targets.len() / before * after];
                for (from, to) in targets.chunks_exact(before).zip(wide.chunks_exact_mut(after)) {
                    to[..before].copy_from_slice(from);
                }
                *targets = wide;
            }
        }
        self.cpus = after;
    }

    fn end_refused(&mut self, families: &mut Families) {
        self.entries.gone.clear();
        let is_refused = |&entry: &usize| self.identities.standing(self.entries.identity[entry]) == Standing::Refused;
        let refused: Vec<usize> = self.entries.alive().filter(is_refused).collect();
        for entry in refused {
            self.entries.end(entry as u32);
        }
        self.drop_orphans(families);
    }
}
