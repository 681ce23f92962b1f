//! Perf events: counts by CPU and by process are compared with the kernel's own counts of the same process; and events
//! that cannot be counted are reported.
//!
//! `peer` compares with perf(1); `events` is about buffers of events.
//!
//! No PMU is needed: the package is llcstat with software events and tracepoints. A process of the test causes a known
//! number of them and sleeps while it is inspected.

mod absent;
mod attributed;
mod events;
mod peer;
mod sampled;
mod toucher;
