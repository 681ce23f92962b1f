//! What the host says of the machine and of the package's BPF object, under the key `host` that it adds to the configuration.

use std::collections::BTreeMap;

use serde_json::Value;

/// The machine and the object's maps.
pub(crate) struct Machine {
    /// As `uname -m` has it.
    pub(crate) architecture: String,
    pub(crate) maps: BTreeMap<String, Map>,
    /// Whether the configuration is a file of the peer's, which has more in it than metrics.
    pub(crate) is_peers: bool,
}

/// A map as the host sees it.
#[derive(Clone, Copy)]
pub(crate) struct Map {
    pub(crate) kind: Kind,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    PerCpuTable,
    /// A ring buffer or perf event array.
    Events,
}

impl Machine {
    /// None: a host that does not say it is not one that this component was made for.
    pub(crate) fn read(config: &Value) -> Option<Self> {
        let host = config.get("host")?;
        let maps = host.get("maps")?.as_object()?.iter().map(|(name, map)| Some((name.clone(), Map::read(map)?)));
        Some(Self {
            architecture: host.get("architecture")?.as_str()?.to_owned(),
            maps: maps.collect::<Option<_>>()?,
            is_peers: host.get("is_peers")?.as_bool()?,
        })
    }
}

impl Map {
    fn read(map: &Value) -> Option<Self> {
        let size = |key| map.get(key)?.as_u64()?.try_into().ok();
        let kind = match map.get("kind")?.as_str()? {
            "table" => Kind::Table,
            "per_cpu_table" => Kind::PerCpuTable,
            "events" => Kind::Events,
            _ => return None,
        };
        Some(Self { kind, key_size: size("key_size")?, value_size: size("value_size")? })
    }
}
