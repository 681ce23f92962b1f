//! Starts and controls the real binary.

use std::{
    env,
    ffi::OsStr,
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, SystemTime},
};

use rustix::process::Signal;

use crate::{
    exposition::{Exposition, Format},
    folder::{SETTINGS, built, target},
    http::{self, Response},
    log::Log,
    process::{Running, wait_until},
};

/// Long, because the machine may be under load and compiling some packages takes up to the host's own time limit.
const START: Duration = Duration::from_secs(600);
/// Longer than the host waits for scrapes in flight.
const STOP: Duration = Duration::from_secs(60);

/// The command line with which the host is to be started.
#[derive(Debug)]
pub struct Start {
    command: Command,
}

/// A running host that listens.
#[derive(Debug)]
pub struct Ebhost {
    process: Running,
    log: Log,
    address: SocketAddr,
}

/// A host that exited.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub log: Log,
}

/// The path of the binary: EBHOST_BIN, or the one that cargo built next to the tests, which must be newer than its
/// sources.
pub fn binary() -> PathBuf {
    if let Some(binary) = env::var_os("EBHOST_BIN") {
        return binary.into();
    }
    let binary = built("ebhost");
    let remedy = "run the tests by `cargo xtask test`, or first `cargo build --release -p ebhost`";
    let Some(time) = modified(&binary) else { panic!("{} is not there: {remedy}", binary.display()) };
    if let Some(newer) = sources(&binary).into_iter().find(|source| modified(source) > Some(time)) {
        panic!("{} is older than {}: {remedy}", binary.display(), newer.display());
    }
    binary
}

impl Start {
    /// A host with the packages of this folder, on a free port of 127.0.0.1, that logs JSON.
    pub fn with(plugins: &Path) -> Self {
        Self::by(&[], plugins)
    }

    /// A host with drop-in configurations of ebpf_exporter: a folder, and comma-separated names.
    pub fn drop_ins(folder: &Path, names: &str) -> Self {
        Self::drop_ins_by(&[], folder, names)
    }

    /// The same, started through another command that takes the binary and its arguments.
    pub fn drop_ins_by(starter: &[&str], folder: &Path, names: &str) -> Self {
        let mut start = Self::of(starter);
        start.command.arg("--config.dir").arg(folder).args(["--config.names", names]);
        start
    }

    /// The same as [`with`](Self::with), started through another command, such as `setpriv …`.
    pub fn by(starter: &[&str], plugins: &Path) -> Self {
        let mut start = Self::of(starter);
        start.command.arg("--plugins").arg(plugins);
        let settings = plugins.join(SETTINGS);
        if settings.is_file() {
            start.command.arg("--config.file").arg(settings);
        }
        start
    }

    fn of(starter: &[&str]) -> Self {
        let mut words: Vec<_> = starter.iter().map(|word| OsStr::new(word).to_owned()).collect();
        words.push(binary().into_os_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["--log.format", "json", "--web.listen-address", "127.0.0.1:0"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        // Not the user's cache. One cache for all tests, so that each component is compiled once.
        command.env("CACHE_DIRECTORY", target().join("ebhost-cache"));
        Self { command }
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts the host and waits until it listens.
    pub fn listening(mut self) -> Ebhost {
        let (mut process, mut log) = self.spawn();
        let address = wait_until("`listening` in the log of ebhost", START, || {
            if let Some(status) = process.ended() {
                log.finish();
                panic!("ebhost ended, {status}, instead of listening; its log:\n{}", log.text());
            }
            let lines = log.lines();
            let line = lines.iter().find(|line| line.field("message") == "listening")?;
            line.field("address").as_str()?.parse().ok()
        });
        Ebhost { process, log, address }
    }

    /// Starts the host and waits until it exits.
    pub fn ended(mut self) -> Ended {
        let (mut process, mut log) = self.spawn();
        let status = process.wait(START);
        log.finish();
        Ended { status, log }
    }

    fn spawn(&mut self) -> (Running, Log) {
        let mut process = Running::start(&mut self.command);
        let log = Log::follow(process.child().stderr.take().expect("stderr is a pipe"));
        (process, log)
    }
}

impl Ebhost {
    /// Starts a host with default options.
    pub fn start(plugins: &Path) -> Self {
        Start::with(plugins).listening()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let answer = http::get(self.address, path, headers);
        answer.unwrap_or_else(|error| panic!("GET {path}: {error}; the log:\n{}", self.log.text()))
    }

    /// Sends a request and returns the connection, without reading the response.
    pub fn begin(&self, path: &str) -> TcpStream {
        use std::io::Write;
        let mut connection = TcpStream::connect(self.address).expect("ebhost listens");
        connection.write_all(http::request(self.address, path, &[]).as_bytes()).expect("ebhost reads");
        connection
    }

    /// Scrapes without an Accept header and parses the response strictly.
    pub fn scrape(&self) -> Exposition {
        let answer = self.get("/metrics", &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        Exposition::parse(answer.text(), Format::Text).unwrap_or_else(|why| panic!("{why}; served:\n{}", answer.text()))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Sends SIGHUP, on which the host reloads its packages and files.
    pub fn hang_up(&self) {
        self.tell(Signal::HUP);
    }

    pub fn tell(&self, signal: Signal) {
        self.process.tell(signal);
    }

    /// Waits until the host exits.
    pub fn wait(mut self) -> Ended {
        let status = self.process.wait(STOP);
        self.log.finish();
        Ended { status, log: self.log }
    }

    /// Sends SIGTERM and waits; panics unless the host exits successfully.
    pub fn stop(self) -> Log {
        self.terminate();
        let ended = self.wait();
        assert!(ended.status.success(), "ebhost ended by SIGTERM, {}; its log:\n{}", ended.status, ended.log.text());
        ended.log
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// The sources of a binary, from cargo's dep-info file: `binary: source source …`.
fn sources(binary: &Path) -> Vec<PathBuf> {
    let noted = fs::read_to_string(binary.with_extension("d")).unwrap_or_default();
    let sources = noted.split_once(": ").map_or("", |(_, sources)| sources);
    sources.replace("\\ ", "\0").split_whitespace().map(|source| source.replace('\0', " ").into()).collect()
}
