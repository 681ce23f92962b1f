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
mod rows;

use std::cell::RefCell;

pub use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as contract;

use ebhost_plugin::exported::{Columns, Decoder};

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// What `describe` has read, and what a decode keeps for the next.
#[derive(Default)]
struct State {
    metrics: Vec<metric::Metric>,
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
type Lending = ebhost_plugin::lent::Lending<Builtin>;
#[cfg(target_family = "wasm")]
ebhost_plugin::exported::export_component!(Lending with_types_in ebhost_plugin::lent);
