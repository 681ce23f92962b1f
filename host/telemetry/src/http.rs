//! Counters of the HTTP server, which the host's own metrics show.
//!
//! The server runs on threads of its own and the agent's report is made on another, so the counters belong to the process. They say what
//! each bound of the server did: which clients were refused, cut off or given up, and whether the web configuration is in force.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use serde::Serialize;

use super::{SharedCounter, unix_seconds};

/// The server's counters.
#[derive(Debug, Default)]
pub struct HttpCounters {
    pub connections: SharedCounter,
    /// Connections closed for a new one before they were admitted: no request of theirs was allowed.
    pub closed_unadmitted: SharedCounter,
    /// Connections closed for a new one while no request was served on them.
    pub closed_idle: SharedCounter,
    /// Connections of clients that took their answer too slowly.
    pub closed_slow: SharedCounter,
    /// New connections closed because no other could be.
    pub closed_new: SharedCounter,
    pub passwords_right: SharedCounter,
    pub passwords_wrong: SharedCounter,
    /// Password checks that were not made because too many were waiting.
    pub passwords_refused: SharedCounter,
    /// Scrapes answered 503 because too many wait.
    pub refused_in_flight: SharedCounter,
    /// Scrapes answered 503 because the agent's queue is full.
    pub refused_queue: SharedCounter,
    /// Scrapes answered 503 because the kernel could not be read in the time that the client waits.
    pub refused_deadline: SharedCounter,
    /// Requests answered 429 by `rate_limit` of the web configuration.
    pub refused_rate: SharedCounter,
    /// Scrapes of clients that went away before their turn.
    pub abandoned: SharedCounter,
    /// Families that answers were given without because printing the others took all of the time.
    pub families_left_out: SharedCounter,
    /// Bytes of answers that clients have not taken yet.
    pub unsent_bytes: SharedCounter,
    pub web_config_reloads: SharedCounter,
    pub web_config_failures: SharedCounter,
    /// When the web configuration in force was read, in seconds since 1970.
    pub web_config_read: SharedCounter,
    /// Whether the web configuration cannot be read as it is now in its file.
    pub web_config_is_invalid: AtomicBool,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HttpReport {
    pub connections: u64,
    /// By reason.
    pub closed: [(&'static str, u64); 4],
    /// By result.
    pub passwords: [(&'static str, u64); 3],
    /// By reason.
    pub refused: [(&'static str, u64); 4],
    pub abandoned: u64,
    pub families_left_out: u64,
    pub unsent_bytes: u64,
    pub web_config_valid: bool,
    pub web_config_reloads: u64,
    pub web_config_failures: u64,
    /// `None` without a web configuration.
    pub web_config_read_seconds: Option<u64>,
}

static COUNTERS: LazyLock<HttpCounters> = LazyLock::new(HttpCounters::default);

/// The counters of this process' server.
pub fn http() -> &'static HttpCounters {
    &COUNTERS
}

impl Default for HttpReport {
    /// The report of a server that has served nobody.
    fn default() -> Self {
        HttpCounters::default().report()
    }
}

impl HttpCounters {
    /// Notes that a web configuration was read and is in force from now on.
    pub fn web_config_was_read(&self) {
        self.web_config_is_invalid.store(false, Ordering::Relaxed);
        self.web_config_read.set(unix_seconds(SystemTime::now()) as u64);
    }

    /// Notes that the web configuration in its file cannot be used; the one before stays in force.
    pub fn web_config_failed(&self) {
        self.web_config_is_invalid.store(true, Ordering::Relaxed);
        self.web_config_failures.increment();
    }

    pub fn report(&self) -> HttpReport {
        let read = self.web_config_read.get();
        HttpReport {
            connections: self.connections.get(),
            closed: [
                ("unadmitted", self.closed_unadmitted.get()),
                ("idle", self.closed_idle.get()),
                ("slow_reader", self.closed_slow.get()),
                ("new", self.closed_new.get()),
            ],
            passwords: [
                ("right", self.passwords_right.get()),
                ("wrong", self.passwords_wrong.get()),
                ("refused", self.passwords_refused.get()),
            ],
            refused: [
                ("in_flight", self.refused_in_flight.get()),
                ("queue", self.refused_queue.get()),
                ("deadline", self.refused_deadline.get()),
                ("rate_limit", self.refused_rate.get()),
            ],
            abandoned: self.abandoned.get(),
            families_left_out: self.families_left_out.get(),
            unsent_bytes: self.unsent_bytes.get(),
            web_config_valid: !self.web_config_is_invalid.load(Ordering::Relaxed),
            web_config_reloads: self.web_config_reloads.get(),
            web_config_failures: self.web_config_failures.get(),
            web_config_read_seconds: (read > 0).then_some(read),
        }
    }
}
