//! The program: kernel → snapshot → plugin → series → exposition → server.
//!
//! This file names the stages in their order; each of them knows only those before it. The agent lives in one thread of
//! its own, which owns every package and answers scrapes one after the other, so nothing here is locked.

mod label;
mod package;

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

use crate::{
    exposition::{Created, Format, Integers, Messages, Style, Syntax, Writer},
    kernel::{self, KernelTypes, StatisticsOn},
    limits,
    lookup::{Lookups, Roots},
    package::{FolderError, Package, discover},
    plugin::{ComponentError, Engine},
    series::Table,
    server::{self, Address, Ask, Scrape, ServerError, WebConfigFile},
    systemd,
    telemetry::{self, OwnMetrics, PackageReport, Process, Report, Stage, StageClock, text_from_openmetrics},
};
use package::Running;

/// What the agent is told to do.
#[derive(Clone)]
pub struct Options {
    pub plugins: PathBuf,
    pub namespace: String,
    pub faults: OnFault,
    pub listen_addresses: Vec<Address>,
    pub web_config: Arc<WebConfigFile>,
    pub statistics: Statistics,
    pub created: Created,
    pub telemetry_path: String,
    /// Folder for compiled components; none: they are compiled at each start.
    pub cache: Option<PathBuf>,
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
    #[error("{left_out} of {all} packages failed to load, and --strict is given")]
    Strict { left_out: usize, all: usize },
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
    left_out: Vec<LeftOut>,
    /// Off again when it is dropped.
    _statistics: Option<StatisticsOn>,
    lookups: Lookups,
    kept_names: usize,
    own: OwnMetrics,
    scrapes: u64,
    collect_time: Duration,
    scrape_time: Duration,
    clock: StageClock,
    exposition_bytes: u64,
}

/// A package that does not run, and why.
#[derive(Debug)]
struct LeftOut {
    name: String,
    fault: String,
}

/// Loads every package and serves until `stop` changes. It listens from the start, and is ready once all are attached.
pub async fn run(options: Options, stop: watch::Receiver<()>) -> Result<(), AgentError> {
    let listeners = server::bind(&options.listen_addresses).await?;
    let addresses: Vec<_> = listeners.iter().map(server::Listener::address).collect();
    let (asks, waiting) = mpsc::channel(limits::WAITING_SCRAPES);
    let (ready, is_ready) = watch::channel(false);
    let served = server::Options {
        telemetry_path: options.telemetry_path.clone(),
        version: telemetry::build::LINE.to_owned(),
        web_config: options.web_config.clone(),
        ready: is_ready,
    };
    let watchdog = systemd::watchdog_interval().map(|interval| tokio::spawn(watch_over(interval, asks.clone())));
    let server = tokio::spawn(server::serve(listeners, asks, served, stop.clone()));
    let (path, (loaded, outcome)) = (options.telemetry_path.clone(), oneshot::channel());
    let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || match Agent::load(&options) {
        Ok(agent) => {
            let _ = loaded.send(Ok(()));
            agent.answer(waiting);
        }
        Err(fault) => {
            let _ = loaded.send(Err(fault));
        }
    });
    let thread = thread.map_err(AgentError::Thread)?;
    outcome.await.unwrap_or(Err(AgentError::Panic))?;
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

/// Loads and attaches every package, and lets go of them again: whether a start would go well.
pub fn check(options: &Options) -> Result<(), AgentError> {
    Agent::load(options).map(|agent| info!(packages = agent.running.len(), "the configuration is good"))
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
    fn load(options: &Options) -> Result<Self, AgentError> {
        let statistics = match options.statistics {
            Statistics::On => Some(kernel::switch_on_statistics().map_err(AgentError::Statistics)?),
            Statistics::AsTheyAre => None,
        };
        let files = discover(&options.plugins)?;
        let engine = Engine::new(options.cache.as_deref())?;
        let types = KernelTypes::new();
        let mut running: Vec<Running> = Vec::new();
        let mut left_out = Vec::new();
        let mut taken = BTreeMap::new();
        for file in &files {
            let started = Instant::now();
            let loaded = Package::read(file)
                .map_err(package::RunError::from)
                .and_then(|package| Running::load(package, &engine, &types, &mut taken));
            match loaded {
                Ok(package) => {
                    package.announce(started.elapsed());
                    running.push(package);
                }
                Err(fault) => {
                    error!(file = %file.display(), "package left out: {fault}");
                    left_out.push(LeftOut { name: package::folder_name(file), fault: fault.to_string() });
                }
            }
        }
        if options.faults == OnFault::EndStart && !left_out.is_empty() {
            return Err(AgentError::Strict { left_out: left_out.len(), all: files.len() });
        }
        Ok(Self {
            namespace: options.namespace.clone(),
            created: options.created,
            running,
            left_out,
            _statistics: statistics,
            lookups: Lookups::new(Roots::default()),
            kept_names: 0,
            own: OwnMetrics::new(),
            scrapes: 0,
            collect_time: Duration::ZERO,
            scrape_time: Duration::ZERO,
            clock: StageClock::default(),
            exposition_bytes: 0,
        })
    }

    /// Answers until nobody can ask any more. Scrapes that wait when one begins share its read of the kernel.
    fn answer(mut self, mut waiting: mpsc::Receiver<Ask>) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, limits::WAITING_SCRAPES) > 0 {
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
    }

    fn answer_scrapes(&mut self, scrapes: Vec<Scrape>) {
        let started = Instant::now();
        let until = scrapes.iter().map(|scrape| scrape.until).min();
        self.collect(until.unwrap_or(started));
        let mut printed: Vec<(Format, Vec<Bytes>)> = Vec::new();
        for scrape in scrapes {
            self.scrapes += 1;
            let chunks = match printed.iter().find(|(format, _)| *format == scrape.format) {
                Some((_, chunks)) => chunks.clone(),
                None => {
                    let chunks = self.print(scrape.format);
                    self.scrape_time = started.elapsed();
                    printed.push((scrape.format, chunks.clone()));
                    chunks
                }
            };
            let _ = scrape.reply.send(chunks);
        }
    }

    /// Brings the series up to what the kernel counts now.
    fn collect(&mut self, until: Instant) {
        self.clock.start();
        let started = Instant::now();
        let changed = self.lookups.refresh();
        self.clock.lap(Stage::Lookup);
        for package in &mut self.running {
            package.collect(&mut self.lookups, &changed, until, &mut self.clock);
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

    fn print(&mut self, format: Format) -> Vec<Bytes> {
        self.clock.start();
        let mut chunks = Chunks::default();
        let own = self.own.openmetrics(self.report());
        let printed = match format {
            Format::Protobuf => self.encode(&own, &mut chunks),
            Format::Text004 => self.write(Syntax::Text004, &text_from_openmetrics(&own), &mut chunks),
            Format::OpenMetrics100 | Format::OpenMetrics001 => {
                self.write(Syntax::OpenMetrics, own.trim_end_matches("# EOF\n"), &mut chunks)
            }
        };
        if let Err(fault) = printed {
            error!("printing into memory failed: {fault}");
        }
        self.clock.lap(Stage::Print);
        self.exposition_bytes = chunks.0.iter().map(|chunk| chunk.len() as u64).sum();
        chunks.0
    }

    /// The plugins' families, then the host's own, as text.
    fn write(&self, syntax: Syntax, own: &str, out: &mut dyn io::Write) -> io::Result<()> {
        let mut writer = Writer::new(Style { syntax, integers: Integers::Exact, created: self.created }, out);
        self.tables().try_for_each(|table| writer.table(&self.namespace, table))?;
        writer.verbatim(own.as_bytes())?;
        writer.finish()
    }

    /// The same as protobuf.
    fn encode(&self, own: &str, out: &mut dyn io::Write) -> io::Result<()> {
        let mut messages = Messages::new(out);
        self.tables().try_for_each(|table| messages.table(&self.namespace, table))?;
        messages.openmetrics(own)
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.running.iter().filter_map(Running::ready_table)
    }

    fn report(&self) -> Report {
        let left_out = self.left_out.iter().map(|LeftOut { name, fault }| PackageReport {
            name: name.clone(),
            fault: fault.clone(),
            ..PackageReport::default()
        });
        Report {
            version: telemetry::build::VERSION,
            packages: self.running.iter().map(Running::report).chain(left_out).collect(),
            scrapes: self.scrapes,
            stages: self.clock.spent(),
            collect_seconds: self.collect_time.as_secs_f64(),
            scrape_seconds: self.scrape_time.as_secs_f64(),
            exposition_bytes: self.exposition_bytes,
            lookup_names: self.lookups.len() as u64,
            process: Process::now(),
        }
    }
}

/// The answer's parts, as the writer hands them out.
#[derive(Debug, Default)]
struct Chunks(Vec<Bytes>);

impl io::Write for Chunks {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        self.0.push(Bytes::copy_from_slice(chunk));
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
