//! Programs of every type that this kernel allows, in one object, each counting what a process of the test does; and programs
//! that no kernel takes beside them, which cost themselves alone.
//!
//! What this kernel refuses (functions of the kernel: kprobe, fentry, LSM and the like) is asserted to be left out here, and
//! counts in `guest`. Objects are compiled when the test runs.

mod cgroups;
mod drop_in;
mod here;
