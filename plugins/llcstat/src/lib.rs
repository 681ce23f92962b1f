//! Last-level-cache references and misses: by CPU, from the host's perf source; and by cgroup, command or process, from a table of counts.h
//! in which `bpf/llcstat.bpf.c` charges them.
//!
//! The two events and their names are configuration. A process that has exited is labelled `exited`, and a cgroup that was removed `other`, from
//! the next scrape on: counts until then stay in the old series, which ends.

use std::borrow::Cow;

use ebhost_plugin::table::LIVE_CGROUP;
use ebhost_plugin::{
    Answer, Banks, Family, FamilyId, LabelledBanks, LookupNames, Manifest, Numbers, PerfReading, Plugin, View, key,
    key_at, layout, member, number, row, text,
};

layout! {
    /// The owner of counts: `struct who` in llcstat.bpf.c, and its note, `struct fate`.
    struct Owner: 24 bytes {
        who: [u64; 2],
        has_exited: u64,
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
            // Without families about the table's own state: what it has no room for is counted in `other`.
            let [banks, shared] = self.charges(by_owner).into_views();
            manifest.view(banks);
            manifest.view(shared);
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
    fn charges(&self, families: [FamilyId; 2]) -> LabelledBanks<Self> {
        let banks: Banks<Owner, Numbers<2>> = Banks::counts("charges").noted::<[u64; 2]>();
        let banks = banks.feed(families[0], 0).feed(families[1], 1);
        match self.config.by {
            By::Cgroup => banks.lookup(LIVE_CGROUP, key_at(member!(Owner.who).element(0))).rows(Self::cgroup),
            By::None | By::Comm => banks.rows(Self::comm),
            By::Pid => banks.rows(Self::pid),
        }
    }

    fn cpu<'a>(&'a self, cpu: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![*cpu]
    }

    fn cgroup<'a>(&'a self, _: &'a Owner, [path]: LookupNames<'a, 1>) -> Answer<'a, 1> {
        match path {
            Some(path) if !path.as_str().is_empty() => row![path],
            _ => row!["other"],
        }
    }

    fn comm<'a>(&'a self, owner: &'a Owner, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        let mut bytes = [0; 16];
        for (part, word) in bytes.chunks_exact_mut(8).zip(owner.who) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        row![Cow::<str>::Owned(text::c_string(&bytes).into_owned())]
    }

    fn pid<'a>(&'a self, owner: &'a Owner, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        if owner.has_exited == 1 { row!["exited"] } else { row![owner.who[0]] }
    }

    fn folded<'a>(&'a self, slot: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![if slot.is_multiple_of(2) { "other" } else { "unattributed" }]
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
