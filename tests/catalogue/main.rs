//! The packages of `plugins/` that are made of a BPF program and a configuration, one module each: what they count under a load of the test
//! is held against a second source, the kernel's own counters where it has them. `every` holds for all packages.

mod cachestat;
mod dns;
mod drops;
mod every;
mod oom;
mod packets;
mod pagefaults;
mod reclaim;
mod runqlat;
mod syscalls;
mod tcpbacklog;
mod tcpconnect;
mod tcplife;
mod tcploss;
mod tcprtt;
mod udp;
mod writeback;
