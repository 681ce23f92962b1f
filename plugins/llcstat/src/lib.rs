//! Last-level-cache references and misses: by CPU, from the host's perf source; and by cgroup, command or process, from the places (slots
//! of an array) in which `bpf/llcstat.bpf.c` counts.
//!
//! The two events and their names are configuration. Each place carries its owner in its value. The place of a process that has exited
//! is labelled `exited`, and that of a cgroup that was removed `other`, from the next scrape on: counts until then stay in the old
//! series, which ends.

use std::borrow::Cow;

use ebhost_plugin::table::LIVE_CGROUP;
use ebhost_plugin::{
    Answer, Family, FamilyId, LabelledView, LookupNames, Manifest, Member, PerfReading, Plugin, Refusal, View, key,
    layout, member, number, row, text, value_at,
};

layout! {
    /// The owner of a place: the first members of `struct place` in llcstat.bpf.c. `check` does not fit the other words while a place
    /// changes its owner.
    struct Owner: 40 bytes {
        first: u64,
        who: [u64; 2],
        dead: u64,
        check: u64,
    }
}

layout! {
    /// `struct place` in llcstat.bpf.c.
    struct Place: 64 bytes {
        owner: Owner,
        counts: [u64; 2],
        charged_ns: u64,
    }
}

layout! {
    /// `struct counts` in llcstat.bpf.c: one count for each event.
    struct Counts: 16 bytes {
        events: [u64; 2],
    }
}

/// The package's `config`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to attribute the events to, besides the CPU. The BPF program needs `targ_by`, and its programs attached, as well.
    by: By,
    /// The names of the two events in metrics: `NAME_total{cpu}`, `NAME_by_pid_total{pid}` ….
    names: [String; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    None,
    Cgroup,
    Comm,
    Pid,
}

impl Default for Config {
    fn default() -> Self {
        Self { by: By::None, names: ["llc_references".into(), "llc_misses".into()] }
    }
}

/// The plugin.
pub struct Llcstat {
    config: Config,
}

ebhost_plugin::export!(Llcstat);

impl Plugin for Llcstat {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let [references, misses] = &self.config.names;
        let by_cpu = [references, misses].map(|name| manifest.family(by_cpu_family(name)));
        manifest.view(
            View::perf::<2>("llc")
                .identity(key())
                .feed(by_cpu[0], number(PerfReading::<2>::event(0)))
                .feed(by_cpu[1], number(PerfReading::<2>::event(1)))
                .rows(Self::cpu),
        );
        if let Some(label) = self.config.by.label() {
            let by_owner = [references, misses].map(|name| manifest.family(by_owner_family(name, label)));
            manifest.view(self.places(by_owner));
            manifest.view(
                View::table::<u32, Counts>("folded")
                    .identity(key())
                    .feed(by_owner[0], number(member!(Counts.events).element(0)))
                    .feed(by_owner[1], number(member!(Counts.events).element(1)))
                    .rows(Self::folded),
            );
        }
        manifest
    }
}

fn by_cpu_family(event: &str) -> Family {
    let help = format!("{}, of each CPU; kernel and user.", describe_event(event));
    Family::counter(&format!("{event}_total")).help(&help).labels(["cpu"])
}

fn by_owner_family(event: &str, label: &str) -> Family {
    let help = format!("{}, charged to the {label} that ran.", describe_event(event));
    Family::counter(&format!("{event}_by_{label}_total")).help(&help).labels([label])
}

impl By {
    fn label(self) -> Option<&'static str> {
        match self {
            By::None => None,
            By::Cgroup => Some("cgroup"),
            By::Comm => Some("comm"),
            By::Pid => Some("pid"),
        }
    }
}

impl Llcstat {
    fn places(&self, families: [FamilyId; 2]) -> LabelledView<Self> {
        let counts: Member<Place, [u64; 2]> = member!(Place.counts);
        let view = View::table::<u32, Place>("places")
            .identity(value_at(member!(Place.owner)))
            .feed(families[0], number(counts.element(0)))
            .feed(families[1], number(counts.element(1)));
        match self.config.by {
            By::Cgroup => view.lookup(LIVE_CGROUP, value_at(member!(Place.owner.who).element(0))).rows(Self::cgroup),
            By::None | By::Comm => view.rows(Self::comm),
            By::Pid => view.rows(Self::pid),
        }
    }

    fn cpu<'a>(&'a self, cpu: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![*cpu]
    }

    fn cgroup<'a>(&'a self, owner: &'a Owner, [path]: LookupNames<'a, 1>) -> Answer<'a, 1> {
        owner.check()?;
        match path {
            Some(path) if !path.as_str().is_empty() => row![path],
            _ => row!["other"],
        }
    }

    fn comm<'a>(&'a self, owner: &'a Owner, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        owner.check()?;
        let mut bytes = [0; 16];
        for (part, word) in bytes.chunks_exact_mut(8).zip(owner.who) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        row![Cow::<str>::Owned(text::c_string(&bytes).into_owned())]
    }

    fn pid<'a>(&'a self, owner: &'a Owner, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        owner.check()?;
        if owner.dead == owner.first { row!["exited"] } else { row![owner.who[0]] }
    }

    fn folded<'a>(&'a self, place: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![if place.is_multiple_of(2) { "other" } else { "unattributed" }]
    }
}

impl Owner {
    /// Skips a place without an owner, and one that changed its owner while it was read.
    fn check(&self) -> Result<(), Refusal> {
        if self.first != 0 && self.check == self.first ^ self.mixed() { Ok(()) } else { Err(Refusal::Skip) }
    }

    /// A number made of all bits of `who`, as llcstat.bpf.c computes it.
    fn mixed(&self) -> u64 {
        let [low, high] = self.who;
        (low ^ high.wrapping_mul(0xff51_afd7_ed55_8ccd)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The beginning of a help text for an event with this name.
fn describe_event(name: &str) -> String {
    match name {
        "llc_references" => "Last-level-cache references".into(),
        "llc_misses" => "Last-level-cache misses".into(),
        _ => format!("Perf events named `{name}`"),
    }
}
