//! Configurations written for cloudflare/ebpf_exporter, on the real binary: objects of our own, YAML as its users write it.
//!
//! `golden` and `names` hold what is served against files; `counting` has programs of the kernel's count; `files` and `flags` are about what
//! is refused, and what is asked for; `faults`, `iteration` and `dropped` show, for each fault of the peer's that is not kept, its
//! input and our answer.

mod counting;
mod drop_in;
mod dropped;
mod faults;
mod files;
mod flags;
mod golden;
mod iteration;
mod names;
