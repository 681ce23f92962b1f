//! The `perf:` section of `plugin.yaml`: sources that are groups of perf events, by name.
//!
//! Everything that does not depend on the machine is checked here: the form of an event, and the names that the kernel's ABI
//! fixes. The kernel stage finds out which tracepoints and PMUs exist.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};

use ebhost_limits as limits;

/// One source: a group of events, opened on every CPU, that are scheduled together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Perf {
    pub events: Vec<Event>,
    /// Perf event arrays of the BPF object that the host fills, one for each event; empty: none.
    pub maps: Vec<String>,
    /// The program that each sample of the first event runs; none: the events only count.
    pub samples: Option<Samples>,
}

/// The program that samples run, and their rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    pub program: String,
    pub rate: Rate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// About this many samples a second.
    Frequency(u64),
    /// One sample for this many events.
    Period(u64),
}

/// One event: the text of plugin.yaml, and its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub text: String,
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// `type` and `config` of `struct perf_event_attr`, fixed by the kernel's ABI.
    Fixed {
        kind: u32,
        config: u64,
    },
    Tracepoint {
        category: String,
        name: String,
    },
    /// A PMU of `/sys/bus/event_source/devices` and a name in its `events`, or terms of its `format`.
    Pmu {
        pmu: String,
        config: String,
    },
}

/// `enum perf_type_id`.
pub const PERF_TYPE_HARDWARE: u32 = 0;
const PERF_TYPE_SOFTWARE: u32 = 1;
pub const PERF_TYPE_TRACEPOINT: u32 = 2;
pub const PERF_TYPE_HW_CACHE: u32 = 3;
pub const PERF_TYPE_RAW: u32 = 4;

/// By `enum perf_hw_id`.
const HARDWARE: [&str; 10] = [
    "cycles",
    "instructions",
    "cache-references",
    "cache-misses",
    "branch-instructions",
    "branch-misses",
    "bus-cycles",
    "stalled-cycles-frontend",
    "stalled-cycles-backend",
    "ref-cycles",
];

/// By `enum perf_sw_ids`.
const SOFTWARE: [&str; 12] = [
    "cpu-clock",
    "task-clock",
    "page-faults",
    "context-switches",
    "cpu-migrations",
    "minor-faults",
    "major-faults",
    "alignment-faults",
    "emulation-faults",
    "dummy",
    "bpf-output",
    "cgroup-switches",
];

/// By `enum perf_hw_cache_id`, `…_op_id` and `…_op_result_id`.
const CACHES: [&str; 7] = ["L1D", "L1I", "LL", "DTLB", "ITLB", "BPU", "NODE"];
const OPERATIONS: [&str; 3] = ["read", "write", "prefetch"];
const RESULTS: [&str; 2] = ["access", "miss"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    events: Vec<Event>,
    #[serde(default)]
    maps: Vec<String>,
    program: Option<String>,
    frequency: Option<u64>,
    sample_period: Option<u64>,
}

impl TryFrom<Raw> for Perf {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let events = raw.events.len();
        if !(1..=limits::PERF_GROUP_EVENTS).contains(&events) {
            return Err(format!("found {events} events, expected 1 to {} in a group", limits::PERF_GROUP_EVENTS));
        }
        if let Some(twice) = raw.events.iter().enumerate().find(|(at, event)| raw.events[..*at].contains(event)) {
            return Err(format!("found the event `{}` twice in a group, expected it once", twice.1.text));
        }
        if !raw.maps.is_empty() && raw.maps.len() != events {
            return Err(format!(
                "found {} maps for {events} events, expected one for each event, or none",
                raw.maps.len()
            ));
        }
        let samples = match (raw.program, raw.frequency, raw.sample_period) {
            (None, None, None) => None,
            (Some(program), Some(frequency @ 1..), None) => Some(Samples { program, rate: Rate::Frequency(frequency) }),
            (Some(program), None, Some(period @ 1..)) => Some(Samples { program, rate: Rate::Period(period) }),
            _ => {
                return Err("found a part of `program`, `frequency` and `sample_period`, expected for samples a \
                            `program` and one of `frequency` and `sample_period`, above 0"
                    .to_owned());
            }
        };
        Ok(Self { events: raw.events, maps: raw.maps, samples })
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kind = EventKind::parse(&text)
            .map_err(|expected| D::Error::custom(format!("found the event `{text}`, expected {expected}")))?;
        Ok(Self { text, kind })
    }
}

impl Event {
    /// An event given by numbers, as `SEC("perf_event/type=T,config=C,…")` does.
    pub fn fixed(kind: u32, config: u64) -> Self {
        let names: &[&str] = match kind {
            PERF_TYPE_HARDWARE => &HARDWARE,
            PERF_TYPE_SOFTWARE => &SOFTWARE,
            _ => &[],
        };
        let family = if kind == PERF_TYPE_HARDWARE { "hardware" } else { "software" };
        let name = usize::try_from(config).ok().and_then(|config| names.get(config));
        let text = name.map_or_else(|| format!("type={kind},config={config}"), |name| format!("{family}/{name}"));
        Self { text, kind: EventKind::Fixed { kind, config } }
    }
}

impl EventKind {
    /// Parses an event; the error says what was expected.
    fn parse(text: &str) -> Result<Self, String> {
        let Some((family, rest)) = text.split_once('/') else {
            return Err("KIND/NAME, such as hardware/cache-misses, hw-cache/LL/read/miss, software/page-faults, \
                        tracepoint/block/block_rq_issue, raw/0x412e or a PMU's name and its event"
                .to_owned());
        };
        let fixed = |kind, config| Ok(Self::Fixed { kind, config });
        match family {
            "hardware" => fixed(PERF_TYPE_HARDWARE, index(&HARDWARE, rest)?),
            "software" => fixed(PERF_TYPE_SOFTWARE, index(&SOFTWARE, rest)?),
            "hw-cache" => fixed(PERF_TYPE_HW_CACHE, cache(rest)?),
            "raw" => fixed(PERF_TYPE_RAW, number(rest).ok_or("raw/NUMBER, such as raw/0x412e")?),
            "tracepoint" => match rest.split_once('/') {
                Some((category, name)) if is_file(category) && is_file(name) => {
                    Ok(Self::Tracepoint { category: category.to_owned(), name: name.to_owned() })
                }
                _ => Err("tracepoint/CATEGORY/NAME, such as tracepoint/block/block_rq_issue".to_owned()),
            },
            pmu if is_file(pmu) && !rest.is_empty() && !rest.contains('/') => {
                Ok(Self::Pmu { pmu: pmu.to_owned(), config: rest.to_owned() })
            }
            _ => Err("a PMU's name and one of its events or terms, such as cpu/event=0x2e,umask=0x41".to_owned()),
        }
    }
}

/// A number in decimal or, behind `0x`, hexadecimal digits.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn index(names: &[&str], name: &str) -> Result<u64, String> {
    let found = names.iter().position(|known| *known == name);
    found.map(|at| at as u64).ok_or_else(|| format!("one of {}", names.join(", ")))
}

fn cache(rest: &str) -> Result<u64, String> {
    let parts: Vec<_> = rest.split('/').collect();
    let [cache, operation, result] = parts[..] else {
        return Err("hw-cache/CACHE/OPERATION/RESULT, such as hw-cache/LL/read/miss".to_owned());
    };
    Ok(index(&CACHES, cache)? | index(&OPERATIONS, operation)? << 8 | index(&RESULTS, result)? << 16)
}

/// Whether it can be the name of a file in a folder.
fn is_file(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

/// The perf sources of a package, by name.
pub type PerfSources = BTreeMap<String, Perf>;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Perf, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    fn fixed(kind: u32, config: u64) -> EventKind {
        EventKind::Fixed { kind, config }
    }

    #[test]
    fn events_are_the_numbers_of_the_kernels_abi() {
        for (text, kind) in [
            ("hardware/cycles", fixed(0, 0)),
            ("hardware/cache-references", fixed(0, 2)),
            ("hardware/cache-misses", fixed(0, 3)),
            ("software/page-faults", fixed(1, 2)),
            ("software/context-switches", fixed(1, 3)),
            ("hw-cache/LL/read/miss", fixed(3, 0x1_0002)),
            ("hw-cache/DTLB/write/access", fixed(3, 0x103)),
            ("raw/0x412e", fixed(4, 0x412e)),
            (
                "tracepoint/block/block_rq_issue",
                EventKind::Tracepoint { category: "block".into(), name: "block_rq_issue".into() },
            ),
            ("cpu/event=0x2e,umask=0x41", EventKind::Pmu { pmu: "cpu".into(), config: "event=0x2e,umask=0x41".into() }),
            (
                "uncore_imc_0/cas_count_read",
                EventKind::Pmu { pmu: "uncore_imc_0".into(), config: "cas_count_read".into() },
            ),
        ] {
            assert_eq!(EventKind::parse(text), Ok(kind), "{text}");
        }
    }

    #[test]
    fn what_is_no_event_says_what_was_expected() {
        for (text, expected) in [
            ("cycles", "expected KIND/NAME"),
            ("hardware/cache-mises", "expected one of cycles, instructions, cache-references"),
            ("hw-cache/LL/miss", "expected hw-cache/CACHE/OPERATION/RESULT"),
            ("hw-cache/L3/read/miss", "expected one of L1D, L1I, LL"),
            ("raw/zz", "expected raw/NUMBER"),
            ("tracepoint/block", "expected tracepoint/CATEGORY/NAME"),
            ("tracepoint/../etc", "expected tracepoint/CATEGORY/NAME"),
            ("../x", "expected a PMU's name"),
        ] {
            let refusal = parse(&format!("events: ['{text}']")).unwrap_err();
            assert!(refusal.contains(&format!("found the event `{text}`, {expected}")), "{refusal}");
        }
    }

    #[test]
    fn samples_need_a_program_and_one_rate() {
        let samples = parse("{ events: [software/cpu-clock], program: tick, frequency: 99 }").unwrap().samples.unwrap();
        assert_eq!((samples.program.as_str(), samples.rate), ("tick", Rate::Frequency(99)));
        for rest in
            ["program: tick", "frequency: 99", "program: t, frequency: 0", "program: t, frequency: 1, sample_period: 1"]
        {
            let refusal = parse(&format!("{{ events: [software/cpu-clock], {rest} }}")).unwrap_err();
            assert!(refusal.contains("expected for samples a `program` and one of"), "{refusal}");
        }
        let twice = parse("events: [software/dummy, software/dummy]").unwrap_err();
        assert!(twice.contains("found the event `software/dummy` twice"), "{twice}");
        assert!(parse("events: []").unwrap_err().contains("found 0 events"));
        assert!(parse("{ events: [software/dummy], maps: [a, b] }").unwrap_err().contains("found 2 maps for 1 events"));
    }

    #[test]
    fn numbers_have_the_names_of_their_events() {
        assert_eq!(Event::fixed(0, 3).text, "hardware/cache-misses");
        assert_eq!(Event::fixed(1, 0).text, "software/cpu-clock");
        assert_eq!(Event::fixed(8, 17).text, "type=8,config=17");
    }
}
