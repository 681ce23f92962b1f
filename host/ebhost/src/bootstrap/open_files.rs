//! The limit on open files.

use std::io;

use ebhost_limits::LEAST_OPEN_FILES;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The process may open fewer files than it needs for itself.
#[derive(Debug, thiserror::Error)]
#[error(
    "found a limit of {found} open files, expected at least {LEAST_OPEN_FILES}, and one more for each map, program and perf event: raise the \
     hard limit (`ulimit -Hn`, or LimitNOFILE= in the unit)"
)]
pub(super) struct TooFewFiles {
    found: u64,
}

/// Raises the soft limit to the hard one. systemd's soft limit of 1024 exists for programs that use select(2), which this is not; a
/// package with two perf events needs as many on a machine of 512 CPUs. Shown by `process_max_fds`.
pub(super) fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// Refuses a limit with which the process could not even say what is missing: libraries panic when they cannot open what they need.
pub(super) fn check_limit() -> Result<(), TooFewFiles> {
    check(getrlimit(Resource::Nofile).current)
}

fn check(limit: Option<u64>) -> Result<(), TooFewFiles> {
    match limit {
        Some(found @ 0..LEAST_OPEN_FILES) => Err(TooFewFiles { found }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        raise_limit().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }

    #[test]
    fn a_limit_of_eight_is_an_error_that_says_what_to_raise() {
        let message = check(Some(8)).unwrap_err().to_string();
        assert!(message.starts_with("found a limit of 8 open files, expected at least 32"), "{message}");
        assert!(message.contains("LimitNOFILE="), "{message}");
        assert!(check(Some(LEAST_OPEN_FILES)).is_ok() && check(None).is_ok());
    }
}
