//! Patterns of function names, as libbpf's `glob_match` has them.

use super::AttachError;
use ebhost_limits::PROBED_FUNCTIONS;

/// Whether a name matches a pattern: `*` stands for any text, `?` for one character.
pub(super) fn matches(name: &[u8], pattern: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((b'*', others)), _) => (0..=name.len()).any(|from| matches(&name[from..], others)),
        (Some((b'?', others)), Some((_, rest))) => matches(rest, others),
        (Some((wanted, others)), Some((found, rest))) => wanted == found && matches(rest, others),
        (Some(_), None) => false,
    }
}

/// Refuses patterns that match more functions than one program may be attached to. `place` begins the message.
pub(super) fn check_count(count: usize, pattern: &str, place: &str) -> Result<(), AttachError> {
    if count <= PROBED_FUNCTIONS {
        return Ok(());
    }
    let why = format!("{place}found {count} functions that fit `{pattern}`, expected at most {PROBED_FUNCTIONS}");
    Err(AttachError::Absent(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_patterns() {
        for (name, pattern) in
            [("tcp_sendmsg", "tcp_*"), ("tcp_sendmsg", "*msg"), ("a", "*"), ("abc", "a?c"), ("", "*")]
        {
            assert!(matches(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
        for (name, pattern) in [("tcp_sendmsg", "udp_*"), ("abc", "a?"), ("abc", "abcd"), ("", "?")] {
            assert!(!matches(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
    }
}
