//! Configurations written for cloudflare/ebpf_exporter, on the real binary: our own objects, and YAML as its users
//! write it.
//!
//! `golden` and `names` compare what is served with files; `counting` has programs that count kernel activity; `written`, `files`
//! and `flags` test what is taken, what is refused and how the host is started; `spans` receives what `tracing.spans` makes; `costs` what it costs to refuse a file; `faults`, `iteration` and `dropped` show, for each
//! fault of ebpf_exporter that ebhost does not reproduce, the input and ebhost's result.

mod costs;
mod counting;
mod drop_in;
mod dropped;
mod faults;
mod files;
mod flags;
mod golden;
mod iteration;
mod names;
mod spans;
mod written;
