//! Labels any map by configuration: labels, decoders and buckets as cloudflare/ebpf_exporter has them, with none of its code.
//!
//! It is a component like any other: it sees bytes of keys and names that the host found, never a count, and is asked about
//! each identity once. A configuration is checked whole in `describe`; all its mistakes come back, each with its place.
//!
//! It uses the contract itself and not the SDK's typed views: how many labels there are is known only when the configuration is.

mod bucket;
mod component;
mod config;
mod decoder;
mod label;
mod lookup;
mod machine;
mod metric;
mod names;
mod node;

use std::cell::RefCell;

pub use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as contract;

use ebhost_plugin::exported::Guest;

thread_local! {
    static METRICS: RefCell<Vec<metric::Metric>> = const { RefCell::new(Vec::new()) };
}

/// The component; natively it is called as the host calls it.
pub struct Builtin;

impl Guest for Builtin {
    fn describe(config: String) -> Result<contract::Manifest, String> {
        let metrics = config::read(&config)?;
        let manifest = component::manifest(&metrics);
        METRICS.set(metrics);
        Ok(manifest)
    }

    fn decode(batch: contract::Batch) -> contract::Rows {
        METRICS.with_borrow(|metrics| component::rows(metrics, &batch))
    }
}

#[cfg(target_family = "wasm")]
use ebhost_plugin::exported::export_component;
#[cfg(target_family = "wasm")]
export_component!(Builtin with_types_in ebhost_plugin::exported::bindings);
