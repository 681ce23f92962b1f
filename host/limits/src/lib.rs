//! Every limit of the host in one place: its value, its reason, and the metric that shows it near.
//!
//! How near a plugin has come to each of its own is `ebhost_plugin_limit_used_ratio{limit}`, from 0 to 1.
//!
//! What an operator may change for a package is a default here and a key under `limits:` in `plugin.yaml`; the rest is
//! fixed, because a host that can be talked out of its own bounds has none.

#![forbid(unsafe_code)]

use std::{ops::RangeInclusive, time::Duration};

/// A `plugin.yaml` or a drop-in configuration is read whole before it is parsed. The parser takes up to 200 bytes of memory for a byte of
/// the file, and the largest known file has 20 KB.
pub const PACKAGE_FILE_BYTES: u64 = 1 << 18;
/// A settings file: an operator writes it by hand, and each mistake in it is looked up in its text.
pub const SETTINGS_BYTES: u64 = 1 << 18;

/// The kernel's types in a file, for `--btf.path`: those of distributions' kernels have 4 to 10 MB.
pub const KERNEL_BTF_BYTES: u64 = 32 << 20;

/// A JavaScript or Python component weighs 12–18 MB; four times that is a mistake.
pub const COMPONENT_BYTES: u64 = 64 << 20;

/// BPF objects weigh tens of kilobytes, with debug information a few megabytes.
pub const OBJECT_BYTES: u64 = 32 << 20;

/// CPU time of compiling a component: a part of it for any, and so much more for each megabyte of functions; other parts of the file buy
/// none. A component of 73 KB takes 0.1 s, one of 18 MB 18 s. A machine that compiles more slowly has so many times more of it, which the
/// compiler measures: an emulated one fifty times. Shown by `ebhost_plugin_compile_seconds`.
pub const COMPILE: Duration = Duration::from_secs(10);
pub const COMPILE_PER_MEGABYTE: Duration = Duration::from_secs(4);

/// Data of the process that compiles one component: a part of it for any, so much more for each megabyte of functions, and the most. A
/// component of 73 KB takes 60 MB, one of 12 MB 350 MB. Beyond it that process ends, and the component is refused. Shown by
/// `ebhost_plugin_limit_used_ratio{limit="compile_memory"}`.
pub const COMPILE_BYTES: u64 = 512 << 20;
pub const COMPILE_BYTES_PER_MEGABYTE: u64 = 40 << 20;
pub const MOST_COMPILE_BYTES: u64 = 896 << 20;

/// Bytes of a compiled component beside its data, which are in the host's memory as long as it is loaded: a part of it for any, so much
/// more for each byte of functions, and the most with data. Compilers make four bytes of one. Shown by
/// `ebhost_plugin_limit_used_ratio{limit="compiled"}`.
pub const COMPILED_BYTES: usize = 8 << 20;
pub const COMPILED_BYTES_PER_CODE_BYTE: usize = 8;
pub const MOST_COMPILED_BYTES: usize = 96 << 20;

/// Instances of components and core modules that make up one instance of a component, nested ones included: toolchains that embed an
/// interpreter use a few dozen. Each takes 0.1 KB and more. Shown by `ebhost_plugin_limit_used_ratio{limit="instances"}`.
pub const INSTANCES: usize = 256;

/// Bytes of types, imports, exports, elements and the like in a component, those of nested ones once for each instance: the host keeps
/// records of them that are several times as large. An interpreter's have half a megabyte. Shown by
/// `ebhost_plugin_limit_used_ratio{limit="metadata"}`.
pub const METADATA_BYTES: usize = 4 << 20;

/// Compiled components that the cache keeps: versions of a few dozen packages.
pub const CACHED_COMPONENTS: usize = 64;

/// Memory of one component instance (`limits.memory`): linear memories, table elements, and globals and other state of its core instances.
/// Shown by `ebhost_plugin_memory_bytes`.
pub const DEFAULT_MEMORY_BYTES: u64 = 16 << 20;

/// The most that `limits.memory` may ask for: an interpreter and its heap fit several times.
pub const MOST_MEMORY_BYTES: u64 = 1 << 30;

/// Time of one `decode` call (`limits.decode`): 4 096 entries take 0.1 ms in a compiled guest, a few in an interpreted
/// one. Shown by `ebhost_plugin_decode_duration_seconds`.
pub const DEFAULT_DECODE: Duration = Duration::from_millis(50);

/// Time of a component's first start and `describe`, which no scrape waits for: interpreted guests start their runtime in it.
pub const DESCRIBE: Duration = Duration::from_secs(2);

/// Time of a later start, in a scrape: this many times what the first one took, and never less than `RESTART`.
pub const RESTART_SHARE: u32 = 4;
pub const RESTART: Duration = Duration::from_millis(50);

/// Part of the time that a plugin may spend on later starts, and the time that it may save up for them. An instance is dropped after each
/// failed call, so without it a component that starts slowly and fails often makes every scrape slow. Shown by
/// `ebhost_plugin_restarts_total`.
pub const RESTART_TIME_SHARE: f64 = 0.1;
pub const RESTART_TIME_SAVED: Duration = Duration::from_millis(500);

/// Guest time of one package in one scrape. What is not labelled by then waits for the next scrape and loses nothing.
pub const GUEST_TIME_PER_SCRAPE: Duration = Duration::from_millis(500);

/// Of the time that a scrape has left when labelling begins, the part that all guests together may take. Each gets an equal part
/// of what those before it left, so that no number of slow plugins makes a scrape late.
pub const GUEST_SHARE: u32 = 2;

/// An instance that was not called for so long is dropped, with its memory, and started again for the next new identity: longer than most scrape
/// intervals, so that a package with new identities in every scrape keeps its instance. Only those whose first start took no longer than
/// [`IDLE_START`], which the scrape that needs them waits for. Shown by `process_resident_memory_bytes`.
pub const IDLE_INSTANCE: Duration = Duration::from_secs(60);
pub const IDLE_START: Duration = Duration::from_millis(25);

/// A plugin's first wait after it failed, and the longest: each is twice the one before. Shown by `ebhost_plugin_state`.
pub const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
pub const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

/// Health for so long ends a row of failures.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// Failures in a row after which a plugin is quarantined: not asked until its files change or [`RETRY_FAILED`] is over. Shown by
/// `ebhost_plugin_state`.
pub const FAILURES_TO_QUARANTINE: u32 = 5;

/// After so long a quarantined plugin is asked again, and entries that were set aside are asked about again: what made them fail may have
/// been the machine. A plugin that still fails costs one call an hour.
pub const RETRY_FAILED: Duration = Duration::from_secs(60 * 60);

/// Entries of one package that were set aside and are remembered for another try. Others are asked about when their names change.
pub const SET_ASIDE_REMEMBERED: usize = 4_096;

/// A guest call is charged CPU time. This many times its limit in wall time ends it all the same: a guest that gets less than a fortieth
/// of a CPU would keep a scrape waiting.
pub const GUEST_WALL_TIMES: u32 = 40;

/// Scrapes in a row in which an entry ran out of time and was answered at its second try: then it is not the machine that is slow. A trap
/// that a new instance does not repeat counts as so many at once.
pub const UNSTEADY_SCRAPES: u32 = 3;

/// Entries that fail alone before anything is answered: then it is the component that fails, not the entries.
pub const SUSPECTS: usize = 16;

/// Series of one package (`limits.series`). Beyond it new label sets are folded into `other`. Shown by
/// `ebhost_plugin_series` beside `ebhost_plugin_series_limit`.
pub const DEFAULT_SERIES: usize = 10_000;

/// The most that `limits.series` may ask for: some 600 MB of labels and cells.
pub const MOST_SERIES: usize = 2_000_000;

/// Memory of the entries, identities and baselines of one package: so much, and so much more for each series that it may have. A hash of
/// a million keys of 16 bytes that feeds one counter takes 136 MB. Views multiply entries: 256 counters of one map of 20 000 entries
/// would take 0.5 GB. Beyond the limit entries are left out, and a manifest that takes more by itself is refused. Shown by
/// `ebhost_plugin_limit_used_ratio{limit="series_memory"}`.
pub const SERIES_MEMORY_BYTES: usize = 128 << 20;
pub const SERIES_MEMORY_BYTES_PER_SERIES: usize = 1 << 10;

/// Bytes that one package may add to an answer, in the longest format and without start times: so much, and so much more for each series
/// that it may have. A histogram of 30 buckets takes 4 KB at the most, a counter 0.1 KB; labels of 32 KB in a histogram of 512 would take 16 MB a
/// series. New label sets beyond it are folded into `other`, and a manifest that takes more by its fixed series is refused. Shown by
/// `ebhost_plugin_limit_used_ratio{limit="exposition"}`.
pub const EXPOSITION_BYTES: usize = 16 << 20;
pub const EXPOSITION_BYTES_PER_SERIES: usize = 4 << 10;

/// Identities that one view of events remembers (times CPUs, if each CPU has a series). Any user may cause events, so beyond it the
/// least recently seen identity makes way, which ends its series. Shown by `ebhost_plugin_entries_dropped_total{reason="evicted"}`.
pub const EVENT_IDENTITIES: usize = 65_536;

/// An identity of events that was not seen for so long ends, and its series with it: long enough for the events of a daily job. Shown
/// by `ebhost_plugin_entries_dropped_total{reason="expired"}`.
pub const EVENT_TIME_TO_LIVE: Duration = Duration::from_secs(36 * 60 * 60);

/// Entries in one `decode` call, as the contract says: enough that the call itself costs nothing an entry.
pub const BATCH_ENTRIES: usize = 4_096;

/// Identity bytes in one `decode` call, as the contract says.
pub const BATCH_BYTES: usize = 1 << 20;

/// From this size on a buffer has memory of its own, which goes back to the kernel with it: above what a scrape of ten thousand
/// series takes and frees, for fresh memory costs more than filling it. The process' resident bytes show it.
pub const HEAP_BUFFER_BYTES: i32 = 1 << 20;

/// Free memory at the heap's end that is kept for the next scrape.
pub const HEAP_SPARE_BYTES: i32 = 16 << 20;

/// Bytes that one call may copy out of the guest: a full batch of long labels fits sixteen times.
pub const ANSWER_BYTES: usize = 64 << 20;

/// Bytes that `describe` may copy out: the largest manifest that the other limits allow has a few megabytes.
pub const MANIFEST_BYTES: usize = 16 << 20;

/// A label value is cut here, as the contract says.
pub const LABEL_BYTES: usize = 1 << 10;

/// Native stack of a guest: the engine's own default, said here so that a new engine cannot move it. Shown by
/// `ebhost_plugin_limit_used_ratio`.
pub const GUEST_STACK_BYTES: usize = 512 << 10;

/// Calls and rounds of loops, at the beginning of an instance's first calls, at which its stack is measured one by one: a tenth of a
/// millisecond of them. After that it is measured every 5 ms.
pub const CLOSE_LOOKS: u32 = 4_096;

/// Tables and core instances of one component: toolchains that embed an interpreter use a dozen.
pub const GUEST_INSTANCES: usize = 64;
pub const GUEST_TABLES: usize = 64;
pub const GUEST_TABLE_ELEMENTS: usize = 100_000;
pub const GUEST_MEMORIES: usize = 16;

/// Families, views and label names of one manifest; a guest can write more of them than a scrape should ever print.
pub const MANIFEST_FAMILIES: usize = 256;
pub const MANIFEST_VIEWS: usize = 256;
pub const MANIFEST_LABELS: usize = 32;
pub const MANIFEST_BOUNDS: usize = 512;

/// Different lengths of events that the views of one buffer ask for. For each of them the host copies the events that wait, which may have
/// [`WAITING_EVENT_BYTES`].
pub const MANIFEST_EVENT_LENGTHS: usize = 8;

/// Bytes of a help text, of a name or of a fixed label in a manifest.
pub const MANIFEST_TEXT_BYTES: usize = 1 << 10;

/// Bytes of a name of a component's that a message shows.
pub const NAME_BYTES_SHOWN: usize = 256;

/// `log` lines of one package a second; the rest is counted in `ebhost_plugin_log_dropped_total`.
pub const LOG_LINES_PER_SECOND: u32 = 10;

/// Bytes of one `log` line, as the contract says.
pub const LOG_BYTES: usize = 1 << 10;

/// Log lines of the whole host that wait for standard error. A reader that does not read costs lines, never a scrape. Shown by
/// `ebhost_log_dropped_total`.
pub const WAITING_LOG_LINES: usize = 1_024;

/// How long the last lines may take to be written when the host ends.
pub const LOG_FLUSH: Duration = Duration::from_millis(500);

/// How often the plugin folder is looked through while something in it changes. A change is taken once it stood still from one look
/// to the next, so that a file that is being copied is not read in its middle.
pub const LOOK: Duration = Duration::from_secs(1);

/// How often it is looked through while the kernel tells of no change: links that lead through links may lead elsewhere untold.
pub const LOOK_ANYWAY: Duration = Duration::from_secs(60);

/// The same after SIGHUP, which asks not to wait.
pub const LOOK_SOON: Duration = Duration::from_millis(100);

/// The pause before a package is tried again that the machine refused (memory, descriptors, a file that could not be read), and
/// the longest: each is twice the one before. Its files need not change for it. `ebhost_plugin_up` and `ebhost_plugin_current` show
/// that it waits.
pub const RETRY: Duration = Duration::from_secs(60);
pub const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// Memory of a package's BPF maps when they are full, unless its `limits: kernel_memory` says otherwise: the kernel cannot swap it out.
/// A map of a million keys takes a tenth of it. Shown by `ebhost_map_memory_bytes`.
pub const DEFAULT_KERNEL_MEMORY_BYTES: u64 = 1 << 30;

/// The part of the whole machine's CPU time that a package's BPF programs may take, unless its `limits: kernel_cpu` says otherwise. Tools that
/// are worth their data take a tenth of that. Shown by `ebhost_plugin_kernel_cpu_limit_ratio`.
pub const DEFAULT_KERNEL_CPU_OF_MACHINE: f64 = 0.05;

/// The pause between two windows in which the run times of BPF programs are measured, and while a package is above its budget: then it is
/// soon known whether that lasts.
pub const BUDGET_PAUSE: Duration = Duration::from_secs(10);
pub const BUDGET_PAUSE_ABOVE: Duration = Duration::from_secs(1);

/// The length of such a window. The kernel's statistics cost each run about as much as a short program; in a thousandth of the time that
/// is less than a thousandth of what is measured.
pub const BUDGET_WINDOW: Duration = Duration::from_millis(10);

/// Windows in a row above the budget after which a package is detached: a burst is not a habit.
pub const BUDGET_WINDOWS_ABOVE: u32 = 3;

/// How long the process that switches statistics on may take to answer.
pub const STATISTICS_ANSWER: Duration = Duration::from_secs(1);

/// Packages in a plugin folder.
pub const PACKAGES: usize = 256;

/// A file of pins has a line for each file of each package.
pub const PINS_BYTES: u64 = 1 << 20;

/// The end of a verifier log that an error shows: the reason stands in the last lines.
pub const VERIFIER_LOG_LINES: usize = 25;

/// Entries asked of the kernel in one batched read: at 16-byte keys its buffers stay within a core's second-level cache.
pub const READ_BATCH_ENTRIES: usize = 4_096;

/// Bytes of values asked of the kernel in one batched read, which an entry of a per-CPU map on a machine of hundreds of CPUs reaches with
/// fewer entries. A bucket that holds more gets more. The process' resident bytes show it.
pub const READ_BATCH_BYTES: usize = 512 << 10;

/// Entries of a hash whose values are read again by a program while its keys stay the same. With fewer the program and its memory are not
/// worth it; with more the kernel, which cannot be preempted meanwhile in some configurations, would take more than some 10 ms.
pub const REPEATED_READ_ENTRIES: RangeInclusive<usize> = 1_024..=131_072;

/// Bytes of keys and values that such a program may write: older kernels have no larger value in an array. The array is `ebhost_read` in the
/// list of `bpftool map`.
pub const REPEATED_READ_BYTES: usize = 3 << 20;

/// Looked-up names are kept without a check up to here. Shown by `ebhost_lookup_names`.
pub const LOOKUP_NAMES_KEPT: usize = 4_096;

/// A manifest or index of a registry: those of packages have a few kilobytes, and registries take 4 MB. The commands that talk to registries
/// serve no metrics; the message of the one that meets one of these bounds shows it.
pub const REGISTRY_MANIFEST_BYTES: u64 = 1 << 20;
/// Any other answer of a registry: a token, a list of tags, a signature with its certificates.
pub const REGISTRY_ANSWER_BYTES: u64 = 1 << 20;
/// Bytes of a registry's text that a message shows.
pub const REGISTRY_TEXT_BYTES: usize = 256;
/// Connecting to a registry, the beginning of its answer, and the rest: 64 MB over a line of 1 Mbit/s.
pub const REGISTRY_CONNECT: Duration = Duration::from_secs(10);
pub const REGISTRY_ANSWER: Duration = Duration::from_secs(60);
pub const REGISTRY_TRANSFER: Duration = Duration::from_secs(600);

/// Files of a package in a registry: packages have four to ten, with objects for several architectures a few more.
pub const ARTIFACT_FILES: usize = 64;
/// A recording, an exposition or a document of a package: recordings have some kilobytes.
pub const ARTIFACT_FILE_BYTES: u64 = 16 << 20;
/// All files of a package, which are in memory until each has its digest.
pub const ARTIFACT_BYTES: u64 = 256 << 20;
/// Bytes of a file's path in a package, as a tar archive has room for.
pub const ARTIFACT_PATH_BYTES: usize = 100;

/// Signatures of one artifact that are looked at: a few keys in each of two forms.
pub const SIGNATURES: usize = 32;
/// Repositories of a registry, and tags of a repository, that a search lists.
pub const SEARCHED_REPOSITORIES: usize = 1_000;
pub const SEARCHED_TAGS: usize = 100;

/// A file of an operator that the commands for registries read: policy, lock file, key, credentials.
pub const REGISTRY_FILE_BYTES: u64 = 1 << 20;

/// Memory that scrypt goes through to open an encrypted private key, 128 × N × r × p bytes: cosign writes keys that take 64 MiB, which is a quarter of a second.
pub const KEY_DERIVATION_BYTES: u64 = 256 << 20;

/// Data points in one OTLP request: as messages they take some megabytes, and encoded one, far below what receivers take.
pub const OTLP_POINTS_PER_REQUEST: usize = 8_192;

/// Bytes of all requests of one OTLP push, which are kept until the receiver has taken them: half a million series. Families beyond it are
/// counted in `ebhost_otlp_families_left_out_total`.
pub const OTLP_BYTES: usize = 64 << 20;

/// Bytes of a receiver's answer that are read, and of its text that a message shows.
pub const OTLP_ANSWER_BYTES: u64 = 64 << 10;
pub const OTLP_TEXT_BYTES: usize = 256;

/// Buffers of one package whose events become spans.
pub const SPAN_SOURCES: usize = 16;

/// Events in one call that makes spans of them, and spans that one event may give. Beyond it they are counted in
/// `ebhost_spans_lost_total{reason="limit"}`.
pub const SPAN_BATCH_EVENTS: usize = 1_024;
pub const SPANS_PER_EVENT: usize = 16;

/// Attributes of one span; more are left out.
pub const SPAN_ATTRIBUTES: usize = 32;

/// Exemplars of one family, each some hundred bytes of an answer. Beyond it new buckets have none.
pub const EXEMPLARS: usize = 4_096;

/// Time that all packages together may take to make spans when a sink asks, and spans in one reply. Scrapes wait that long at most; other events
/// wait in bounded memory, and what does not fit is shown by `ebhost_events_lost_total`.
pub const SPAN_TIME: Duration = Duration::from_millis(100);
pub const SPANS_PER_REPLY: usize = 16_384;

/// Bytes of spans that wait for a receiver, as they are sent: some ten thousand. Beyond it new ones are dropped, shown by
/// `ebhost_otlp_spans_total{result="dropped"}`.
pub const WAITING_SPAN_BYTES: usize = 8 << 20;

/// Spans in one OTLP request, as OpenTelemetry's SDKs have it.
pub const OTLP_SPANS_PER_REQUEST: usize = 512;

/// The pause before a request is posted again, and the longest: each is twice the one before. Shown by
/// `ebhost_otlp_requests_total{result="failed"}`.
pub const OTLP_RETRY: Duration = Duration::from_secs(1);
pub const LONGEST_OTLP_RETRY: Duration = Duration::from_secs(30);

/// How long the host's end waits for its last push. Shown by the log.
pub const LAST_OTLP_PUSH: Duration = Duration::from_secs(3);

/// Bytes of looked-up names that are kept. The text of a kernel stack may have several KiB: 10 000 of them fit, and everything else is far
/// below. Shown by `ebhost_lookup_name_bytes`.
pub const LOOKUP_NAME_BYTES: usize = 64 << 20;

/// Time of one scrape whose client does not say how long it waits: Prometheus' own default is 10 s. What could not be read
/// by then is left out, shown by `ebhost_plugin_late_scrapes_total`.
pub const SCRAPE: Duration = Duration::from_secs(30);

/// The least that a client's timeout header may ask for. A shorter time would only make everybody's maps late: no scraper waits for
/// less. Shown by `ebhost_plugin_late_scrapes_total` and `ebhost_http_scrapes_refused_total{reason="deadline"}`.
pub const SHORTEST_SCRAPE: Duration = Duration::from_secs(1);

/// Part of the scraper's patience that reading and labelling may take; the rest is for printing and the network.
pub const SCRAPE_SHARE: f64 = 0.8;

/// Time that printing an answer may take after the kernel's reading had to end, as a part of the time that the reading had. Packages are
/// printed smallest first, and those that are left then are missing from the answer. Shown by `ebhost_http_families_left_out_total`.
pub const PRINT_SHARE: f64 = 0.125;

/// Printing may take so long in any case: reading can have taken all of the time.
pub const LEAST_PRINT: Duration = Duration::from_millis(100);

/// Requests that may wait for the agent; more are answered 503. Each costs a few hundred bytes. Shown by
/// `ebhost_http_scrapes_refused_total{reason="queue"}`.
pub const WAITING_SCRAPES: usize = 256;

/// How long scrapes in flight may take to finish after SIGTERM.
pub const SHUTDOWN: Duration = Duration::from_secs(10);

/// Open files that the process needs to start, serve and say what is wrong: it has 17 itself, and a package two dozen more. A lower limit ends
/// the start. Shown by `process_open_fds` beside `process_max_fds`.
pub const LEAST_OPEN_FILES: u64 = 32;

/// Connections that are open at once: a scraper has one, and a hundred of them at once are many. Each costs a few kilobytes and
/// the header that it is sending. Beyond it a connection that was never admitted makes way for a new one, then one that is idle, then
/// the slowest reader. Shown by `ebhost_http_connections` and `ebhost_http_connections_closed_total`.
pub const CONNECTIONS: usize = 512;

/// Scrapes that wait for the agent, and for how long another one waits to be among them: a reading of 100 000 series takes a tenth of it.
/// Beyond it the answer is 503. Shown by `ebhost_http_scrapes_refused_total{reason="in_flight"}`.
pub const SCRAPES_IN_FLIGHT: usize = 128;
pub const WAIT_FOR_FLIGHT: Duration = Duration::from_secs(1);

/// Bytes of answers that clients have not taken yet: five answers of 100 000 series. Twice the length of the last answer are allowed in
/// any case, so that two scrapers of a very large host do not push each other out. Beyond it the slowest reader is cut off. Shown by
/// `ebhost_http_unsent_bytes` and `ebhost_http_connections_closed_total{reason="slow_reader"}`.
pub const UNSENT_BYTES: usize = 32 << 20;

/// Memory of series that are prepared for compression, 60 to 110 bytes each: about a million series. What is beyond it is compressed as any
/// text, which takes more CPU time. Shown by `process_resident_memory_bytes`.
pub const PREPARED_BYTES: usize = 88 << 20;

/// Memory of other text that is prepared for compression, 150 to 250 bytes a line: small families, histograms, the host's own metrics. It is enough for
/// 100 000 lines, five hundred times those of a usual host. Beyond it as [`PREPARED_BYTES`]. Shown by `process_resident_memory_bytes`.
pub const PREPARED_TEXT_BYTES: usize = 24 << 20;

/// Memory of lines that are kept for the next uncompressed answer, 80 to 120 bytes each: about a million series. What is beyond it is printed anew
/// in each answer. Shown by `process_resident_memory_bytes`.
pub const PRINTED_BYTES: usize = 96 << 20;

/// Series, and other lines, that are prepared for compression in one answer, at 1 µs each; the next answers continue. Shown by
/// `ebhost_scrape_cpu_seconds_total{stage="print"}`.
pub const PREPARED_LINES_PER_ANSWER: usize = 64 << 10;

/// Bytes of an answer that the kernel holds for a client before it has sent them. Without a bound it takes megabytes of memory and of copying for
/// each client that reads nothing; less of it would cost a fast client a wake-up for each piece.
pub const KERNEL_UNSENT_BYTES: u32 = 512 << 10;

/// For so long after an answer was made none of its readers counts as slow.
pub const READER_GRACE: Duration = Duration::from_millis(100);

/// A request's header. Prometheus sends 0.5 KB; a bearer token may be a few more. Beyond it the answer is 431.
pub const HEADER_BYTES: usize = 32 << 10;

/// Time that a client may take for a request's header, the pause before it included, and for a TLS handshake.
pub const HEADER_TIME: Duration = Duration::from_secs(30);

/// A client that takes nothing of its answer for so long is cut off, for the answer lies in memory.
pub const CLIENT_STALL: Duration = Duration::from_secs(30);

/// For how long, and how much, is read of what a client goes on sending after its last answer, so that it can read that answer.
pub const LINGER: Duration = Duration::from_secs(2);
pub const LINGER_BYTES: usize = 4 << 20;

/// Pause after a connection could not be accepted.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Passwords that are checked against their bcrypt hashes at once: each takes a core for some 60 ms.
pub const PASSWORD_CHECKS: usize = 1;

/// Requests that wait for the check of a password, in total and from one address: two seconds of checks, and a part of it, so that one
/// client that guesses passwords keeps no other out. Beyond it the answer is 429. Shown by
/// `ebhost_http_password_checks_total{result="refused"}`.
pub const WAITING_PASSWORDS: usize = 32;
pub const WAITING_PASSWORDS_PER_ADDRESS: usize = 4;

/// Right passwords that are remembered: more than this many users have no business here. As many wrong ones are remembered, so that a
/// scraper with a wrong password costs one check and not one a scrape.
pub const PASSWORDS_KEPT: usize = 128;

/// How often the web configuration and the files that it names are looked at. A change is taken once it stood still from one look to the
/// next, so that a file that is being written is not read in its middle. Shown by `ebhost_web_config_valid`.
pub const WEB_CONFIG_LOOK: Duration = Duration::from_millis(500);

/// A web configuration is read whole before it is parsed; one of a hundred users has 10 KB. The same for each certificate, key and client
/// CA: a bundle of all public authorities has 200 KB.
pub const WEB_CONFIG_BYTES: u64 = 1 << 20;

/// Flow collections (`[`, `{`) of a YAML file that may be open at once. Parsers take quadratic time for deeper ones, and nobody nests so
/// deep.
pub const YAML_DEPTH: usize = 64;

/// Characters of a source line that an error message repeats.
pub const SHOWN_LINE_CHARS: usize = 200;

/// Characters of a message about a file, which may repeat a value of the file.
pub const SHOWN_MESSAGE_CHARS: usize = 1_000;

/// Perf events of one group: a PMU has 4 to 8 counters, and events that do not fit at once never run. Shown by
/// `ebhost_perf_events`.
pub const PERF_GROUP_EVENTS: usize = 16;

/// For how long an event may be wanted without counting before it is called stalled: the kernel takes turns every few
/// milliseconds.
pub const PERF_STALLED: Duration = Duration::from_secs(1);

/// Bytes of events (ring buffers, perf event arrays) that wait for a scrape, with what is remembered of each. Beyond it they are lost, shown
/// by `ebhost_events_lost_total`.
pub const WAITING_EVENT_BYTES: usize = 8 << 20;

/// How often event buffers are emptied between scrapes, and looked at whether a CPU came online whose events need a buffer.
pub const EVENT_DRAIN: Duration = Duration::from_millis(50);

/// A CPU whose perf event buffer cannot be opened is tried again after so many rounds of [`EVENT_DRAIN`]: once a second.
pub const CPU_BUFFER_RETRY_ROUNDS: u32 = 20;

/// Pages of the buffer of one CPU of a perf event array, a power of two.
pub const PERF_BUFFER_PAGES: usize = 64;

/// A recording is read whole before it is replayed, and its rows may say no more: tables of a million entries fit.
pub const RECORDING_BYTES: u64 = 256 << 20;

/// Entries that `ebhost check` makes up for each view to see whether its decode is pure: enough to split and shuffle.
pub const MADE_UP_ENTRIES: usize = 192;

/// For how long a burst counts as recent. Shown by `ebhost_plugin_limit_used_recent_ratio`, over five scrapes of a minute or twenty of 15 s.
pub const RECENT: Duration = Duration::from_secs(300);

/// The status page's rates are over this time, in which a report is kept every `STATUS_SAMPLE`; over less than `STATUS_LEAST` a rate says
/// nothing. Nothing runs between scrapes, so with few scrapes they are over a longer time, which the page shows.
pub const STATUS_WINDOW: Duration = RECENT;
pub const STATUS_SAMPLE: Duration = Duration::from_secs(60);
pub const STATUS_LEAST: Duration = Duration::from_secs(1);

/// Time between two frames of the live page and the flight recorder. Nothing is read for them while nobody looks and no window is kept.
/// Shown by `ebhost_feed_frames_total`.
pub const FRAME: Duration = Duration::from_secs(1);

/// The pause after a frame as a multiple of the time that it took: where a collection takes long, frames take a fifth of the agent's time.
pub const FRAME_REST: u32 = 4;

/// Frames from one report on host and packages in the stream to the next: a report costs more than a frame and changes less.
pub const FRAMES_PER_REPORT: u64 = 5;

/// Viewers of the live page at once: each is a connection, and a queue of `VIEWER_FRAMES` frames that all share. One whose queue is full is dropped.
/// Shown by `ebhost_feed_viewers` and `ebhost_feed_viewers_dropped_total`.
pub const VIEWERS: usize = 16;
pub const VIEWER_FRAMES: usize = 16;

/// Series that the live page and the flight recorder follow: those in the first slots of each family; and, of all families together, the
/// cells and bytes of labels of which a copy is kept. Nobody looks at more lines. The page says how many series it does not show.
pub const FOLLOWED_SERIES: usize = 4_096;
pub const FOLLOWED_CELLS: usize = 1 << 20;
pub const FOLLOWED_LABEL_BYTES: usize = 8 << 20;

/// Memory of the flight recorder's window. Fifteen minutes of 3 000 series that all change take about half of it; if it is not enough,
/// the window is shorter. Shown by `ebhost_recorder_bytes` and `ebhost_recorder_seconds`.
pub const RECORDER_BYTES: usize = 22 << 20;

/// Frames are compressed so many together, and dropped together.
pub const RECORDER_SEGMENT: Duration = Duration::from_secs(60);

/// The longest `--recorder.window`.
pub const LONGEST_RECORDER_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// A flight recording that `ebhost view` reads: the window of a host several times.
pub const FLIGHT_RECORDING_BYTES: u64 = 256 << 20;

/// A segment of a flight recording when it is unpacked, and native buckets of a family in one: more than a host writes.
pub const RECORDING_SEGMENT_BYTES: usize = 64 << 20;
pub const RECORDING_BUCKETS: usize = 1 << 14;

/// Log lines that the status page shows, and bytes of each: enough to see why something was refused. The log has all of them.
pub const STATUS_LOG_LINES: usize = 50;
pub const STATUS_LOG_LINE_BYTES: usize = 1 << 10;

/// Part of a limit from which `ebhost check` and `replay` call it near.
pub const NEAR: f64 = 0.8;

/// Guest time of one read that is replayed: nobody waits for it, but a spinning guest is to end.
pub const REPLAY: Duration = Duration::from_secs(120);

/// Of pci.ids, which has 1.5 MB: what is beyond is not read.
pub const PCI_IDS_BYTES: u64 = 16 << 20;

/// Bytes of a file in which a container runtime describes a container, or lists them all: what is beyond is not read, and the container has its id
/// as its name.
pub const CONTAINER_STATE_BYTES: u64 = 8 << 20;

/// Collections in which the counts of a new container wait for its name, which its runtime may write after it created the cgroup. Then it has its id as
/// its name.
pub const CONTAINER_NAME_ATTEMPTS: u64 = 3;

/// Containers whose names are remembered, so that each is looked up once: a machine runs some hundred. Names that series have are kept in any
/// case.
pub const CONTAINER_NAMES: usize = 16 << 10;

/// Memory of the builtin component for a drop-in configuration: a batch of the longest keys, and its answer, several times.
pub const DROP_IN_MEMORY_BYTES: u64 = 256 << 20;

/// Bytes of what a component says against its configuration: some hundred mistakes.
pub const REFUSAL_BYTES: usize = 32 << 10;

/// A section or symbol name of an object. Names hold the paths of probed files, of 4 096 bytes at most, and a symbol; a damaged object may
/// claim millions of them that each reach to the end of the file.
pub const SECTION_NAME_BYTES: usize = 8 << 10;

/// Text of a kernel configuration value that an object asks for: the kernel's own build takes no more.
pub const EXTERN_TEXT_BYTES: usize = 4 << 10;

/// Functions that one `kprobe.multi` pattern attaches to: the kernel's own limit is a million, which stops a machine.
pub const PROBED_FUNCTIONS: usize = 10_000;

/// How often a cgroup id map is brought up to date: a walk costs some 5 µs a cgroup. Shown by `ebhost_cgroup_id_map_cgroups`.
pub const CGROUP_WALK: Duration = Duration::from_millis(500);

/// Deeper hierarchies are not walked: nobody nests so deep, and a loop of mounts would never end.
pub const CGROUP_DEPTH: usize = 64;

/// After a walk through all cgroups as many times its duration pass before the next one, so that a hierarchy with very many takes 2 % of a
/// core at most. At least [`CGROUP_WALK`] passes, too.
pub const CGROUP_WALK_REST: u32 = 50;

/// The same after reading the kernel's reports of cgroups that come and go: a user who creates them as fast as possible takes a fifth of a core.
pub const CGROUP_REPORTS_REST: u32 = 4;

/// Reports are collected for so long before they are read, where they say enough to be read later.
pub const CGROUP_REPORTS_TOGETHER: Duration = Duration::from_millis(20);

/// Time in which a scrape itself reads reports; others are read by a thread, and cgroups that they may be about are named in the next scrape.
pub const CGROUP_REPORTS_PER_SCRAPE: Duration = Duration::from_millis(5);

/// Time that a scrape waits for names of cgroups that are being walked; those that come later are counted from the next scrape on.
pub const CGROUP_NAMES_PATIENCE: Duration = Duration::from_millis(50);

/// Cgroups of which the names are known: some 100 bytes each. The kernel's own memory for so many is a hundred times that. Shown by
/// `ebhost_cgroup_names`.
pub const KNOWN_CGROUPS: usize = 256 << 10;

/// Removed cgroups of which the names are kept: those of eleven minutes at a hundred a second, for maps that are read later. Names that series have are
/// kept in any case. Shown by `ebhost_cgroup_names{state="removed"}`.
pub const REMOVED_CGROUPS: usize = 64 << 10;

/// Cgroups that are watched one by one where the kernel has no report of all: 1 KiB of kernel memory each.
pub const WATCHED_CGROUPS: usize = 64 << 10;

/// Ids without a cgroup that are remembered until they have one.
pub const UNKNOWN_CGROUPS: usize = 16 << 10;

/// The pause before a thread that panicked is started again, and the longest: each is twice the one before. A panic costs a thread's work
/// for that long, and no core. Shown by `ebhost_thread_panics_total` and `/-/healthy`.
pub const THREAD_RESTART: Duration = Duration::from_secs(1);
pub const LONGEST_THREAD_RESTART: Duration = Duration::from_secs(30);

/// A thread that ran for so long before it panicked starts again at the first pause.
pub const THREAD_HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// `ebhost top`: time to connect to an address, one of several that a name may have.
pub const TOP_CONNECT: Duration = Duration::from_secs(3);

/// `ebhost top`: time without a byte of an answer. A scrape may take [`SCRAPE`].
pub const TOP_ANSWER: Duration = Duration::from_secs(15);

/// `ebhost top`: an answer is read whole. A million series have 150 MB.
pub const TOP_ANSWER_BYTES: u64 = 512 << 20;

/// `ebhost top`: if the maps were not read for that long, it has them read. Prometheus scrapes every 15 s to 60 s; this makes at most one more
/// scrape in that time.
pub const TOP_STALE: Duration = Duration::from_secs(10);

/// `ebhost top`: time between looking for readings and signals while no key is pressed: less than a person notices.
pub const TOP_KEYS: Duration = Duration::from_millis(100);

/// `ebhost top --once`: longest time between the two readings that rates are computed from.
pub const TOP_ONCE: Duration = Duration::from_secs(2);
