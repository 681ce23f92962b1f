//! What this machine's kernel does not do, in a small guest under qemu: other kernels, CPUs that go and come, PMUs.
//!
//! Kernels are Debian's, fetched with apt and unpacked into a cache folder, never installed.

mod arm;
mod counters;
mod disk;
mod guest;
mod kernel;
mod programs;
