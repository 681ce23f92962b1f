//! Lengths of time as operators write them.

use std::time::Duration;

use ebhost_limits as limits;

/// Parses `90s`, `15m`, `2h`, or `0` for nothing; a day at most.
///
/// # Errors
/// A sentence on what was found and what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" if number == "0" => Some(0),
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let time = number.parse::<u64>().ok().zip(seconds).and_then(|(number, seconds)| number.checked_mul(seconds));
    let time = time.map(Duration::from_secs).filter(|time| *time <= limits::LONGEST_RECORDER_WINDOW);
    time.ok_or_else(|| format!("found `{text}`, expected a time such as 90s, 15m or 2h, at most 24h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("0", 0), ("90s", 90), ("15m", 900), ("24h", 86_400)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "15", "m", "-1s", "25h", "1d", "99999999999999999999h"] {
            assert!(parse_duration(wrong).is_err_and(|why| why.contains("expected a time such as")), "{wrong}");
        }
    }
}
