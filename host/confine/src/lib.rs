//! Privileges: which capabilities each thread has, which files the process can open, and the only way to start a thread.
//!
//! Capabilities belong to a thread, and a new thread inherits those of the thread that starts it. So threads are started by
//! [`spawn`] alone, which is told the capabilities: what a thread may do never depends on who started it. A privilege that was
//! dropped cannot be gained again, neither by the host nor by code that was injected into it.
//!
//! `fork` is the only file with unsafe code. This crate never opens a file for the host and never decides *when* privileges are dropped; the sequence is
//! `ebhost::bootstrap`.

mod capabilities;
mod fork;
mod landlock;
pub mod privileges;
mod process;
mod thread;

pub use capabilities::{ALL, Capabilities, Keep, LOADING, NONE, READING, WRITING, keep_only};
pub use fork::fork_process;
pub use landlock::{AllowedFiles, FileAccess, PROGRAMS};
pub use process::{before_exit, give_up_all, give_up_all_but, log_panics};
pub use thread::{
    Abandon, EndProcess, Listing, Restart, SpawnError, Supervision, Thread, ThreadStatus, first_failed_thread,
    runtime_thread, spawn, threads,
};
