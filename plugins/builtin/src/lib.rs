//! The builtin component: labels any map as configured, with the labels, decoders and buckets of cloudflare/ebpf_exporter. It contains
//! none of that project's code.
//!
//! It is a component like any other: it sees bytes of keys and names that the host looked up, never a count, and is asked about each
//! identity once. `describe` checks the whole configuration and returns all mistakes at once, each with its position.
//!
//! It uses the contract's records and not the SDK's typed views, because the number of labels is known only from the configuration.

mod bucket;
mod code_names;
mod component;
mod config;
mod decoder;
mod label;
mod lookup;
mod machine;
mod metric;
mod node;
mod rows;
mod scalar;

use std::cell::RefCell;

pub use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as contract;

use ebhost_plugin::exported::{Columns, Decoder};

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// The state between calls.
#[derive(Default)]
struct State {
    /// The metrics that `describe` read.
    metrics: Vec<metric::Metric>,
    /// Buffers that each batch reuses.
    memo: rows::Memo,
}

/// The component.
pub struct Builtin;

impl Decoder for Builtin {
    fn describe(config: &str) -> Result<contract::Manifest, String> {
        let metrics = config::read(config)?;
        let manifest = component::manifest(&metrics);
        STATE.with_borrow_mut(|state| state.metrics = metrics);
        Ok(manifest)
    }

    fn decode(batch: &contract::Batch, answer: &mut Columns) {
        STATE.with_borrow_mut(|State { metrics, memo }| {
            rows::answer(&metrics[batch.view as usize], memo, batch, answer);
        });
    }
}

#[cfg(target_family = "wasm")]
type ZeroCopy = ebhost_plugin::zero_copy::ZeroCopy<Builtin>;
#[cfg(target_family = "wasm")]
ebhost_plugin::exported::export_component!(ZeroCopy with_types_in ebhost_plugin::zero_copy);
