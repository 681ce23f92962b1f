//! The plugin stage: identities and names in, label values and bucket numbers out.
//!
//! A guest sees no kernel, file, clock or socket; it is handed bytes and answers with columns. It can be slow, wrong or
//! hostile: what that costs is bounded by `limits` and falls on the entries that it was being asked about.

mod answer;
mod cache;
mod compiler;
mod contract;
mod dictionary;
mod engine;
#[doc(hidden)]
pub mod fuzz;
mod health;
mod instance;
mod lines;
mod manifest;
mod supervisor;
mod tally;
mod watch;

pub use answer::{AnswerError, Answers, Row};
pub use compiler::Compiler;
pub use engine::{Compiled, ComponentError, Engine};
pub use health::{Health, State};
pub use instance::CallError;
pub use manifest::{Context, ManifestError, Rule};
pub use supervisor::{Ask, AskError, Asked, Plugin, PluginError, PluginLimits};
pub use tally::{DECODE_BOUNDS, Tally};
