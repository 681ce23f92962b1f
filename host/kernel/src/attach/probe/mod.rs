//! Probes in files: finds the file that a section names, the location of a symbol or USDT probe in it, and a probe's arguments.
//!
//! It reads files and opens nothing in the kernel. An error names the places that were searched.

mod error;
mod find;
mod named;
mod operand;
mod symbol;
mod usdt;

pub(crate) use error::ProbeError;
pub(crate) use find::find;
pub use named::probed_files;
pub(crate) use symbol::{offset_of, offsets_of, own_mark, run_mark};
pub(crate) use usdt::{SPEC_ARGUMENTS, UsdtSite, usdt_sites};

/// A uprobe on this function of the host's own file runs its program once, after everything is attached, as in ebpf_exporter.
pub(crate) const OWN_FILE: &str = "/proc/self/exe";
pub(crate) const MARK: &str = "post_attach_mark";
