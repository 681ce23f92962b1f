//! ebhost: a host for sandboxed metric decoders.
//!
//! Data flows one way: kernel → snapshot → plugin → series → exposition → server. `agent` names the stages in order.

pub mod agent;
pub mod author;
pub mod cgroups;
pub mod cli;
pub mod exposition;
pub mod kernel;
pub mod limits;
pub mod lookup;
pub mod memory;
pub mod package;
pub mod plugin;
pub mod privileges;
pub mod series;
pub mod server;
pub mod snapshot;
pub mod systemd;
pub mod tables;
pub mod telemetry;
