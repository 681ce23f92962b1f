//! The program: kernel → snapshot → plugin → series → exposition → server.
//!
//! This file names the stages in their order; each of them knows only those before it. The agent lives in one thread of
//! its own, which owns every package and answers scrapes one after the other, so nothing here is locked.

mod label;
mod package;
mod single;

use std::{
    collections::{BTreeMap, HashSet},
    io,
    net::SocketAddr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use crate::{
    exposition::{Format, Integers, Style, Syntax, Writer},
    kernel::KernelTypes,
    limits,
    lookup::{Lookups, Roots},
    package::{FolderError, Package, discover},
    plugin::{ComponentError, Engine},
    server::{self, Scrape, ServerError},
    telemetry::{OwnMetrics, PackageReport, Report, Stage, StageClock, text_from_openmetrics},
};
use package::Running;
pub use single::{Offline, OfflineError, Single, SingleError, clash};

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
    #[error("{left_out} of {all} packages failed to load, and --strict is given")]
    Strict { left_out: usize, all: usize },
    #[error("the agent's thread cannot be started: {0}")]
    Thread(io::Error),
}

/// All packages, from the kernel's maps to the series.
struct Agent {
    namespace: String,
    running: Vec<Running>,
    left_out: Vec<String>,
    lookups: Lookups,
    kept_names: usize,
    own: OwnMetrics,
    scrapes: u64,
    collect_time: Duration,
    clock: StageClock,
    exposition_bytes: u64,
}

/// Loads every package and serves until `stop` changes.
pub async fn run(options: Options, stop: watch::Receiver<()>) -> Result<(), AgentError> {
    let listeners = server::bind(&options.listen_addresses).await?;
    let agent = Agent::load(&options)?;
    let (scrapes, waiting) = mpsc::channel(limits::WAITING_SCRAPES);
    let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || agent.answer(waiting));
    let thread = thread.map_err(AgentError::Thread)?;
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            info!(%address, path = options.telemetry_path, "listening");
        }
    }
    let options =
        server::Options { telemetry_path: options.telemetry_path, version: env!("CARGO_PKG_VERSION").to_owned() };
    let served = server::serve(listeners, scrapes, options, stop).await;
    // The queue is closed now; the thread ends with what it holds, which detaches the programs.
    if thread.join().is_err() {
        error!("the agent's thread ended by a panic");
    }
    Ok(served?)
}

impl Agent {
    fn load(options: &Options) -> Result<Self, AgentError> {
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
                    left_out.push(package::folder_name(file));
                }
            }
        }
        if options.faults == OnFault::EndStart && !left_out.is_empty() {
            return Err(AgentError::Strict { left_out: left_out.len(), all: files.len() });
        }
        Ok(Self {
            namespace: options.namespace.clone(),
            running,
            left_out,
            lookups: Lookups::new(Roots::default()),
            kept_names: 0,
            own: OwnMetrics::new(),
            scrapes: 0,
            collect_time: Duration::ZERO,
            clock: StageClock::default(),
            exposition_bytes: 0,
        })
    }

    /// Answers scrapes until nobody can ask any more. Those that wait when one begins share its read of the kernel.
    fn answer(mut self, mut waiting: mpsc::Receiver<Scrape>) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, limits::WAITING_SCRAPES) > 0 {
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
            self.left_out.iter().map(|name| PackageReport { name: name.clone(), ..PackageReport::default() });
        Report {
            version: env!("CARGO_PKG_VERSION"),
            packages: self.running.iter().map(Running::report).chain(left_out).collect(),
            scrapes: self.scrapes,
            stages: self.clock.spent(),
            collect_seconds: self.collect_time.as_secs_f64(),
            exposition_bytes: self.exposition_bytes,
            lookup_names: self.lookups.len() as u64,
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
