//! ebhost: a host for sandboxed metric decoders.
//!
//! Data flows one way: kernel → snapshot → plugin → series → families → sinks. `agent` names the stages in order, and `sinks` starts
//! what reads from it.

pub mod author;
pub mod bootstrap;
pub mod build_info;
pub mod cli;
pub mod command_line;
pub mod fleet;
mod histogram;
pub mod memory;
pub mod signals;
pub mod sinks;
pub mod systemd;
pub mod top;
pub mod view;
