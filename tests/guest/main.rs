//! Tests in a small virtual machine, for what this machine's kernel lacks: other kernels, CPUs that go offline, PMUs.
//!
//! The kernels are Debian's, downloaded with apt and unpacked into a cache folder, never installed.

mod arm;
mod cgroups;
mod containers;
mod counters;
mod counting;
mod cpus;
mod disk;
mod disk_paths;
mod disk_queues;
mod guest;
mod kernel;
mod lockdown;
mod modules;
mod network;
mod programs;
mod scheduler;
mod small;
mod storage;
