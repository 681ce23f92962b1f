//! Every limit of the host in one place: its value, its reason, and the metric that shows it near.
//!
//! What an operator may change for a package is a default here and a key under `limits:` in `plugin.yaml`; the rest is
//! fixed, because a host that can be talked out of its own bounds has none.

use std::time::Duration;

/// A `plugin.yaml` is read whole before it is parsed; nobody writes a megabyte of one.
pub const PACKAGE_FILE_BYTES: u64 = 1 << 20;

/// A JavaScript or Python component weighs 12–18 MB; four times that is a mistake.
pub const COMPONENT_BYTES: u64 = 64 << 20;

/// BPF objects weigh tens of kilobytes, with debug information a few megabytes.
pub const OBJECT_BYTES: u64 = 32 << 20;

/// Compiled components that the cache keeps: versions of a few dozen packages.
pub const CACHED_COMPONENTS: usize = 64;

/// Linear memory of one component instance (`limits.memory`). Shown by `ebhost_plugin_memory_bytes`.
pub const DEFAULT_MEMORY_BYTES: u64 = 16 << 20;

/// Time of one `decode` call (`limits.decode`): 4 096 entries take 0.1 ms in a compiled guest, a few in an interpreted
/// one. Shown by `ebhost_plugin_decode_seconds_total`.
pub const DEFAULT_DECODE: Duration = Duration::from_millis(50);

/// Time of one `describe` call: it runs once an instance, and interpreted guests start their runtime in it.
pub const DESCRIBE: Duration = Duration::from_secs(2);

/// Guest time of one package in one scrape. What is not labelled by then waits for the next scrape and loses nothing.
pub const GUEST_TIME_PER_SCRAPE: Duration = Duration::from_millis(500);

/// Series of one package (`limits.series`). Beyond it new label sets are folded into `other`. Shown by
/// `ebhost_plugin_series` beside `ebhost_plugin_series_limit`.
pub const DEFAULT_SERIES: usize = 10_000;

/// Entries in one `decode` call, as the contract says: enough that the call itself costs nothing an entry.
pub const BATCH_ENTRIES: usize = 4_096;

/// Identity bytes in one `decode` call, as the contract says.
pub const BATCH_BYTES: usize = 1 << 20;

/// Bytes that one call may copy out of the guest: a full batch of long labels fits sixteen times.
pub const ANSWER_BYTES: usize = 64 << 20;

/// A label value is cut here, as the contract says.
pub const LABEL_BYTES: usize = 1 << 10;

/// Native stack of a guest: the engine's own default, said here so that a new engine cannot move it.
pub const GUEST_STACK_BYTES: usize = 512 << 10;

/// Tables and core instances of one component: toolchains that embed an interpreter use a dozen.
pub const GUEST_INSTANCES: usize = 64;
pub const GUEST_TABLES: usize = 64;
pub const GUEST_TABLE_ELEMENTS: usize = 100_000;
pub const GUEST_MEMORIES: usize = 16;

/// `log` lines of one package a second; the rest is counted in `ebhost_plugin_log_dropped_total`.
pub const LOG_LINES_PER_SECOND: u32 = 10;

/// Bytes of one `log` line, as the contract says.
pub const LOG_BYTES: usize = 1 << 10;

/// The end of a verifier log that an error shows: the reason stands in the last lines.
pub const VERIFIER_LOG_LINES: usize = 25;

/// Entries asked of the kernel in one batched read: at 16-byte keys its buffers stay within a core's second-level cache.
pub const READ_BATCH_ENTRIES: usize = 4_096;

/// Looked-up names are kept without a check up to here. Shown by `ebhost_lookup_names`.
pub const LOOKUP_NAMES_KEPT: usize = 4_096;

/// Time of one scrape whose client does not say how long it waits: Prometheus' own default is 10 s. What could not be read
/// by then is left out, shown by `ebhost_plugin_late_scrapes_total`.
pub const SCRAPE: Duration = Duration::from_secs(30);

/// Part of the scraper's patience that reading and labelling may take; the rest is for printing and the network.
pub const SCRAPE_SHARE: f64 = 0.8;

/// Requests that may wait for the agent; more are answered 503. Each costs a few hundred bytes.
pub const WAITING_SCRAPES: usize = 256;

/// How long scrapes in flight may take to finish after SIGTERM.
pub const SHUTDOWN: Duration = Duration::from_secs(10);

/// A recording is read whole before it is replayed, and its rows may say no more: tables of a million entries fit.
pub const RECORDING_BYTES: u64 = 256 << 20;

/// Entries that `ebhost check` makes up for each view to see whether its decode is pure: enough to split and shuffle.
pub const MADE_UP_ENTRIES: usize = 192;

/// Part of a limit from which `ebhost check` and `replay` call it near.
pub const NEAR: f64 = 0.8;

/// Guest time of one read that is replayed: nobody waits for it, but a spinning guest is to end.
pub const REPLAY: Duration = Duration::from_secs(120);
