//! One object with a program of every type, each of which counts the actions of a process of the test, and with programs that every
//! kernel refuses, which are left out alone.
//!
//! Types that this machine's kernel refuses (kprobe, fentry, LSM and the like) are asserted to be left out here, and count in the suite
//! `guest`. Objects are compiled when the test runs.
//!
//! `counts` holds the tables of counts.h against independent counts, `associative` those of associative.h against what programs put there, and `runqlat` its
//! package against the scheduler's own.

mod associative;
mod budget;
mod cgroup_names;
mod cgroups;
mod chosen;
mod counts;
mod drop_in;
mod here;
mod pins;
mod runqlat;
mod rust;
mod small;
mod stamps;
mod types;
