//! Whether an artifact is older than the one that is installed: somebody who can answer for a registry can offer yesterday's artifact,
//! with yesterday's mistakes and a signature that is good.

use std::{cmp::Ordering, time::SystemTime};

use semver::Version;

use crate::pins::Record;

/// Why an artifact is taken for older.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OlderError {
    #[error("found version {found}, expected {installed} or later, which is installed{HINT}")]
    Version { found: String, installed: String },
    #[error("found an artifact of {found}, expected none older than the installed one of {installed}{HINT}")]
    Created { found: String, installed: String },
    #[error(
        "found neither a version nor a time of creation, expected one that is later than the installed {installed}{HINT}"
    )]
    Unknown { installed: String },
}

/// How to get it all the same.
const HINT: &str = ": an old one may be played back; --allow-downgrade takes it, or name it by its digest";

/// Compares what is offered with what is installed: by version, and where versions are equal or say nothing, by the time of creation.
///
/// # Errors
/// It is older, or its age is not known.
pub fn check_not_older(installed: &Record, offered: &Record) -> Result<(), OlderError> {
    let version = |record: &Record| record.version.as_deref().and_then(parse_version);
    match (version(installed), version(offered)) {
        (Some(before), Some(now)) if now < before => {
            let text = |record: &Record| record.version.clone().unwrap_or_default();
            return Err(OlderError::Version { found: text(offered), installed: text(installed) });
        }
        (Some(before), Some(now)) if now > before => return Ok(()),
        (Some(_), Some(_)) => {}
        (Some(_), None) if offered.created.is_none() => {
            return Err(OlderError::Unknown { installed: installed.version.clone().unwrap_or_default() });
        }
        _ => {}
    }
    let text = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
    match (installed.created, offered.created) {
        (Some(before), Some(now)) if seconds(now).cmp(&seconds(before)) == Ordering::Less => {
            Err(OlderError::Created { found: text(now), installed: text(before) })
        }
        (Some(_), Some(_)) | (None, _) => Ok(()),
        (Some(before), None) => Err(OlderError::Unknown { installed: text(before) }),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// A semantic version; `1`, `1.2` and `v1.2.3` are taken for ones, too.
pub(crate) fn parse_version(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = 2_usize.checked_sub(numbers.matches('.').count())?;
    Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(missing))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: &str, day: Option<u32>) -> Record {
        Record {
            name: "x".to_owned(),
            version: (!version.is_empty()).then(|| version.to_owned()),
            created: day.map(|day| humantime::parse_rfc3339(&format!("2026-11-{day:02}T00:00:00Z")).unwrap()),
            reference: "a.io/x:1".parse().unwrap(),
        }
    }

    #[test]
    fn an_artifact_that_is_played_back_is_older() {
        for (installed, offered, is_taken) in [
            (("1.2.0", Some(5)), ("1.2.1", Some(6)), true),
            // A release branch may be built later than the next release.
            (("1.2.1", Some(6)), ("1.3.0", Some(5)), true),
            (("1.10.0", Some(5)), ("1.9.0", Some(6)), false),
            (("1.2.0", Some(5)), ("1.2.0", Some(5)), true),
            (("1.2.0", Some(5)), ("1.2.0", Some(4)), false),
            (("v1.2", Some(5)), ("1.2.0-rc1", Some(6)), false),
            (("", Some(5)), ("", Some(4)), false),
            (("", Some(5)), ("", Some(6)), true),
            (("monday", Some(5)), ("sunday", Some(4)), false),
            (("1.2.0", Some(5)), ("", None), false),
            (("", None), ("", None), true),
            (("1.2.0", None), ("", None), false),
            (("1.2.0", None), ("1.2.0", None), true),
        ] {
            let answer = check_not_older(&record(installed.0, installed.1), &record(offered.0, offered.1));
            assert_eq!(answer.is_ok(), is_taken, "{installed:?} {offered:?} {answer:?}");
        }
    }
}
