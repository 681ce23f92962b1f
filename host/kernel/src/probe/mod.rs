//! Probes in files: which file a section means, where a symbol or a USDT probe lies in it, and what its arguments are.
//!
//! It reads files and opens nothing in the kernel. What is not found says where it was looked for.

mod file;
mod named;
mod shared;
mod usdt;

pub(super) use file::{offset_of, offsets_of, own_mark, run_mark};
pub use named::probed_files;
pub(super) use shared::find;
pub(super) use usdt::{SPEC_ARGUMENTS, Site, sites};

/// The section that means "run once after attach", as ebpf_exporter has it.
pub(super) const OWN_FILE: &str = "/proc/self/exe";
pub(super) const MARK: &str = "post_attach_mark";
