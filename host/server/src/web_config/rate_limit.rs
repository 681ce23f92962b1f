//! `rate_limit`: a token bucket for all requests together, as in the exporter toolkit.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Deserializer, de};

use super::yaml::RawRateLimit;

/// A bucket of `burst` tokens that gets one every `interval`. A request takes one.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    burst: u32,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// When the bucket was, or will be, full: every token that is missing puts it an interval off.
    full_at: Instant,
}

/// A duration as Go writes it; 0 needs no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval(Duration);

impl RateLimit {
    /// The limit that the file asks for; `None`: none. An error says what is wrong.
    pub(super) fn of(raw: &RawRateLimit) -> Result<Option<Self>, String> {
        let interval = raw.interval.map_or(Duration::ZERO, |interval| interval.0);
        if interval.is_zero() {
            return Ok(None);
        }
        let burst = raw.burst.unwrap_or_default();
        match u32::try_from(burst) {
            Ok(burst @ 1..) => {
                let bucket = Mutex::new(Bucket { full_at: Instant::now() });
                Ok(Some(Self { interval, burst, bucket }))
            }
            _ => Err(format!(
                "rate_limit: found `burst: {burst}`, which refuses every request; expected 1 or more, or `interval: 0`"
            )),
        }
    }

    /// Takes a token; false if there is none.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = bucket.full_at.max(now) + self.interval;
        let has_token = full_at.saturating_duration_since(now) <= self.interval * self.burst;
        if has_token {
            bucket.full_at = full_at;
        }
        has_token
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(IntervalVisitor)
    }
}

struct IntervalVisitor;

impl de::Visitor<'_> for IntervalVisitor {
    type Value = Interval;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, such as 1s, 250ms or 1m30s, or 0")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Interval, E> {
        if number == 0 {
            Ok(Interval(Duration::ZERO))
        } else {
            Err(E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Interval, E> {
        Err(E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Interval, E> {
        duration(text).map(Interval).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// A duration as Go writes it: numbers with units, one after the other.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == &rest[..unit_end])?;
        seconds += number * unit;
        rest = &rest[unit_end..];
    }
    (!text.is_empty())
        .then(|| Duration::try_from_secs_f64(seconds).ok())?
        .filter(|duration| *duration < Duration::from_secs(1 << 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, milliseconds) in
            [("0", 0), ("0s", 0), ("1s", 1_000), ("1.5s", 1_500), ("250ms", 250), ("1m30s", 90_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(duration("2147483647s"), Some(Duration::from_secs((1 << 31) - 1)), "the longest one");
        for wrong in ["", "1", "s", "1x", "-1s", "1 s", ".s", "1e9h", "2147483648s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_burst_is_let_through_and_then_one_request_an_interval() {
        let raw = RawRateLimit { interval: Some(Interval(Duration::from_secs(1))), burst: Some(3) };
        let limit = RateLimit::of(&raw).unwrap().unwrap();
        let start = Instant::now();
        let admitted = |after_ms: u64| limit.admits(start + Duration::from_millis(after_ms));
        assert_eq!([0, 0, 0, 0, 500].map(admitted), [true, true, true, false, false]);
        assert_eq!([1_010, 1_020, 2_100, 2_200].map(admitted), [true, false, true, false]);
        assert_eq!([60_000; 4].map(admitted), [true, true, true, false], "no more than the burst is saved up");
    }

    #[test]
    fn an_interval_of_0_is_no_limit_and_a_burst_of_0_is_refused() {
        assert!(RateLimit::of(&RawRateLimit::default()).unwrap().is_none());
        let raw = |burst| RawRateLimit { interval: Some(Interval(Duration::from_secs(1))), burst };
        for burst in [None, Some(0), Some(-1)] {
            assert!(RateLimit::of(&raw(burst)).unwrap_err().contains("refuses every request"), "{burst:?}");
        }
    }
}
