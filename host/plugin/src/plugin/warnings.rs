//! Log lines about a plugin that fails.

use tracing::{error, warn};

use super::health::{Health, HealthState};
use crate::decode::DecodeError;

/// Reports a failure: the 1st, 2nd, 4th, 8th … for its reason. A flood of them is what the counter is for.
pub(super) fn failure(package: &str, failures: u64, error: &DecodeError) {
    if failures.is_power_of_two() {
        warn!(package, failures, "plugin {error}");
    }
}

/// Reports that a plugin is quarantined, or backs off for the first time in a row.
pub(super) fn back_off(package: &str, health: &Health) {
    let failures_in_row = health.failures_in_row();
    match health.state() {
        HealthState::Quarantined => error!(
            package,
            failures_in_row,
            "plugin is quarantined: it is called again in an hour, or once its files change; new entries stay without labels, its series go on"
        ),
        _ if failures_in_row == 1 => {
            warn!(package, "plugin backs off: new entries wait for their labels, its series go on");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Instant,
    };

    use tracing::{Event, Metadata, Subscriber, span, subscriber::with_default};

    use super::*;
    use crate::guest::CallError;

    /// Counts log lines.
    struct Lines(Arc<AtomicUsize>);

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    fn lines(report: impl FnOnce()) -> usize {
        let lines = Arc::default();
        with_default(Lines(Arc::clone(&lines)), report);
        lines.load(Ordering::Relaxed)
    }

    #[test]
    fn a_plugin_that_fails_all_the_time_does_not_flood_the_log() {
        let error = DecodeError::Start(CallError::ManifestChanged);
        let logged: Vec<u64> = (1..=16).filter(|failures| lines(|| failure("p", *failures, &error)) == 1).collect();
        assert_eq!(logged, [1, 2, 4, 8, 16]);
        let mut health = Health::admitted("p");
        let backing_off = [(); 6].map(|()| {
            health.failed(Instant::now());
            lines(|| back_off("p", &health))
        });
        assert_eq!(backing_off, [1, 0, 0, 0, 1, 1], "the first, and those that quarantine");
    }
}
