//! Labels for the entries that `__NAME__.bpf.c` counts in: forks, execs and exits of processes, by command name.

use std::borrow::Cow;

use ebhost_plugin::{
    Answer, Family, Manifest, LookupNames, Plugin, Refusal, View, key, layout, member, number, row, text::c_string,
};

layout! {
    /// `struct key` in __NAME__.bpf.c.
    struct Key: 20 bytes {
        event: u32,
        comm: [u8; 16],
    }
}

/// `enum event` in __NAME__.bpf.c, from 0.
const EVENTS: [&str; 3] = ["fork", "exec", "exit"];

/// `config` in plugin.yaml.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Only these command names; empty: all.
    commands: Vec<String>,
}

/// The plugin.
pub struct Processes {
    config: Config,
}

ebhost_plugin::export!(Processes);

impl Plugin for Processes {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let events = manifest.family(
            Family::counter("__NAME___events_total")
                .help("What processes did, by event and command name.")
                .labels(["event", "comm"]),
        );
        let lost =
            manifest.family(Family::counter("__NAME___lost_total").help("Events that the map had no room for."));
        manifest.view(
            View::table::<Key, u64>("events").identity(key()).feed(events, number(member!(u64))).rows(Self::event),
        );
        manifest.view(View::table::<u32, u64>("lost").feed(lost, number(member!(u64))).rows(Self::lost));
        manifest
    }
}

impl Processes {
    /// The labels of one entry. The host calls this once for each key and counts by itself.
    fn event<'a>(&'a self, key: &'a Key, _: LookupNames<'a, 0>) -> Answer<'a, 2> {
        let comm = c_string(&key.comm);
        if !self.config.commands.is_empty() && !self.config.commands.iter().any(|command| *command == comm) {
            return Err(Refusal::Skip);
        }
        let event = match EVENTS.get(key.event as usize) {
            Some(event) => Cow::Borrowed(*event),
            None => Cow::Owned(format!("event_{}", key.event)),
        };
        row![event, comm]
    }

    fn lost<'a>(&'a self, _: &'a (), _: LookupNames<'a, 0>) -> Answer<'a, 0> {
        row![]
    }
}

#[cfg(test)]
mod tests {
    use ebhost_plugin::testing::{Harness, Reason, Row};

    use super::*;

    fn event(config: &str, event: u32, comm: &[u8]) -> Row {
        let plugin = Harness::<Processes>::new(config).expect("a good configuration");
        let mut identity = event.to_le_bytes().to_vec();
        identity.extend_from_slice(comm);
        identity.resize(20, 0);
        plugin.decode(plugin.view("events"), &[(&identity, &[])]).remove(0)
    }

    fn labels(event: &str, comm: &str) -> Row {
        Ok((vec![event.to_owned(), comm.to_owned()], None))
    }

    #[test]
    fn an_entry_is_labelled_by_its_key() {
        assert_eq!(event("{}", 0, b"sh"), labels("fork", "sh"));
        assert_eq!(event("{}", 2, b"cc1"), labels("exit", "cc1"));
        assert_eq!(event("{}", 9, b"sh"), labels("event_9", "sh"));
    }

    #[test]
    fn only_chosen_commands_when_some_are_chosen() {
        let config = r#"{"commands": ["make"]}"#;
        assert_eq!(event(config, 1, b"make"), labels("exec", "make"));
        assert_eq!(event(config, 1, b"sh"), Err(Reason::Skip));
    }
}
