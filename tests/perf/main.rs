//! Perf events: counts by CPU and by who caused them against what the kernel says of the same process; and what is said of
//! events that cannot be counted.
//!
//! `peer` holds them against perf(1); `events` is about buffers of events.
//!
//! This needs no PMU: the package is llcstat, its events are software's and tracepoints. A process of the test causes a known
//! number of them and sleeps while it is looked at.

mod absent;
mod attributed;
mod events;
mod peer;
mod sampled;
mod toucher;
