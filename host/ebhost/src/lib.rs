//! ebhost: a host for sandboxed metric decoders.
//!
//! Data flows one way: kernel → snapshot → plugin → series → exposition → server. `agent` names the stages in order.

pub mod agent;
pub mod author;
pub mod build_info;
pub mod cli;
pub mod memory;
pub mod systemd;
