//! The path under which the metrics are served.

use std::{fmt, str::FromStr};

use crate::live;

/// The paths that the server has besides it.
pub(super) const LANDING: &str = "/";
pub(super) const STATUS: &str = "/status";
pub(super) const STATUS_JSON: &str = "/status.json";
pub(super) const HEALTHY: &str = "/-/healthy";
pub(super) const READY: &str = "/-/ready";

const TAKEN: [&str; 5] = [LANDING, STATUS, STATUS_JSON, HEALTHY, READY];

/// A path that can be served beside the server's others, such as `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryPath(String);

/// Why a path cannot be that of the metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryPathError {
    #[error("found `{0}`, which the server uses itself; expected another path, try /metrics")]
    Taken(String),
    #[error("found `{found}`, expected {expected}; try /metrics")]
    Malformed { found: String, expected: &'static str },
}

impl FromStr for TelemetryPath {
    type Err = TelemetryPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = |expected| Err(TelemetryPathError::Malformed { found: text.to_owned(), expected });
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~:@!$&'()*+,;=".contains(&byte);
        if TAKEN.contains(&text) || text.starts_with(live::PREFIX) || text == live::DUMP {
            return Err(TelemetryPathError::Taken(text.to_owned()));
        }
        if !text.starts_with('/') {
            return malformed("a path that begins with `/`");
        }
        if !text.bytes().all(is_plain) {
            return malformed("letters, digits and the punctuation that a path has without escapes");
        }
        // The router takes such segments for patterns.
        if text.split('/').any(|segment| segment.starts_with([':', '*'])) {
            return malformed("no part that begins with `:` or `*`");
        }
        Ok(Self(text.to_owned()))
    }
}

impl TelemetryPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TelemetryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--web.telemetry-path /status` was taken and made the server panic after every package was loaded.
    #[test]
    fn a_path_that_the_server_cannot_serve_is_refused_at_the_command_line() {
        for taken in ["/", "/status", "/status.json", "/-/ready", "/-/healthy"] {
            let message = taken.parse::<TelemetryPath>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("found `{taken}`, which the server uses itself")), "{message}");
        }
        for wrong in ["", "metrics", "/:x", "/*x", "/a/:x", "/{x}", "/a b", "/m?x=1", "/m#x", "/%6d", "/ü", "/a\nb"] {
            let message = wrong.parse::<TelemetryPath>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("found `{wrong}`, expected ")), "{message}");
        }
        for right in ["/metrics", "/probe/ebhost", "/status/", "/-/metrics", "/m:9", "/a//b"] {
            assert_eq!(right.parse::<TelemetryPath>().unwrap().as_str(), right);
        }
    }
}
