//! The packages of `plugins/` that are made of a BPF program and a configuration, one module each: what they count under a load of the test
//! is held against a second source, the kernel's own counters where it has them. `every` holds for all packages.

mod cachestat;
mod containers;
mod cpuperf;
mod dns;
mod drops;
mod every;
mod hardirqs;
mod oncpu;
mod oom;
mod packets;
mod pagefaults;
mod processes;
mod reclaim;
mod runqlat;
mod runqlen;
mod sched;
mod signals;
mod softirqs;
mod source;
mod syscalls;
mod tcpbacklog;
mod tcpconnect;
mod tcplife;
mod tcploss;
mod tcprtt;
mod timers;
mod udp;
mod writeback;
