//! Findings of `check`: the place, the mistake and how to fix it.

use serde::Serialize;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The package would not load, or would count wrongly.
    Error,
    /// The package would load, but something in it is probably a mistake.
    Warning,
}

/// A mistake in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The stage that found it: `package`, `object`, `component`, `manifest`, `names`, `decode`, `limits`.
    pub(super) stage: &'static str,
    /// File, with line and column where they are known.
    pub(super) place: String,
    pub(super) message: String,
    pub(super) fix: String,
}

impl Finding {
    #[allow(clippy::needless_pass_by_value, reason = "callers pass errors and texts")]
    pub(super) fn error(stage: &'static str, place: &str, message: impl ToString, fix: &str) -> Self {
        Self::new(Severity::Error, stage, place, &message.to_string(), fix)
    }

    #[allow(clippy::needless_pass_by_value, reason = "as above")]
    pub(super) fn warning(stage: &'static str, place: &str, message: impl ToString, fix: &str) -> Self {
        Self::new(Severity::Warning, stage, place, &message.to_string(), fix)
    }

    /// Moves the place, with which the stages' messages begin, out of the message.
    fn new(severity: Severity, stage: &'static str, place: &str, message: &str, fix: &str) -> Self {
        let (mut place, mut message) = (place.to_owned(), message.to_owned());
        if let Some(rest) = message.strip_prefix(&place) {
            let line: String = rest.chars().take_while(|c| *c == ':' || c.is_ascii_digit()).collect();
            let rest = rest[line.len()..].trim_start().to_owned();
            place.push_str(line.trim_end_matches(':'));
            message = rest;
        }
        Self { severity, stage, place, message, fix: fix.to_owned() }
    }

    /// The finding as text for a person.
    pub(super) fn text(&self) -> String {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        format!("{severity}[{}] {}: {}\n  fix: {}", self.stage, self.place, self.message, self.fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_moved_out_of_the_message() {
        let finding = Finding::error("package", "p/plugin.yaml", "p/plugin.yaml:3:7: unknown field `x`", "y");
        assert_eq!((finding.place.as_str(), finding.message.as_str()), ("p/plugin.yaml:3:7", "unknown field `x`"));
        let finding = Finding::error("component", "p/x.wasm", "p/x.wasm: is cut short", "y");
        assert_eq!((finding.place.as_str(), finding.message.as_str()), ("p/x.wasm", "is cut short"));
        assert_eq!(finding.text(), "error[component] p/x.wasm: is cut short\n  fix: y");
    }
}
