//! The real binary with one package, and its costs: CPU time of all threads, memory, and its own metrics of time by stage.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use ebhost_tests::{Ebhost, Folder, KernelMap, Start, workspace};
use flate2::read::GzDecoder;

/// The stages of a scrape, as in the label of `ebhost_scrape_cpu_seconds_total`.
pub(crate) const STAGES: [&str; 5] = ["lookup", "read", "label", "count", "print"];

/// The component that labels the entries of the package `maps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Labeller {
    /// The package's own component, written with the SDK.
    Own,
    /// The host's builtin component, by configuration.
    Builtin,
}

/// A configuration of the builtin component that is equivalent to `bench/packages/maps/src/lib.rs`.
const CONFIGURED: &str = "metrics: { counters: [{ name: hash_calls_total, help: Made-up calls., map: hash, labels: [\
    { name: id, size: 8, decoders: [{ name: uint }] }, { name: group, size: 4, decoders: [{ name: uint }] }, \
    { name: kind, size: 4, decoders: [{ name: uint }, { name: static_map, static_map: { \
    0: read, 1: write, 2: open, 3: close, 4: sync, 5: lock, 6: poll, 7: other } }] }] }] }";

/// A configuration of the builtin component for the package's map `array`.
pub(crate) const BUILTIN_COUNTER: &str = "metrics: { counters: [{ name: array_calls_total, help: Made-up calls., map: array, labels: [\
    { name: slot, size: 4, decoders: [{ name: uint }] }] }] }";

/// The headers by which a scraper chooses format and compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Text 0.0.4, uncompressed.
    Plain,
    /// As Prometheus asks: OpenMetrics first, compressed.
    Gzip,
}

impl Accepted {
    fn headers(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => {
                "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\n"
            }
        }
    }
}

impl Display for Accepted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
        })
    }
}

/// A running ebhost.
pub(crate) struct Host {
    ebhost: Ebhost,
    /// One connection for all scrapes, as in Prometheus.
    connection: TcpStream,
    accepted: Accepted,
    /// The last answer as it was sent, with its head.
    body: Vec<u8>,
    /// Its text.
    text: Vec<u8>,
    _folder: Option<Folder>,
}

/// CPU time of a scrape, or of all of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) all: Duration,
    /// In the order of [`STAGES`].
    pub(crate) stages: [Duration; STAGES.len()],
    /// The part of the stage `label` inside the sandbox. Wall-clock time; it is reported but not part of any sum.
    pub(crate) guest: Duration,
}

impl Host {
    /// Starts a host with the package `maps`, which reads one map with this number of entries.
    pub(crate) fn reading(map: &str, entries: usize, labeller: Labeller) -> Self {
        let folder = Folder::new();
        folder.copy(&workspace().join("bench/packages/maps"));
        let edits = [
            (format!(" {map}: 1"), format!(" {map}: {entries}")),
            ("read: [hash]".to_owned(), format!("read: [{map}]")),
            ("series: 1000".to_owned(), format!("series: {}", entries + entries / 5)),
        ];
        for (from, to) in edits {
            folder.amend("maps", &from, &to);
        }
        if labeller == Labeller::Builtin {
            folder.amend("maps", "component: maps.wasm", "component: builtin");
            folder.amend("maps", "read: [hash]", CONFIGURED);
        }
        Self::started(folder)
    }

    /// Starts a host with the package `counts`: this number of banks in `calls`, and a hash of that size.
    pub(crate) fn counting(entries: usize) -> Self {
        let folder = Folder::new();
        folder.copy(&workspace().join("bench/packages/counts"));
        for (from, to) in [
            (" calls: 256", format!(" calls: {entries}")),
            (" hash: 1", format!(" hash: {}", entries + 1024)),
            ("series: 1000", format!("series: {}", entries + entries / 5)),
        ] {
            folder.amend("counts", from, &to);
        }
        Self::started(folder)
    }

    /// Starts a host with the packages of a folder.
    pub(crate) fn started(folder: Folder) -> Self {
        let cache = folder.path().join("cache");
        let cache = cache.to_str().expect("a temporary folder has a plain name").to_owned();
        let start = Start::with(folder.path()).args(&["--strict", "--cache.dir", &cache]);
        Self { _folder: Some(folder), ..Self::of(start.listening()) }
    }

    /// A host that runs already.
    pub(crate) fn of(ebhost: Ebhost) -> Self {
        let connection = connect(&ebhost);
        Self { ebhost, connection, accepted: Accepted::Plain, body: Vec::new(), text: Vec::new(), _folder: None }
    }

    /// Chooses what the next scrapes ask for.
    pub(crate) fn accept(&mut self, accepted: Accepted) {
        self.accepted = accepted;
    }

    /// The text of the last answer.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn pid(&self) -> u32 {
        self.ebhost.pid()
    }

    pub(crate) fn map(&self, name: &str) -> KernelMap {
        KernelMap::of(self.pid(), name)
    }

    /// Scrapes once; returns the size of the response in bytes.
    pub(crate) fn scrape(&mut self) -> usize {
        if !self.request() {
            // The host closes idle connections.
            self.connection = connect(&self.ebhost);
            assert!(self.request(), "ebhost answers");
        }
        assert!(self.body.starts_with(b"HTTP/1.1 200 "), "a scrape is answered with 200");
        self.text = unchunked(&self.body);
        if self.accepted == Accepted::Gzip {
            let mut text = Vec::new();
            GzDecoder::new(&self.text[..]).read_to_end(&mut text).expect("the answer is one gzip stream");
            self.text = text;
        }
        self.body.len()
    }

    /// Sends a request and reads the response; returns false if the connection is closed.
    fn request(&mut self) -> bool {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nX-Prometheus-Scrape-Timeout-Seconds: 30\r\n{}\r\n",
            self.ebhost.address(),
            self.accepted.headers()
        );
        self.body.clear();
        let mut buffer = vec![0; 1 << 20];
        let mut is_open = self.connection.write_all(request.as_bytes()).is_ok();
        while is_open && !is_complete(&self.body) {
            let length = self.connection.read(&mut buffer).unwrap_or(0);
            self.body.extend_from_slice(&buffer[..length]);
            is_open = length > 0;
        }
        is_open
    }

    /// A value among the host's own metrics, which are at the end of the response; the values of several series are added up.
    pub(crate) fn own(&self, sample: &str) -> f64 {
        let end = &self.text[self.text.len().saturating_sub(1 << 20)..];
        let end = String::from_utf8_lossy(end);
        let is_of_sample = |line: &&str| {
            line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(['{', ' ']) || sample.ends_with('}'))
        };
        end.lines().filter(is_of_sample).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The CPU time of the stages until the last scrape's response.
    pub(crate) fn spent(&self) -> Spent {
        let stage = |stage: &str| {
            Duration::from_secs_f64(self.own(&format!("ebhost_scrape_cpu_seconds_total{{stage=\"{stage}\"}}")))
        };
        Spent {
            all: Duration::ZERO,
            stages: STAGES.map(stage),
            guest: Duration::from_secs_f64(self.own("ebhost_plugin_decode_duration_seconds_sum")),
        }
    }

    /// The resident memory now and its maximum, in MB.
    pub(crate) fn memory(&self) -> (f64, f64) {
        memory(self.pid())
    }
}

/// Position of the body in a response whose head is complete.
fn body_of(response: &[u8]) -> Option<usize> {
    response.windows(4).take(4096).position(|end| end == b"\r\n\r\n").map(|head| head + 4)
}

/// The length that the head of a response announces, if it is not sent in chunks.
fn announced(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok())
}

/// Whether this is a whole response; the last chunk of one that is sent in chunks is empty.
fn is_complete(response: &[u8]) -> bool {
    let Some(body) = body_of(response) else { return false };
    match announced(&response[..body]) {
        Some(length) => response.len() >= body + length,
        None => response.ends_with(b"\r\n0\r\n\r\n"),
    }
}

/// The body of a response without the frames of its chunks.
fn unchunked(response: &[u8]) -> Vec<u8> {
    let body = body_of(response).expect("a response has a head");
    let (head, mut rest) = response.split_at(body);
    if announced(head).is_some() {
        return rest.to_vec();
    }
    let mut text = Vec::with_capacity(rest.len());
    loop {
        let end = rest.windows(2).position(|end| end == b"\r\n").expect("a chunk has a length");
        let length = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let length = length.expect("a length in hex");
        if length == 0 {
            return text;
        }
        text.extend_from_slice(&rest[end + 2..][..length]);
        rest = &rest[end + 4 + length..];
    }
}

fn connect(ebhost: &Ebhost) -> TcpStream {
    let connection = TcpStream::connect(ebhost.address()).expect("ebhost listens");
    connection.set_read_timeout(Some(Duration::from_secs(30))).expect("it is open");
    connection
}

/// The resident memory of a process now and its maximum, in MB (10^6 bytes).
pub(crate) fn memory(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let field = |name: &str| {
        let kib =
            status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.expect("the kernel says it") * 1024.0 / 1e6
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The CPU time of all threads of a process that there are now.
pub(crate) fn cpu(pid: u32) -> Duration {
    threads(pid).values().sum()
}

/// The CPU time of each thread of a process. That of a thread is gone when it ends.
pub(crate) fn threads(pid: u32) -> BTreeMap<u32, Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of_task = |task: std::io::Result<fs::DirEntry>| {
        let task = task.ok()?;
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let time = Duration::from_nanos(text.split(' ').next()?.parse().ok()?);
        Some((task.file_name().to_str()?.parse().ok()?, time))
    };
    tasks.filter_map(of_task).collect()
}

/// The CPU time between two moments; `None` if a thread ended in between, whose time is not known.
pub(crate) fn between(before: &BTreeMap<u32, Duration>, after: &BTreeMap<u32, Duration>) -> Option<Duration> {
    let is_complete = before.keys().all(|thread| after.contains_key(thread));
    let since =
        |(thread, time): (&u32, &Duration)| time.saturating_sub(before.get(thread).copied().unwrap_or_default());
    is_complete.then(|| after.iter().map(since).sum())
}

/// The CPU time of the calling thread.
pub(crate) fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The CPU time that `act` takes in the calling thread.
pub(crate) fn timed(act: impl FnOnce()) -> Duration {
    let began = own_cpu();
    act();
    own_cpu() - began
}
