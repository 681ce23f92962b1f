//! The part of the builtin component's configuration that the host adds: the machine, and the maps that it may read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use ebhost_package::{Compat, Package, SyscallNames};
use ebhost_series::schema::SourceShape;

/// The package's configuration as JSON, with the key `host` added. `architecture` is that of the machine that filled the maps.
pub(super) fn config(package: &Package, sources: &BTreeMap<String, SourceShape>, architecture: &str) -> String {
    let mut config: Value = serde_json::from_str(&package.config).unwrap_or_default();
    let maps: serde_json::Map<_, _> = sources.iter().map(|(name, shape)| (name.clone(), map(*shape))).collect();
    let is_ebpf_exporter = package.compat == Compat::EbpfExporter;
    let syscall_names = match package.syscall_names {
        SyscallNames::Kernel => "kernel",
        SyscallNames::EbpfExporter => "ebpf_exporter",
    };
    let host = json!({
        "package": package.name,
        "architecture": architecture,
        "is_ebpf_exporter": is_ebpf_exporter,
        "syscall_names": syscall_names,
        "maps": maps,
    });
    match &mut config {
        Value::Object(keys) => {
            keys.insert("host".to_owned(), host);
        }
        other => *other = json!({ "host": host }), // an empty file
    }
    config.to_string()
}

fn map(shape: SourceShape) -> Value {
    let (kind, key_size, value_size) = match shape {
        SourceShape::Table { key_size, value_size } => ("table", key_size, value_size),
        SourceShape::PerCpuTable { key_size, value_size } => ("per_cpu_table", key_size, value_size),
        SourceShape::Events { .. } => ("events", 0, 0),
    };
    json!({ "kind": kind, "key_size": key_size, "value_size": value_size })
}
