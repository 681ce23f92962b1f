//! Values of an object's globals: those that plugin.yaml sets, and addresses of kernel symbols (`kaddrs`).

use std::collections::HashMap;

use crate::{LoadError, ObjectFile, externs::addresses};
use ebhost_package::{Bpf, FailureCost, GlobalValue};

/// Globals to be written into an object before it is loaded.
#[derive(Debug, Default)]
pub(super) struct Globals {
    /// Names, and bytes as the globals' types have them.
    pub(super) values: Vec<(String, Vec<u8>)>,
    /// Kernel symbols of `kaddrs` that this kernel does not show; their globals are 0.
    pub(super) missing_symbols: Vec<String>,
}

impl Globals {
    /// Encodes the globals of plugin.yaml.
    ///
    /// # Errors
    /// The object has no such global, its type does not hold the value, or a symbol is missing where that costs the object.
    pub(super) fn new(object: &ObjectFile, bpf: &Bpf) -> Result<Self, LoadError> {
        let mut globals = Self::default();
        for (name, value) in &bpf.globals {
            globals.values.push((name.clone(), object.encode_global(name, value)?));
        }
        let symbols: Vec<_> = bpf.kaddrs.iter().map(String::as_str).collect();
        let found = if symbols.is_empty() { HashMap::new() } else { addresses(&symbols) };
        for symbol in &bpf.kaddrs {
            let address = found.get(symbol).copied();
            let (name, value) = (format!("kaddr_{symbol}"), GlobalValue::Unsigned(address.unwrap_or(0)));
            globals.values.push((name.clone(), object.encode_global(&name, &value)?));
            if address.is_none() {
                globals.missing_symbols.push(symbol.clone());
            }
        }
        if bpf.failure_costs == FailureCost::Object && !globals.missing_symbols.is_empty() {
            return Err(LoadError::NoSymbol { path: bpf.object.path.clone(), symbols: globals.missing_symbols });
        }
        Ok(globals)
    }
}
