//! The kernel stage: a package's BPF object and perf events in, snapshots out.
//!
//! It loads, attaches and reads; it never interprets a byte of a key or a value. `ebhost_object` parses, relocates and links objects; aya
//! knows the kernel's features and reads event buffers.
//!
//! | module | task |
//! |---|---|
//! | `object` | holds a parsed object against its package: programs, maps, globals |
//! | `types` | the types of the running kernel and of its modules |
//! | `externs` | values for an object's externs: configuration, kernel symbols |
//! | `load` | creates maps, loads programs; [`load()`] is the sequence |
//! | `attach` | section names, locations of probes in files, links |
//! | `maps` | creates maps, opens pinned ones |
//! | `read` | fills a snapshot from a map |
//! | `events` | empties ring buffers and perf event arrays |
//! | `perf` | opens and reads perf events |
//! | `tracepoint` | describes a tracepoint for the author of a program |
//! | `features` | what a package takes beyond CAP_BPF and CAP_PERFMON |
//! | `rights`, `objections` | what this thread may do, and what else forbids it, for messages |
//! | `cgroup_map` | fills a map with cgroup ids |
//! | `sys` | system calls; all `unsafe` of this crate |

mod attach;
mod cgroup_map;
mod context;
mod error;
mod events;
mod externs;
mod features;
mod load;
mod loaded;
mod map_shape;
mod maps;
mod object;
mod objections;
mod perf;
mod program_counter;
mod read;
mod rights;
mod source;
mod statistics;
mod sys;
mod tracefs;
mod tracepoint;
mod types;
mod unread_maps;

pub use self::object::{ObjectError, ObjectFile};
pub use attach::probe::probed_files;
pub use context::KernelContext;
pub use error::{BtfRemedy, LoadError};
pub use events::WaitingEvents;
pub use features::features;
pub use load::load;
pub use loaded::{LeftOut, Loaded, Program, Wanted};
pub use map_shape::MapShape;
pub use maps::{PinError, pin_folders};
pub use perf::{EventState, PerfReader};
pub use read::MapReader;
pub use source::Source;
pub use statistics::{StatisticsOn, StatisticsProcess, StatisticsWindow, switch_on_statistics};
pub use sys::{RunStatistics, possible_cpus};
pub use tracepoint::{Argument, ClassicTracepoint, Tracepoint, TracepointError, describe_tracepoint};
pub use types::KernelStructs;
pub use unread_maps::UnreadMaps;
