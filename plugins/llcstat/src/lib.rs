//! Last-level-cache references and misses: by CPU from the host's perf source, by who caused them from the places that
//! `bpf/llcstat.bpf.c` charges them to.
//!
//! The two events are configuration, and so are their names. A place says itself whose it is; that of a process that has exited is
//! `exited`'s, that of a cgroup that is not there any more `other`'s, from the scrape on that finds it so: what has been
//! counted stays where it was, and the series of the dead end.

use std::borrow::Cow;

use ebhost_plugin::table::CGROUP;
use ebhost_plugin::{
    Answer, Family, FamilyId, Manifest, Member, Names, Plugin, Reading, Refusal, View, key, layout, member, number,
    row, text, value_at,
};

layout! {
    /// Whose a place is: the first members of `struct place`.
    struct Owner: 40 bytes {
        first: u64,
        who: [u64; 2],
        dead: u64,
        last: u64,
    }
}

layout! {
    /// `struct place`.
    struct Place: 64 bytes {
        owner: Owner,
        counts: [u64; 2],
        charged_ns: u64,
    }
}

layout! {
    /// `struct counts`.
    struct Counts: 16 bytes {
        of: [u64; 2],
    }
}

/// The package's `config`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whom to charge. The BPF side needs its global `targ_by` and its programs as well.
    by: By,
    /// What the two events are called: `NAME_total{cpu}`, `NAME_by_pid_total{pid}` ….
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
        let by_cpu = |manifest: &mut Manifest<Self>, name: &str| {
            let help = format!("{}, of each CPU; kernel and user.", sentence(name));
            manifest.family(Family::counter(&format!("{name}_total")).help(&help).labels(["cpu"]))
        };
        let cpu = [by_cpu(&mut manifest, references), by_cpu(&mut manifest, misses)];
        let events = [ebhost_plugin::PerfReading::<2>::event(0), ebhost_plugin::PerfReading::<2>::event(1)];
        manifest.view(
            View::perf::<2>("llc")
                .identity(key())
                .feed(cpu[0], number(events[0]))
                .feed(cpu[1], number(events[1]))
                .rows(Self::cpu),
        );
        if let Some(label) = self.config.by.label() {
            let by = |manifest: &mut Manifest<Self>, name: &str| {
                let help = format!("{}, charged to the {label} that ran.", sentence(name));
                manifest.family(Family::counter(&format!("{name}_by_{label}_total")).help(&help).labels([label]))
            };
            let by = [by(&mut manifest, references), by(&mut manifest, misses)];
            manifest.view(self.places(by));
            manifest.view(
                View::table::<u32, Counts>("folded")
                    .identity(key())
                    .feed(by[0], number(member!(Counts.of).element(0)))
                    .feed(by[1], number(member!(Counts.of).element(1)))
                    .rows(Self::folded),
            );
        }
        manifest
    }
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
    fn places(&self, by: [FamilyId; 2]) -> Reading<Self> {
        let counts: Member<Place, [u64; 2]> = member!(Place.counts);
        let view = View::table::<u32, Place>("places")
            .identity(value_at(member!(Place.owner)))
            .feed(by[0], number(counts.element(0)))
            .feed(by[1], number(counts.element(1)));
        match self.config.by {
            By::Cgroup => view.lookup(CGROUP, value_at(member!(Place.owner.who).element(0))).rows(Self::cgroup),
            By::None | By::Comm => view.rows(Self::comm),
            By::Pid => view.rows(Self::pid),
        }
    }

    fn cpu<'a>(&'a self, cpu: &'a u32, _: Names<'a, 0>) -> Answer<'a, 1> {
        row![*cpu]
    }

    fn cgroup<'a>(&'a self, owner: &'a Owner, [path]: Names<'a, 1>) -> Answer<'a, 1> {
        owner.check()?;
        match path {
            Some(path) => row![path],
            None => row!["other"],
        }
    }

    fn comm<'a>(&'a self, owner: &'a Owner, _: Names<'a, 0>) -> Answer<'a, 1> {
        owner.check()?;
        let mut bytes = [0; 16];
        for (part, word) in bytes.chunks_exact_mut(8).zip(owner.who) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        row![Cow::<str>::Owned(text::c_string(&bytes).into_owned())]
    }

    fn pid<'a>(&'a self, owner: &'a Owner, _: Names<'a, 0>) -> Answer<'a, 1> {
        owner.check()?;
        if owner.dead == owner.first { row!["exited"] } else { row![owner.who[0]] }
    }

    fn folded<'a>(&'a self, place: &'a u32, _: Names<'a, 0>) -> Answer<'a, 1> {
        row![if place.is_multiple_of(2) { "other" } else { "unattributed" }]
    }
}

impl Owner {
    /// Skips a place that nobody has, and one that was being given away while it was read.
    fn check(&self) -> Result<(), Refusal> {
        if self.first != 0 && self.first == self.last { Ok(()) } else { Err(Refusal::Skip) }
    }
}

/// What an event's name says, for a help text.
fn sentence(name: &str) -> String {
    match name {
        "llc_references" => "Last-level-cache references".into(),
        "llc_misses" => "Last-level-cache misses".into(),
        _ => format!("Perf events named `{name}`"),
    }
}
