//! The cgroup hierarchy of version 2: where it is mounted ([`Mounts`]), a walk through its folders ([`walk`]), and the names of its
//! cgroups by id, which outlive the cgroups ([`Hierarchy`]).
//!
//! A cgroup's id is the inode number of its folder, which is what `bpf_get_current_cgroup_id` gives. The kernel never gives an id to a
//! second cgroup, and a cgroup of version 2 is never renamed, so a name that was found once stays right.
//!
//! This crate reads no file of a cgroup and changes none. Cgroups of version 1 have no ids that BPF programs see, so they have no names here.

#![forbid(unsafe_code)]

mod fanotify;
mod follow;
mod inotify;
mod mounts;
mod tree;
mod walk;

pub use fanotify::FolderEvents;
pub use follow::{CgroupCounts, Changed, Found, Hierarchy};
pub use mounts::{Mounts, choose_mount, mount};
pub use walk::{Visited, Walk, walk};
