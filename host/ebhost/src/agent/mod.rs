//! The program: kernel → snapshot → plugin → series → exposition → server.
//!
//! This file names the stages in their order; each of them knows only those before it. The agent lives in one thread of
//! its own, which owns every package and answers scrapes one after the other, so nothing here is locked. `package` takes one package
//! through the stages, `print` is the last of them for all, and `change` swaps packages between two scrapes.

mod builtin;
mod change;
mod chunks;
mod label;
mod loader;
mod names;
mod notice;
mod options;
mod package;
mod print;
mod report;
mod single;
mod watch;

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, PipeReader},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    select,
    sync::{mpsc, oneshot, watch as watching},
};
use tracing::info;

use crate::build_info;
use crate::systemd;
use chunks::Chunks;
use ebhost_confine as privileges;
use ebhost_kernel as kernel;
use ebhost_kernel::{KernelTypes, StatisticsOn};
use ebhost_limits as limits;
use ebhost_lookup::{Lookups, Roots};
use ebhost_metrics::{Created, Format};
use ebhost_package::{FolderError, Trust, TrustError};
use ebhost_plugin_host::{ComponentError, Engine};
use ebhost_server as server;
use ebhost_server::{Ask, Reply, Scrape, ServerError};
use ebhost_telemetry::{OwnMetrics, Stage, StageClock};
use loader::{Change, Loader};
pub use names::Names;
pub use options::{OnFault, Options, Reload, Statistics};
use package::Running;
pub use single::{Offline, OfflineError, Single, SingleError, clash};

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
        version: build_info::LINE.to_owned(),
        web_config: options.web_config.clone(),
        ready: is_ready,
    };
    let watchdog = systemd::watchdog_interval().map(|interval| tokio::spawn(watch_over(interval, asks.clone())));
    let server = tokio::spawn(server::serve(listeners, asks, served, stop.clone()));
    let (path, keep, (loaded, outcome)) = (options.telemetry_path.clone(), options.keep, oneshot::channel());
    let runtime = Handle::current();
    let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || {
        match Agent::load(&options)
            .and_then(|(agent, loader)| Ok((agent, change::watch(loader, &options, reload_asked)?)))
        {
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
        let mut loader = Loader::new(options.places.clone(), names, engine, types, trust);
        let (running, left_out) = loader.start()?;
        if options.faults == OnFault::EndStart && !left_out.is_empty() {
            return Err(AgentError::Strict { left_out: left_out.len(), all: running.len() + left_out.len() });
        }
        let agent = Self {
            namespace: options.namespace.clone(),
            created: options.created,
            running,
            left_out,
            reloads: 0,
            reload_failures: 0,
            _statistics: statistics,
            lookups: Lookups::new(&Roots::default()),
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
        self.clock.lap(Stage::Lookup);
    }
}
