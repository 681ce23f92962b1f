//! The facts about the machine and the package's BPF object that the host adds to the configuration, under the key `host`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::code_names::SyscallNames;

/// The machine and the maps of the BPF object.
pub(crate) struct Machine {
    /// The package's name.
    pub(crate) package: String,
    /// As printed by `uname -m`.
    pub(crate) architecture: String,
    pub(crate) maps: BTreeMap<String, Map>,
    /// Whether the configuration is a file of ebpf_exporter, which may contain more than metrics.
    pub(crate) is_ebpf_exporter: bool,
    pub(crate) syscall_names: SyscallNames,
}

/// A map of the BPF object.
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
    /// Reads the key `host`. None if it is missing or incomplete: then this component was built for another version of the host.
    pub(crate) fn read(config: &Value) -> Option<Self> {
        let host = config.get("host")?;
        let maps = host.get("maps")?.as_object()?.iter().map(|(name, map)| Some((name.clone(), Map::read(map)?)));
        Some(Self {
            package: host.get("package")?.as_str()?.to_owned(),
            architecture: host.get("architecture")?.as_str()?.to_owned(),
            maps: maps.collect::<Option<_>>()?,
            is_ebpf_exporter: host.get("is_ebpf_exporter")?.as_bool()?,
            syscall_names: match host.get("syscall_names")?.as_str()? {
                "kernel" => SyscallNames::Kernel,
                "ebpf_exporter" => SyscallNames::EbpfExporter,
                _ => return None,
            },
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
