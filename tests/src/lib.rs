//! The library of the end-to-end tests: everything that a test needs around the real binary.
//!
//! It starts `ebhost` and scrapes it over HTTP, creates disks and puts load on them, and copies packages in order to
//! break them. It never links the host or a plugin: the tests test what a user runs. Everything that it creates
//! (processes, disks, folders) is removed when its value is dropped, also on a panic.

mod authority;
mod browser;
mod caller;
mod cgroup;
pub mod component;
pub mod debian;
mod disk;
mod disks;
mod ebhost;
pub mod everything;
mod exposition;
mod fio;
mod folder;
mod histogram;
mod http;
pub mod llcstat;
mod log;
mod lost;
mod maps;
mod namespace;
mod needs;
mod objects;
mod process;
mod program;
mod prometheus;
mod receiver;
mod sample;
pub mod small;
mod sys;
mod waits;
mod wire;

pub use authority::{Authority, Issued};
pub use browser::{Browser, Login};
pub use caller::Caller;
pub use cgroup::{Cgroup, CpuQuota, MemoryLimit, Throttled};
pub use disk::{Disk, Mounted, Plugged, Stat};
pub use disks::Disks;
pub use ebhost::{Ebhost, Ended, Start, binary};
pub use exposition::{Exposition, Family, Format};
pub use fio::{Fio, Side};
pub use folder::{Folder, committed, copy_package, target, workspace};
pub use histogram::Histogram;
pub use http::{Kept, Response, SCRAPED, SILENT, get};
pub use log::{Line, Log};
pub use lost::{assert_reported_as_lost, fewest_counted, reads_counted, reported_as_lost, requests_counted};
pub use maps::{Counting, Entries, KernelMap, Memory, group, key};
pub use namespace::{Namespace, NetworkCounters};
pub use needs::{Need, missing, skip};
pub use objects::compile;
pub use process::{
    Running, alone, filtered, output, toucher, wait_at_most, wait_for_state, wait_until, wait_until_traced,
};
pub use program::Program;
pub use prometheus::{Prometheus, encode, promtool};
pub use receiver::{Answer, ReceivedSpan, Receiver};
pub use sample::{Labels, Sample, number};
pub use sys::program_exists;
pub use waits::{Waits, assert_waits_are_counted, wait_until_stopped, waits_served_and_of_kernel};
pub use wire::{Segment, Wire};
