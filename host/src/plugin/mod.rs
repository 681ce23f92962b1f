//! The plugin stage: identities and names in, label values and bucket numbers out.
//!
//! A guest sees no kernel, file, clock or socket; it is handed bytes and answers with columns. It can be slow, wrong or
//! hostile: what that costs is bounded by `limits` and falls on the entries that it was being asked about.

mod answer;
mod cache;
mod contract;
mod engine;
mod instance;
mod manifest;
mod supervisor;

pub use answer::{AnswerError, Answers, Row};
pub use engine::{Compiled, ComponentError, Engine};
pub use instance::CallError;
pub use manifest::{Context, ManifestError, sample_names};
pub use supervisor::{Ask, AskError, Plugin, PluginError, PluginLimits, Tally};
