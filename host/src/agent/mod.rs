//! The program: kernel → snapshot → plugin → series → exposition → server.
//!
//! This file names the stages in their order; each of them knows only those before it. The agent lives in one thread of
//! its own, which owns every package and answers scrapes one after the other, so nothing here is locked.

mod label;
mod loader;
mod names;
mod package;
mod watch;

use std::{
    collections::{BTreeSet, HashSet},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    select,
    sync::{mpsc, oneshot, watch as stopping},
};
use tracing::{error, info};

use crate::{
    exposition::{Format, Integers, Style, Syntax, Writer},
    kernel::KernelTypes,
    limits,
    lookup::{Lookups, Roots},
    package::{FolderError, Require, Trust, TrustError},
    plugin::{Compiler, ComponentError, DECODE_BOUNDS, Engine, State},
    privileges::{self, Keep},
    server::{self, Scrape, ServerError},
    telemetry::{OwnMetrics, PackageReport, Report, Stage, StageClock, dropped_log_lines, text_from_openmetrics},
};
use loader::{Change, Loader, Polling};
use package::{Running, folder_name};

/// What the agent is told to do.
#[derive(Debug, Clone)]
pub struct Options {
    pub plugins: PathBuf,
    pub namespace: String,
    pub faults: OnFault,
    pub listen_addresses: Vec<SocketAddr>,
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
    #[error("the agent's thread cannot be started: {0}")]
    Thread(io::Error),
}

/// All packages, from the kernel's maps to the series.
struct Agent {
    namespace: String,
    running: Vec<Running>,
    left_out: BTreeSet<PathBuf>,
    types: Arc<KernelTypes>,
    reloads: u64,
    reload_failures: u64,
    lookups: Lookups,
    kept_names: usize,
    own: OwnMetrics,
    scrapes: u64,
    collect_time: Duration,
    clock: StageClock,
    exposition_bytes: u64,
}

/// Loads every package and serves until `stop` changes. What comes on `reload_asked` has the plugin folder looked through.
pub async fn run(
    options: Options,
    stop: stopping::Receiver<()>,
    reload_asked: std_mpsc::Receiver<()>,
) -> Result<(), AgentError> {
    let listeners = server::bind(&options.listen_addresses).await?;
    let (agent, loader) = Agent::load(&options)?;
    let (scrapes, waiting) = mpsc::channel(limits::WAITING_SCRAPES);
    let (changes, to_change) = mpsc::channel(1);
    let (end, ended) = oneshot::channel::<()>();
    let (runtime, keep) = (Handle::current(), options.keep);
    let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || {
        privileges::keep_in_this_thread(privileges::READING | keep.0);
        runtime.block_on(agent.answer(waiting, to_change, ended));
    });
    let thread = thread.map_err(AgentError::Thread)?;
    watch(loader, options.reload, keep, reload_asked, changes)?;
    privileges::keep_in_this_thread(keep.0);
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            info!(%address, path = options.telemetry_path, "listening");
        }
    }
    let options =
        server::Options { telemetry_path: options.telemetry_path, version: env!("CARGO_PKG_VERSION").to_owned() };
    let served = server::serve(listeners, scrapes, options, stop).await;
    // A connection that never ends its request still holds the queue, so its end is not waited for. The thread ends with what it
    // holds, which detaches the programs.
    drop(end);
    if thread.join().is_err() {
        error!("the agent's thread ended by a panic");
    }
    Ok(served?)
}

/// Starts the thread that takes changes, which ends when the agent has.
fn watch(
    loader: Loader,
    reload: Reload,
    keep: Keep,
    asked: std_mpsc::Receiver<()>,
    changes: mpsc::Sender<Change>,
) -> Result<(), AgentError> {
    let polling = match reload {
        Reload::Watch => Polling::On,
        Reload::Signal => Polling::Off,
        Reload::Off => return Ok(()),
    };
    let thread = thread::Builder::new().name("loader".to_owned()).spawn(move || {
        privileges::keep_in_this_thread(privileges::LOADING | keep.0);
        loader.watch(polling, &asked, &changes);
    });
    thread.map(drop).map_err(AgentError::Thread)
}

impl Agent {
    fn load(options: &Options) -> Result<(Self, Loader), AgentError> {
        let engine = Engine::new(options.cache.as_deref(), options.compiler.clone())?;
        let trust = options.pins.as_ref().map(|(file, require)| Trust::read(file, *require)).transpose()?;
        let types = Arc::new(KernelTypes::new());
        let mut loader = Loader::new(&options.plugins, engine, types.clone(), trust);
        let (running, left_out) = loader.start()?;
        if options.faults == OnFault::EndStart && !left_out.is_empty() {
            return Err(AgentError::Strict { left_out: left_out.len(), all: running.len() + left_out.len() });
        }
        let agent = Self {
            namespace: options.namespace.clone(),
            running,
            left_out: left_out.into_iter().collect(),
            types,
            reloads: 0,
            reload_failures: 0,
            lookups: Lookups::new(Roots::default()),
            kept_names: 0,
            own: OwnMetrics::new(),
            scrapes: 0,
            collect_time: Duration::ZERO,
            clock: StageClock::default(),
            exposition_bytes: 0,
        };
        Ok((agent, loader))
    }

    /// Answers scrapes until nobody can ask any more, and takes changes between them.
    async fn answer(
        mut self,
        mut waiting: mpsc::Receiver<Scrape>,
        mut changes: mpsc::Receiver<Change>,
        mut ended: oneshot::Receiver<()>,
    ) {
        let mut batch = Vec::new();
        loop {
            select! {
                biased;
                Some(change) = changes.recv() => self.take(change),
                count = waiting.recv_many(&mut batch, limits::WAITING_SCRAPES) => {
                    if count == 0 {
                        return;
                    }
                    self.serve(&mut batch);
                }
                _ = &mut ended => return,
            }
        }
    }

    /// Those that wait when a collection begins share its read of the kernel.
    fn serve(&mut self, batch: &mut Vec<Scrape>) {
        let until = batch.iter().map(|scrape| scrape.until).min();
        self.collect(until.unwrap_or_else(Instant::now));
        let mut printed: Vec<(Format, Vec<Bytes>)> = Vec::new();
        for scrape in batch.drain(..) {
            self.scrapes += 1;
            let chunks = match printed.iter().find(|(format, _)| *format == scrape.format) {
                Some((_, chunks)) => chunks.clone(),
                None => {
                    let chunks = self.print(scrape.format);
                    printed.push((scrape.format, chunks.clone()));
                    chunks
                }
            };
            // A client that went away needs no answer.
            let _ = scrape.reply.send(chunks);
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
            Change::Refused(file) => {
                self.reload_failures += 1;
                match self.running.iter_mut().find(|running| running.file == file) {
                    Some(running) => running.is_current = false,
                    None => drop(self.left_out.insert(file)),
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
            let now = Instant::now();
            let share = guests_until.saturating_duration_since(now) / left;
            let until = now + share.min(limits::GUEST_TIME_PER_SCRAPE);
            package.label(&mut self.lookups, until, guests_until, &mut self.clock);
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

    fn print(&mut self, format: Format) -> Vec<Bytes> {
        self.clock.start();
        let mut chunks = Chunks::default();
        let style = Style { syntax: syntax(format), integers: Integers::Exact };
        let mut writer = Writer::new(style, &mut chunks);
        let printed = self
            .running
            .iter()
            .filter_map(Running::ready_table)
            .try_for_each(|table| writer.table(&self.namespace, table));
        let own = self.own.openmetrics(self.report());
        let own = match style.syntax {
            Syntax::Text004 => text_from_openmetrics(&own),
            Syntax::OpenMetrics => own.trim_end_matches("# EOF\n").to_owned(),
        };
        let finished = printed.and_then(|()| writer.verbatim(own.as_bytes())).and_then(|()| writer.finish());
        if let Err(fault) = finished {
            error!("printing into memory failed: {fault}");
        }
        self.clock.lap(Stage::Print);
        self.exposition_bytes = chunks.0.iter().map(|chunk| chunk.len() as u64).sum();
        chunks.0
    }

    fn report(&self) -> Report {
        let left_out =
            self.left_out.iter().map(|file| PackageReport { name: folder_name(file), ..PackageReport::default() });
        Report {
            version: env!("CARGO_PKG_VERSION"),
            packages: self.running.iter().map(Running::report).chain(left_out).collect(),
            scrapes: self.scrapes,
            stages: self.clock.spent(),
            collect_seconds: self.collect_time.as_secs_f64(),
            exposition_bytes: self.exposition_bytes,
            lookup_names: self.lookups.len() as u64,
            dropped_log_lines: dropped_log_lines(),
            reloads: self.reloads,
            reload_failures: self.reload_failures,
            decode_bounds: &DECODE_BOUNDS,
            states: State::ALL.map(State::name).to_vec(),
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

fn syntax(format: Format) -> Syntax {
    match format {
        Format::OpenMetrics100 | Format::OpenMetrics001 => Syntax::OpenMetrics,
        // The server does not offer protobuf, so nobody asks for it.
        Format::Text004 | Format::Protobuf => Syntax::Text004,
    }
}
