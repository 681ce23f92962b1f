//! Quantities as people write them in `plugin.yaml`: `16MiB`, `50ms`, `128 per cpu`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

use super::MaxEntries;

/// A number of bytes, with or without a binary unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes(pub(super) u64);

/// A time, with its unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

/// A part of one CPU's time, in millionths. `150%` is one and a half CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuShare {
    pub millionths: u64,
}

impl CpuShare {
    /// The share as a number: 1 is a whole CPU.
    pub fn ratio(self) -> f64 {
        self.millionths as f64 / 1e6
    }
}

impl<'de> Deserialize<'de> for CpuShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected a share of one CPU's time, such as 1% or 0.5%";
        let text = String::deserialize(deserializer).map_err(|_| D::Error::custom(expected))?;
        let percent = text.strip_suffix('%').and_then(|percent| percent.trim().parse::<f64>().ok());
        percent
            .filter(|percent| (0.0001..=1e6).contains(percent))
            .map(|percent| Self { millionths: (percent * 1e4).round() as u64 })
            .ok_or_else(|| D::Error::custom(format!("found `{text}`, {expected}")))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected bytes, such as 16MiB (B, KiB, MiB or GiB)";
        let text = match NumberOrText::deserialize(deserializer).map_err(|_| D::Error::custom(expected))? {
            NumberOrText::Number(bytes) => return Ok(Self(bytes)),
            NumberOrText::Text(text) => text,
        };
        let scaled = split_unit(&text).and_then(|(number, unit)| {
            let shift = match unit {
                "B" => 0,
                "KiB" => 10,
                "MiB" => 20,
                "GiB" => 30,
                _ => return None,
            };
            number.checked_mul(1 << shift)
        });
        scaled.map(Self).ok_or_else(|| D::Error::custom(format!("found `{text}`, {expected}")))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected a time above zero with its unit, such as 50ms (us, ms or s)";
        let text = String::deserialize(deserializer).map_err(|_| D::Error::custom(expected))?;
        let time = split_unit(&text).and_then(|(number, unit)| match unit {
            "us" => Some(Duration::from_micros(number)),
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            _ => None,
        });
        time.filter(|time| !time.is_zero())
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("found `{text}`, {expected}")))
    }
}

impl<'de> Deserialize<'de> for MaxEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected a number of entries above zero, such as 4096, or `128 per cpu`";
        let (number, is_per_cpu, found) =
            match NumberOrText::deserialize(deserializer).map_err(|_| D::Error::custom(expected))? {
                NumberOrText::Number(number) => (u32::try_from(number).ok(), false, number.to_string()),
                NumberOrText::Text(text) => {
                    let number = text.strip_suffix("per cpu").and_then(|number| number.trim().parse().ok());
                    (number, true, text)
                }
            };
        match number {
            Some(entries) if entries > 0 && is_per_cpu => Ok(Self::PerCpu(entries)),
            Some(entries) if entries > 0 => Ok(Self::Fixed(entries)),
            _ => Err(D::Error::custom(format!("found `{found}`, {expected}"))),
        }
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn quantities_are_what_they_say() {
        for (text, bytes) in [("512", 512), ("5 B", 5), ("4KiB", 4 << 10), ("16MiB", 16 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(parse::<Bytes>(text).unwrap().0, bytes, "{text}");
        }
        assert_eq!(parse::<Time>("7us").unwrap().0, Duration::from_micros(7));
        assert_eq!(parse::<Time>("50ms").unwrap().0, Duration::from_millis(50));
        assert_eq!(parse::<Time>("3 s").unwrap().0, Duration::from_secs(3));
        assert_eq!(parse::<MaxEntries>("128 per cpu").unwrap(), MaxEntries::PerCpu(128));
        assert_eq!(parse::<MaxEntries>("4096").unwrap(), MaxEntries::Fixed(4096));
        assert_eq!(parse::<CpuShare>("0.5%").unwrap().millionths, 5_000);
        assert_eq!(parse::<CpuShare>("150 %").unwrap().ratio(), 1.5);
    }

    #[test]
    fn what_is_no_quantity_says_what_was_found_and_expected() {
        for (error, found) in [
            (parse::<Bytes>("16MB").unwrap_err(), "`16MB`"),
            (parse::<Time>("0ms").unwrap_err(), "`0ms`"),
            (parse::<Time>("50").unwrap_err(), "`50`"),
            (parse::<MaxEntries>("128 per disk").unwrap_err(), "`128 per disk`"),
            (parse::<MaxEntries>("0").unwrap_err(), "`0`"),
            (parse::<CpuShare>("0%").unwrap_err(), "`0%`"),
            (parse::<CpuShare>("1").unwrap_err(), "expected a share"),
        ] {
            assert!(error.contains(found) && error.contains("expected"), "{error}");
        }
        assert!(parse::<Bytes>("99999999999GiB").is_err(), "an overflow is no quantity");
    }
}
