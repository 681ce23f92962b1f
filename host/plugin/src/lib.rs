//! The plugin stage: asks a WASM component for the labels and buckets of map entries that the host has not seen before.
//!
//! A guest sees no kernel, file, clock or socket: it is given identity bytes and looked-up names, and returns columns of label values
//! and bucket numbers. It can be slow, wrong or hostile. Its costs are bounded by [`ebhost_limits`], and its failures cost only the
//! entries that it was asked about.
//!
//! | module | does |
//! |---|---|
//! | `contract` | binds a component by its contract version; the only module that names WIT types |
//! | `engine`, `compiler`, `cache` | compile a component and link it |
//! | `guest` | one instance: its store, limits, log lines and calls |
//! | `manifest` | makes a checked schema of what `describe` returned |
//! | `decode` | requests, checked answers, and bisection of batches that fail |
//! | `plugin` | one package's plugin over the lives of its instances: health, budgets, counters |

#![deny(missing_docs)]

mod cache;
mod clock;
mod compiler;
mod contract;
mod decode;
mod engine;
#[doc(hidden)]
pub mod fuzz;
mod guest;
mod manifest;
mod plugin;

pub use compiler::Compiler;
pub use decode::{
    AnswerError, Answers, DecodeError, DecodeRequest, Progress, Row, SpanAnswer, SpanLookup, SpanRequest, SpanSchema,
    SpanSource, UnplacedSpan,
};
pub use engine::{CompiledComponent, ComponentError, Engine};
pub use guest::CallError;
pub use manifest::{ManifestContext, ManifestError, ManifestRule};
pub use plugin::{DECODE_BOUNDS, Failure, HealthState, Pace, Plugin, PluginError, PluginLimits, Tally};
