//! The program: kernel → snapshot → plugin → series → exposition → server.
//!
//! This file names the stages in their order; each of them knows only those before it. The agent lives in one thread of
//! its own, which owns every package and answers scrapes one after the other, so nothing here is locked.

mod builtin;
mod chunks;
mod label;
mod loader;
mod names;
mod notice;
mod package;
mod single;
mod watch;

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, PipeReader},
    path::PathBuf,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    select,
    sync::{mpsc, oneshot, watch as watching},
};
use tracing::{debug, error, info};

use crate::{
    exposition::{Created, Format, Integers, Messages, Style, Syntax, Writer},
    kernel::{self, KernelTypes, StatisticsOn},
    limits,
    lookup::{Lookups, Roots},
    package::{Dialect, FolderError, Places, Require, Trust, TrustError},
    plugin::{Compiler, ComponentError, DECODE_BOUNDS, Engine, State},
    privileges::{self, Keep},
    series::Table,
    server::{self, Address, Ask, Reply, Scrape, ServerError, WebConfigFile},
    systemd,
    telemetry::{
        self, OwnMetrics, PackageReport, Process, Report, Stage, StageClock, dropped_log_lines, text_from_openmetrics,
    },
};
use chunks::Chunks;
use loader::{Change, Loader, Polling};
pub use names::Names;
use package::{Running, folder_name};
pub use single::{Offline, OfflineError, Single, SingleError, clash};

/// What the agent is told to do.
#[derive(Clone)]
pub struct Options {
    pub places: Places,
    /// Of plugins' families.
    pub namespace: String,
    pub faults: OnFault,
    pub listen_addresses: Vec<Address>,
    pub web_config: Arc<WebConfigFile>,
    pub statistics: Statistics,
    pub created: Created,
    pub telemetry_path: String,
    /// Folder for compiled components; none: they are compiled at each start.
    pub cache: Option<PathBuf>,
    /// What compiles components; none: this process.
    pub compiler: Option<Arc<Compiler>>,
    pub reload: Reload,
    /// The operator's file of pins, and what has to be in it.
    pub pins: Option<(PathBuf, Require)>,
    /// Capabilities that are kept beside those that are needed.
    pub keep: Keep,
}

/// When changes in the plugin folder are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// When they are seen, and at SIGHUP.
    Watch,
    /// At SIGHUP.
    Signal,
    /// Never: nothing is loaded after the start, and the right to do so is given up.
    Off,
}

/// What a package that fails to load does to the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    LeaveOut,
    EndStart,
}

/// Whether the kernel is to count and time the runs of BPF programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    AsTheyAre,
    On,
}

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Engine(#[from] ComponentError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("{left_out} of {all} packages failed to load, and --strict is given")]
    Strict { left_out: usize, all: usize },
    #[error("the compiler's process cannot be started: {0}")]
    Compiler(io::Error),
    #[error("--bpf.stats: the kernel's statistics of BPF programs cannot be switched on: {0}; found no CAP_SYS_ADMIN?")]
    Statistics(io::Error),
    #[error("the agent's thread ended by a panic")]
    Panic,
    #[error("the agent's thread cannot be started: {0}")]
    Thread(io::Error),
}

/// All packages, from the kernel's maps to the series.
struct Agent {
    namespace: String,
    created: Created,
    running: Vec<Running>,
    /// Files of packages that do not run, and why.
    left_out: BTreeMap<PathBuf, String>,
    types: Arc<KernelTypes>,
    reloads: u64,
    reload_failures: u64,
    /// Off again when it is dropped.
    _statistics: Option<StatisticsOn>,
    lookups: Lookups,
    kept_names: usize,
    own: OwnMetrics,
    scrapes: u64,
    collections: u64,
    collect_time: Duration,
    scrape_time: Duration,
    clock: StageClock,
    chunks: Chunks,
    exposition_bytes: u64,
}

/// Loads every package and serves until `stop` changes. It listens from the start, and is ready once all are attached. What
/// comes on `reload_asked` has the plugin folder looked through.
pub async fn run(options: Options, stop: watching::Receiver<()>, reload_asked: PipeReader) -> Result<(), AgentError> {
    let listeners = server::bind(&options.listen_addresses).await?;
    let addresses: Vec<_> = listeners.iter().map(server::Listener::address).collect();
    let (asks, waiting) = mpsc::channel(limits::WAITING_SCRAPES);
    let (ready, is_ready) = watching::channel(false);
    let served = server::Options {
        telemetry_path: options.telemetry_path.clone(),
        offered: match options.places.drop_ins {
            Some(_) => Format::WITHOUT_OPENMETRICS,
            None => Format::ALL,
        },
        version: telemetry::build::LINE.to_owned(),
        web_config: options.web_config.clone(),
        ready: is_ready,
    };
    let watchdog = systemd::watchdog_interval().map(|interval| tokio::spawn(watch_over(interval, asks.clone())));
    let server = tokio::spawn(server::serve(listeners, asks, served, stop.clone()));
    let (path, keep, (loaded, outcome)) = (options.telemetry_path.clone(), options.keep, oneshot::channel());
    let runtime = Handle::current();
    let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || {
        match Agent::load(&options).and_then(|(agent, loader)| Ok((agent, watch(loader, &options, reload_asked)?))) {
            Ok((agent, changes)) => {
                privileges::keep_in_this_thread(privileges::READING | keep.0);
                let _ = loaded.send(Ok(()));
                runtime.block_on(agent.answer(waiting, changes));
            }
            Err(fault) => {
                let _ = loaded.send(Err(fault));
            }
        }
    });
    let thread = thread.map_err(AgentError::Thread)?;
    outcome.await.unwrap_or(Err(AgentError::Panic))?;
    privileges::keep_in_this_thread(keep.0);
    for address in addresses {
        info!(address, path, "listening");
    }
    ready.send_replace(true);
    systemd::notify("READY=1");
    let ended = server.await;
    if let Some(watchdog) = watchdog {
        watchdog.abort(); // it holds the queue open
        let _ = watchdog.await;
    }
    // The queue is closed now; the thread ends with what it holds, which detaches the programs.
    thread.join().map_err(|_| AgentError::Panic)?;
    ended.map_err(|_| AgentError::Panic)
}

/// Starts the thread that takes changes, which ends when the agent has.
fn watch(loader: Loader, options: &Options, asked: PipeReader) -> Result<mpsc::Receiver<Change>, AgentError> {
    let (changes, to_change) = mpsc::channel(1);
    let polling = match options.reload {
        Reload::Watch => Polling::On,
        Reload::Signal => Polling::Off,
        Reload::Off => return Ok(to_change),
    };
    let keep = options.keep;
    let thread = thread::Builder::new().name("loader".to_owned()).spawn(move || {
        privileges::keep_in_this_thread(privileges::LOADING | keep.0);
        loader.watch(polling, asked, &changes);
    });
    thread.map(|_| to_change).map_err(AgentError::Thread)
}

/// Loads and attaches every package, and lets go of them again: whether a start would go well.
pub fn check(options: &Options) -> Result<(), AgentError> {
    Agent::load(options).map(|(agent, _)| info!(packages = agent.running.len(), "the configuration is good"))
}

/// Tells systemd that the agent answers; when it does not, systemd starts it anew.
async fn watch_over(interval: Duration, asks: mpsc::Sender<Ask>) {
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        let (reply, answer) = oneshot::channel();
        if asks.send(Ask::Status(reply)).await.is_ok() && answer.await.is_ok() {
            systemd::notify("WATCHDOG=1");
        }
    }
}

impl Agent {
    fn load(options: &Options) -> Result<(Self, Loader), AgentError> {
        let statistics = match options.statistics {
            Statistics::On => Some(kernel::switch_on_statistics().map_err(AgentError::Statistics)?),
            Statistics::AsTheyAre => None,
        };
        let engine = Engine::new(options.cache.as_deref(), options.compiler.clone())?;
        let trust = options.pins.as_ref().map(|(file, require)| Trust::read(file, *require)).transpose()?;
        let types = Arc::new(KernelTypes::keeping(options.keep.0));
        let names = Names::new(&options.namespace);
        let mut loader = Loader::new(options.places.clone(), names, engine, types.clone(), trust);
        let (running, left_out) = loader.start()?;
        if options.faults == OnFault::EndStart && !left_out.is_empty() {
            return Err(AgentError::Strict { left_out: left_out.len(), all: running.len() + left_out.len() });
        }
        let agent = Self {
            namespace: options.namespace.clone(),
            created: options.created,
            running,
            left_out,
            types,
            reloads: 0,
            reload_failures: 0,
            _statistics: statistics,
            lookups: Lookups::new(Roots::default()),
            kept_names: 0,
            own: OwnMetrics::new(),
            scrapes: 0,
            collections: 0,
            collect_time: Duration::ZERO,
            scrape_time: Duration::ZERO,
            clock: StageClock::default(),
            chunks: Chunks::default(),
            exposition_bytes: 0,
        };
        Ok((agent, loader))
    }

    /// Answers until nobody can ask any more, and takes changes in between.
    async fn answer(mut self, mut waiting: mpsc::Receiver<Ask>, mut changes: mpsc::Receiver<Change>) {
        let mut batch = Vec::new();
        loop {
            select! {
                biased;
                Some(change) = changes.recv() => self.take(change),
                count = waiting.recv_many(&mut batch, limits::WAITING_SCRAPES) => {
                    if count == 0 {
                        return;
                    }
                    self.answer_all(&mut batch);
                }
            }
        }
    }

    /// Scrapes that wait when one begins share its read of the kernel.
    fn answer_all(&mut self, batch: &mut Vec<Ask>) {
        let mut scrapes = Vec::new();
        for ask in batch.drain(..) {
            match ask {
                Ask::Scrape(scrape) => scrapes.push(scrape),
                // A client that went away needs no answer, here and below.
                Ask::Status(reply) => drop(reply.send(self.report())),
            }
        }
        if !scrapes.is_empty() {
            self.answer_scrapes(scrapes);
        }
    }

    fn answer_scrapes(&mut self, scrapes: Vec<Scrape>) {
        let started = Instant::now();
        let until = scrapes.iter().map(|scrape| scrape.until).min();
        self.collect(until.unwrap_or(started));
        let mut formats: Vec<(Format, Vec<Reply>)> = Vec::new();
        for Scrape { format, reply, .. } in scrapes {
            match formats.iter_mut().find(|(other, _)| *other == format) {
                Some((_, readers)) => readers.push(reply),
                None => formats.push((format, vec![reply])),
            }
        }
        for (format, readers) in formats {
            self.scrapes += readers.len() as u64;
            self.print(format, readers);
            self.scrape_time = started.elapsed();
        }
    }

    /// Swaps a package whole, between two scrapes.
    fn take(&mut self, change: Change) {
        match change {
            Change::Start(mut package) => {
                self.reloads += 1;
                self.left_out.remove(&package.file);
                match self.running.iter_mut().find(|running| running.file == package.file) {
                    Some(place) => {
                        package.succeed(place);
                        *place = *package;
                    }
                    None => self.running.push(*package),
                }
                self.running.sort_by(|one, other| one.file.cmp(&other.file));
            }
            Change::Exchange { described, done } => self.exchange(*described, &done),
            Change::Remove(file) => {
                self.reloads += 1;
                self.left_out.remove(&file);
                self.running.retain(|running| running.file != file);
            }
            Change::Refused { file, fault } => {
                self.reload_failures += 1;
                match self.running.iter_mut().find(|running| running.file == file) {
                    Some(running) => running.is_current = false,
                    None => drop(self.left_out.insert(file, fault)),
                }
            }
            Change::Current(file) => {
                if let Some(running) = self.running.iter_mut().find(|running| running.file == file) {
                    running.is_current = true;
                }
            }
        }
    }

    fn exchange(&mut self, described: package::Described, done: &std_mpsc::Sender<bool>) {
        let file = described.package.file.clone();
        let Some(running) = self.running.iter_mut().find(|running| running.file == file) else {
            let _ = done.send(false);
            return;
        };
        let result = running.exchange(described, &self.types);
        match &result {
            Ok(()) => {
                self.reloads += 1;
                info!(package = running.name, "component exchanged; programs, maps and counts stay");
            }
            Err(fault) => {
                self.reload_failures += 1;
                running.is_current = false;
                error!(file = %file.display(), "package not exchanged, the version before goes on: {fault}");
            }
        }
        // The loader may have ended, when the host is about to.
        let _ = done.send(result.is_ok());
    }

    /// Brings the series up to what the kernel counts now.
    fn collect(&mut self, until: Instant) {
        self.collections += 1;
        self.clock.start();
        let started = Instant::now();
        let changed = self.lookups.refresh();
        self.clock.lap(Stage::Lookup);
        for package in &mut self.running {
            package.observe(&changed, until, &mut self.clock);
        }
        // What is counted is safe; what the guests may take of the rest is shared out, so that none makes a scrape late.
        let guests_until = Instant::now() + until.saturating_duration_since(Instant::now()) / limits::GUEST_SHARE;
        let mut left = self.running.len() as u32;
        for package in &mut self.running {
            let share = guests_until.saturating_duration_since(Instant::now()) / left;
            let guest_time = share.min(limits::GUEST_TIME_PER_SCRAPE);
            package.label(&mut self.lookups, guest_time, guests_until, &mut self.clock);
            left -= 1;
        }
        self.forget_names();
        self.clock.lap(Stage::Lookup);
        self.collect_time = started.elapsed();
    }

    /// Lets go of names that no identity asks for any more, when there are twice as many as there were.
    fn forget_names(&mut self) {
        if self.lookups.len() < (2 * self.kept_names).max(limits::LOOKUP_NAMES_KEPT) {
            return;
        }
        let asked = self.running.iter_mut().flat_map(Running::questions).collect::<HashSet<_>>();
        self.lookups.retain(|question| asked.contains(question));
        self.kept_names = self.lookups.len();
    }

    /// Prints for all who asked for this format.
    fn print(&mut self, format: Format, readers: Vec<Reply>) {
        self.clock.start();
        let mut chunks = self.chunks.begin(readers);
        let report = self.report();
        let own = self.own.openmetrics(report);
        let printed = match format {
            Format::Protobuf => self.encode(&own, &mut chunks),
            Format::Text004 => self.write(Syntax::Text004, &text_from_openmetrics(&own), &mut chunks),
            Format::OpenMetrics100 | Format::OpenMetrics001 => {
                self.write(Syntax::OpenMetrics, own.trim_end_matches("# EOF\n"), &mut chunks)
            }
        };
        // What follows wakes the connections.
        self.clock.lap(Stage::Print);
        match printed {
            Ok(()) => self.exposition_bytes = chunks.finish(),
            Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => debug!("nobody waits for the answer any more"),
            Err(fault) => error!("printing into memory failed: {fault}"),
        }
    }

    /// The packages' families, then the host's own, as text.
    fn write(&self, syntax: Syntax, own: &str, out: &mut dyn io::Write) -> io::Result<()> {
        let mut writer = Writer::new(Style { syntax, integers: Integers::Exact, created: self.created }, out);
        self.tables().try_for_each(|(dialect, table)| {
            writer.set_integers(match dialect {
                Dialect::Own => Integers::Exact,
                Dialect::Peer => Integers::AsGoFloat,
            });
            writer.table(dialect.namespace(&self.namespace), table)
        })?;
        writer.verbatim(own.as_bytes())?;
        writer.finish()
    }

    /// The same as protobuf.
    fn encode(&self, own: &str, out: &mut dyn io::Write) -> io::Result<()> {
        let mut messages = Messages::new(out);
        let namespace = |dialect: Dialect| dialect.namespace(&self.namespace);
        self.tables().try_for_each(|(dialect, table)| messages.table(namespace(dialect), table))?;
        messages.openmetrics(own)
    }

    fn tables(&self) -> impl Iterator<Item = (Dialect, &Table)> {
        self.running.iter().filter_map(|running| Some((running.dialect, running.ready_table()?)))
    }

    fn report(&self) -> Report {
        let left_out = self.left_out.iter().map(|(file, fault)| PackageReport {
            name: folder_name(file),
            is_drop_in: !file.ends_with("plugin.yaml"),
            fault: fault.clone(),
            ..PackageReport::default()
        });
        Report {
            version: telemetry::build::VERSION,
            packages: self.running.iter().map(Running::report).chain(left_out).collect(),
            scrapes: self.scrapes,
            collections: self.collections,
            stages: self.clock.spent(),
            collect_seconds: self.collect_time.as_secs_f64(),
            scrape_seconds: self.scrape_time.as_secs_f64(),
            exposition_bytes: self.exposition_bytes,
            lookup_names: self.lookups.len() as u64,
            dropped_log_lines: dropped_log_lines(),
            reloads: self.reloads,
            reload_failures: self.reload_failures,
            decode_bounds: &DECODE_BOUNDS,
            states: State::ALL.map(State::name).to_vec(),
            process: Process::now(),
        }
    }
}
