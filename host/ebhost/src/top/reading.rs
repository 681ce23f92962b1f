//! One reading of a host: its status, and its histograms if they are shown.

use std::time::{Duration, Instant, SystemTime};

use super::{
    args::View,
    client::{Client, FetchError},
    exposition::{Histogram, histograms},
    status::Status,
};
use ebhost_limits as limits;
use ebhost_telemetry::unix_seconds;

/// One reading of a host.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) status: Status,
    /// None: they were not asked for.
    pub(super) histograms: Option<Vec<Histogram>>,
}

/// Reads one host again and again.
pub(super) struct Reader {
    client: Client,
    /// When this reader asked for the metrics itself.
    scraped: Option<Instant>,
}

impl Reader {
    pub(super) fn new(client: Client) -> Self {
        Self { client, scraped: None }
    }

    /// Name and port of the host.
    pub(super) fn host(&self) -> String {
        self.client.host()
    }

    /// Reads the status. The metrics are read for histograms, and if nobody has read them for a while: the numbers of maps are those
    /// of the last scrape.
    ///
    /// # Errors
    /// The host cannot be reached, or answers with something else.
    pub(super) fn read(&mut self, view: View) -> Result<Reading, FetchError> {
        let mut status = self.status()?;
        let mut shown = None;
        if view == View::Histograms || self.is_stale(&status) {
            self.scraped = Some(Instant::now());
            let text = self.client.get(status.telemetry_path(), "text/plain;version=0.0.4")?;
            shown = (view == View::Histograms).then(|| histograms(&String::from_utf8_lossy(&text)));
            status = self.status()?;
        }
        Ok(Reading { at: Instant::now(), status, histograms: shown })
    }

    fn status(&self) -> Result<Status, FetchError> {
        let path = "/status.json";
        let body = self.client.get(path, "application/json")?;
        serde_json::from_slice(&body).map_err(|error| FetchError::Strange {
            host: self.host(),
            path: path.to_owned(),
            why: format!("something else than the status of ebhost ({error})"),
        })
    }

    /// Whether the maps were not read for a while. The two clocks may differ, so no more often than that is read because of it.
    fn is_stale(&self, status: &Status) -> bool {
        let is_old = |age: Duration| age >= limits::TOP_STALE;
        let now = unix_seconds(SystemTime::now());
        let is_read = status.collected_at_seconds.is_some_and(|at| now - at < limits::TOP_STALE.as_secs_f64());
        !is_read && self.scraped.is_none_or(|scraped| is_old(scraped.elapsed()))
    }
}
