//! Identities without labels: those that the plugin does not understand, and those that were set aside because calls about them fail.
//!
//! Identities that were set aside are asked about again at long intervals: it may have been the machine that made a call fail, and an
//! entry without labels has no series. It never decides about an answer.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use ebhost_limits as limits;
use ebhost_telemetry::one_line;
use tracing::warn;

/// The refusals of one package.
#[derive(Debug)]
pub(super) struct Refusals {
    /// The package's name, for the log.
    package: String,
    /// By view.
    set_aside: HashMap<usize, HashSet<Box<[u8]>>>,
    remembered: usize,
    retry_at: Option<Instant>,
    not_understood: u64,
}

impl Refusals {
    pub(super) fn of(package: &str) -> Self {
        Self {
            package: package.to_owned(),
            set_aside: HashMap::new(),
            remembered: 0,
            retry_at: None,
            not_understood: 0,
        }
    }

    /// An identity was set aside.
    pub(super) fn note_set_aside(&mut self, view: usize, identity: &[u8], now: Instant) {
        if self.remembered < limits::SET_ASIDE_REMEMBERED {
            self.remembered += usize::from(self.set_aside.entry(view).or_default().insert(identity.into()));
        }
        self.retry_at.get_or_insert(now + limits::RETRY_FAILED);
    }

    /// Takes the identities that are to be asked about again, by view, if it is time.
    pub(super) fn take_due(&mut self, now: Instant) -> HashMap<usize, HashSet<Box<[u8]>>> {
        if self.retry_at.is_none_or(|retry| now < retry) {
            return HashMap::new();
        }
        (self.remembered, self.retry_at) = (0, None);
        std::mem::take(&mut self.set_aside)
    }

    /// The plugin does not understand an identity, for a reason of its own. The 1st, 2nd, 4th, 8th … is reported:
    /// `ebhost_plugin_entries_dropped_total` counts them all.
    pub(super) fn note_not_understood(&mut self, why: &str) {
        self.not_understood += 1;
        if self.not_understood.is_power_of_two() {
            let why = one_line(why, limits::LOG_BYTES);
            warn!(
                package = self.package,
                entries = self.not_understood,
                "the plugin does not understand an entry: {why}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_was_set_aside_is_asked_about_again_after_an_hour() {
        let (now, mut refusals) = (Instant::now(), Refusals::of("x"));
        assert!(refusals.take_due(now).is_empty());
        refusals.note_set_aside(3, b"a", now);
        refusals.note_set_aside(3, b"b", now + limits::RETRY_FAILED / 2);
        assert!(refusals.take_due(now + limits::RETRY_FAILED / 2).is_empty());
        let due = refusals.take_due(now + limits::RETRY_FAILED);
        assert!(due[&3].contains(b"a".as_slice()) && due[&3].contains(b"b".as_slice()));
        assert!(refusals.take_due(now + limits::RETRY_FAILED * 2).is_empty(), "once each time");
    }

    #[test]
    fn a_flood_of_entries_to_set_aside_is_not_remembered_without_end() {
        let (now, mut refusals) = (Instant::now(), Refusals::of("x"));
        for id in 0..limits::SET_ASIDE_REMEMBERED as u64 + 9 {
            refusals.note_set_aside(0, &id.to_le_bytes(), now);
        }
        assert_eq!(refusals.take_due(now + limits::RETRY_FAILED)[&0].len(), limits::SET_ASIDE_REMEMBERED);
        refusals.note_set_aside(0, b"next", now + limits::RETRY_FAILED);
        assert_eq!(refusals.take_due(now + limits::RETRY_FAILED * 2).len(), 1, "there is room again");
    }
}
