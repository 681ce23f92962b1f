//! Labels for the events that `__NAME__.bpf.c` sends: executed programs, by command name.

use ebhost_plugin::{
    Answer, Family, LookupNames, Manifest, NoConfig, Plugin, View, layout, member, one, row, text::c_string, value_at,
};

layout! {
    /// `struct event` in __NAME__.bpf.c.
    struct Event: 16 bytes {
        comm: [u8; 16],
    }
}

/// The plugin.
pub struct Execs;

ebhost_plugin::export!(Execs);

impl Plugin for Execs {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let execs = manifest.family(
            Family::counter("__NAME___execs_total").help("Executed programs, by command name.").labels(["comm"]),
        );
        // `one()` counts events; `number(…)` adds a member up, `observation(…)` puts it into a histogram.
        let events = View::events::<Event>("events").identity(value_at(member!(Event.comm)));
        manifest.view(events.feed(execs, one()).rows(Self::comm));
        manifest
    }
}

impl Execs {
    /// The labels of events with this name. The host calls this once for each name and counts by itself.
    fn comm<'a>(&'a self, comm: &'a [u8; 16], _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![c_string(comm)]
    }
}

#[cfg(test)]
mod tests {
    use ebhost_plugin::testing::Harness;

    use super::*;

    #[test]
    fn an_event_is_labelled_by_its_command() {
        let plugin = Harness::<Execs>::new("{}").expect("it has no configuration");
        let rows = plugin.decode(plugin.view("events"), &[(b"make\0\0\0\0\0\0\0\0\0\0\0\0", &[])]);
        assert_eq!(rows, [Ok((vec!["make".to_owned()], None))]);
    }
}
