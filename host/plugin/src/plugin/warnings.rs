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
