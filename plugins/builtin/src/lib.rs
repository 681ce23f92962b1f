//! The builtin component: labels any map as configured, with the labels, decoders and buckets of cloudflare/ebpf_exporter. It contains
//! none of that project's code. Packages with a plugin.yaml can describe tables of `bpf/ebhost/counts.h` as well.
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
mod input;
mod label;
mod lookup;
mod machine;
mod metric;
mod node;
mod rows;
mod scalar;
mod span;
mod table;

use std::cell::RefCell;

pub use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as contract;

use ebhost_plugin::exported::banks::{SPILL_ENTRIES, SPILLED};
use ebhost_plugin::exported::{Columns, Decoder};

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// The state between calls.
#[derive(Default)]
struct State {
    /// The metrics and tables that `describe` read.
    config: config::Config,
    /// How the rows of each view are decoded.
    views: Vec<ViewRows>,
    /// Buffers that each batch reuses.
    memo: rows::Memo,
}

/// How the rows of a view are decoded.
#[derive(Clone, Copy)]
enum ViewRows {
    /// The labels of the metric with this index.
    Metric(usize),
    /// The labels of the table with this index, in one of its maps.
    Table(usize, table::Storage),
    /// The number of spilled counts among a table's statistics.
    Spilled,
    /// The number of keys in a table's shared map.
    SpillEntries,
    /// The numbers of lost counts, by reason.
    Lost,
}

/// The component.
pub struct Builtin;

impl Decoder for Builtin {
    fn describe(config: &str) -> Result<contract::Manifest, String> {
        let config = config::read(config)?;
        let (manifest, views) = component::manifest(&config);
        STATE.with_borrow_mut(|state| (state.config, state.views) = (config, views));
        Ok(manifest)
    }

    fn decode(batch: &contract::Batch, answer: &mut Columns) {
        STATE.with_borrow_mut(|State { config, views, memo }| match views[batch.view as usize] {
            ViewRows::Metric(index) => rows::metric(&config.metrics[index], memo, batch, answer),
            ViewRows::Table(index, storage) => rows::table(&config.tables.tables[index], storage, memo, batch, answer),
            ViewRows::Spilled => rows::statistic(SPILLED, batch, answer),
            ViewRows::SpillEntries => rows::statistic(SPILL_ENTRIES, batch, answer),
            ViewRows::Lost => rows::lost(batch, answer),
        });
    }
}

/// The optional export of spans. The decoder has described itself before, with the same configuration.
pub mod spans {
    pub use ebhost_plugin::exported::span_bindings::exports::ebhost::spans::spans::*;

    use crate::{Builtin, STATE};

    impl Guest for Builtin {
        fn describe(_: String) -> Result<Manifest, String> {
            let sources = STATE.with_borrow(|state| state.config.spans.iter().map(crate::span::Span::source).collect());
            Ok(Manifest { sources, exemplars: Vec::new() })
        }

        fn decode(batch: Batch) -> Answer {
            STATE.with_borrow(|state| state.config.spans[batch.source as usize].decode(&batch))
        }
    }
}

#[cfg(target_family = "wasm")]
type ZeroCopy = ebhost_plugin::zero_copy::ZeroCopy<Builtin>;
#[cfg(target_family = "wasm")]
ebhost_plugin::exported::export_component!(ZeroCopy with_types_in ebhost_plugin::zero_copy);
#[cfg(target_family = "wasm")]
ebhost_plugin::exported::span_bindings::export_tracing!(Builtin with_types_in ebhost_plugin::exported::span_bindings);
