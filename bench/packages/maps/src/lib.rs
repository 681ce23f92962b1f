//! Labels for synthetic keys, like those of a plugin whose key is an address, a process or a connection. Each entry has a series of its
//! own, which is the most expensive case.

use ebhost_plugin::{
    Answer, Family, LookupNames, Manifest, Plugin, View, key, layout, member, number, one, row, value_at,
};

layout! {
    /// `struct key` in maps.bpf.c.
    struct Key: 16 bytes {
        id: u64,
        group: u32,
        kind: u32,
    }
}

layout! {
    /// `struct event` in maps.bpf.c.
    struct Event: 16 bytes {
        number: u64,
        kind: u32,
        unused: u32,
    }
}

/// Names for `Key.kind` and `Event.kind`, like those of an operation or a state.
pub const KINDS: [&str; 8] = ["read", "write", "open", "close", "sync", "lock", "poll", "other"];

/// The maps with keys of type [`Key`].
const HASHES: [&str; 4] = ["hash", "crowded", "lru", "per_cpu_hash"];
/// The maps whose keys are indices.
const ARRAYS: [&str; 3] = ["array", "mapped_array", "per_cpu_array"];

/// The buffers of [`Event`]s.
const BUFFERS: [&str; 2] = ["ring", "output"];

/// The package's `config`.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The names of the maps to read.
    read: Vec<String>,
}

/// The plugin.
pub struct Maps {
    config: Config,
}

ebhost_plugin::export!(Maps);

impl Plugin for Maps {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let is_unknown = |map: &&String| !HASHES.iter().chain(&ARRAYS).chain(&BUFFERS).any(|known| known == map);
        match config.read.iter().find(is_unknown) {
            Some(map) => {
                Err(format!("config.read: found `{map}`, expected one of {HASHES:?}, {ARRAYS:?}, {BUFFERS:?}"))
            }
            None => Ok(Self { config }),
        }
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        for map in &self.config.read {
            if BUFFERS.contains(&map.as_str()) {
                let name = format!("{map}_events_total");
                let family = manifest.family(Family::counter(&name).help("Events of a test.").labels(["kind"]));
                let event = View::events::<Event>(map).identity(value_at(member!(Event.kind)));
                manifest.view(event.feed(family, one()).rows(Self::event));
                continue;
            }
            let name = format!("{map}_calls_total");
            let labels: &[&str] = if HASHES.contains(&map.as_str()) { &["id", "group", "kind"] } else { &["slot"] };
            let family = manifest.family(Family::counter(&name).help("Made-up calls.").labels(labels.iter().copied()));
            if HASHES.contains(&map.as_str()) {
                manifest.view(
                    View::table::<Key, u64>(map).identity(key()).feed(family, number(member!(u64))).rows(Self::call),
                );
            } else {
                manifest.view(
                    View::table::<u32, u64>(map).identity(key()).feed(family, number(member!(u64))).rows(Self::slot),
                );
            }
        }
        manifest
    }
}

impl Maps {
    fn call<'a>(&'a self, key: &'a Key, _: LookupNames<'a, 0>) -> Answer<'a, 3> {
        row![key.id, key.group, KINDS[key.kind as usize % KINDS.len()]]
    }

    fn event<'a>(&'a self, kind: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![KINDS[*kind as usize % KINDS.len()]]
    }

    fn slot<'a>(&'a self, slot: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![*slot]
    }
}
