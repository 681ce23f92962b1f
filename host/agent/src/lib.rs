//! The agent: takes every package through the stages, from the kernel's maps to families that a sink can read.
//!
//! kernel → snapshot → plugin → series → families. This file names the stages in their order; each of them knows only those before
//! it. The agent lives in a thread of its own, which owns every package and serves one request after the other, so that nothing
//! here is locked. `package` takes one package through the stages, `visit` shows the families of all to whoever asked, and `reload`
//! swaps packages between two collections.
//!
//! Sinks ask through an [`ebhost_handle::Handle`]. The agent knows no sink, no format and no protocol.

#![forbid(unsafe_code)]

mod budget;
mod builtin;
mod label;
mod options;
mod package;
mod refusals;
mod reload;
mod report;
mod requests;
mod run_statistics;
mod single;
mod visit;

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    runtime, select,
    sync::{mpsc, oneshot},
    time::sleep_until,
};
use tracing::{error, info, warn};

use budget::KernelBudgets;
use ebhost_confine::{ALL, EndProcess, READING, Thread};
use ebhost_handle::{AgentRequest, FamilyDescription, FamilyVisitor, Handle, Requests, Span, SpanReply};
use ebhost_kernel::KernelContext;
use ebhost_limits as limits;
use ebhost_lookup::Lookups;
use ebhost_package::{FolderError, Trust, TrustError};
use ebhost_plugin_host::{ComponentError, Engine};
use ebhost_telemetry::{BuildInfo, History, OwnMetrics, Stage, StageClock};
pub use options::{OnFault, Options, Reload, SpanReceiver, Statistics};
pub use package::DescribeError;
use package::Running;
pub use reload::{MetricNameRegistry, PackageNames};
use reload::{RefusalCause, RefusedPackage, Reloader, Transaction};
use requests::BudgetReporter;
pub use requests::{ReloadRequester, ReloadRequests, reload_requests};
use run_statistics::RunStatistics;
pub use single::{Offline, Single, SingleError, SourceContents, check_conflicts};

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Engine(#[from] ComponentError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("{left_out} of {all} packages failed to load, and --strict is given")]
    Strict { left_out: usize, all: usize },
    #[error("the configuration is not good: {left_out} of {all} packages failed to load")]
    Check { left_out: usize, all: usize },
    #[error("the configuration is not good: none of the programs of {} can be attached", packages.join(", "))]
    NothingAttached { packages: Vec<String> },
    #[error("the compiler's process cannot be started: {0}")]
    Compiler(io::Error),
    #[error("the thread that loads the packages ended by a panic")]
    Panic,
    #[error("ebhost cannot be set up: {0}")]
    Setup(io::Error),
    #[error("capabilities cannot be dropped: {0}")]
    Capabilities(io::Error),
}

/// All packages, from the kernel's maps to the series.
struct Agent {
    build: BuildInfo,
    namespace: String,
    running: Vec<Running>,
    /// Packages of which the version in their files does not run, by file.
    refused: BTreeMap<PathBuf, RefusedPackage>,
    reloads: u64,
    reload_failures: u64,
    run_statistics: RunStatistics,
    budgets: KernelBudgets,
    budget_reporter: Option<BudgetReporter>,
    lookups: Lookups,
    kept_names: usize,
    own: OwnMetrics,
    scrapes: u64,
    collections: u64,
    collect_time: Duration,
    scrape_time: Duration,
    clock: StageClock,
    exposition_bytes: u64,
    /// When the maps were last read.
    collected_at: Option<SystemTime>,
    /// Reports of the last minutes.
    history: History,
    return_free_memory: fn(),
    /// Collections after which free memory is still to be returned.
    returns_due: u32,
}

/// Collections after an exchange of packages after which free memory is returned: the first ones still use buffers as large as those of
/// before.
const MEMORY_RETURNS: u32 = 4;

/// An agent whose packages are being loaded.
pub struct LoadingAgent {
    thread: Thread,
    loaded: oneshot::Receiver<Result<(Agent, Reloader, Options), AgentError>>,
    requests: Requests,
    reloads: ReloadRequests,
}

/// The agent's thread.
pub struct AgentThread {
    stop: oneshot::Sender<()>,
    thread: Thread,
}

/// Begins to load every package, in a thread that has every capability of the process. Requests through the handle wait meanwhile.
///
/// # Errors
/// [`AgentError::Setup`] if the thread cannot be started. Whether the packages were loaded is the result of [`LoadingAgent::loaded`].
pub fn start(options: Options, reloads: ReloadRequests) -> Result<(Handle, LoadingAgent), AgentError> {
    let (handle, requests) = ebhost_handle::channel();
    let (outcome, loaded) = oneshot::channel();
    let load = move || _ = outcome.send(Agent::load(&options).map(|(agent, reloader)| (agent, reloader, options)));
    let thread = ebhost_confine::spawn("load", ALL, EndProcess, load).map_err(AgentError::Setup)?;
    Ok((handle, LoadingAgent { thread, loaded, requests, reloads }))
}

impl LoadingAgent {
    /// Waits until every package is attached or left out, and hands them over to the threads that run: the loader, and the agent,
    /// which serves requests. Each has only the capabilities that its work needs. Call it within an async runtime.
    ///
    /// # Errors
    /// The reason why the host cannot start.
    pub async fn loaded(self) -> Result<AgentThread, AgentError> {
        let (mut agent, reloader, options) = self.loaded.await.unwrap_or(Err(AgentError::Panic))?;
        // It has nothing left to do. No scrape must find a thread that is gone in the next one, nor run beside one with every capability.
        self.thread.join();
        let mut reloads = self.reloads;
        agent.budget_reporter = reloads.budget_reporter();
        self.requests.set_running_packages(agent.running.len());
        self.requests.set_span_sources(agent.span_sources());
        let changes = reloader.spawn(&options, reloads)?;
        let (runtime, requests) = (runtime::Handle::current(), self.requests);
        let (stop, stopped) = oneshot::channel();
        let serve = move || runtime.block_on(agent.serve(requests, changes, stopped));
        let capabilities = READING | options.keep.0;
        let thread = ebhost_confine::spawn("agent", capabilities, EndProcess, serve).map_err(AgentError::Setup)?;
        Ok(AgentThread { stop, thread })
    }
}

impl AgentThread {
    /// Stops the agent after the request that it is serving, and waits for its end, which detaches every program. Requests that
    /// wait are dropped.
    pub fn stop(self) {
        let _ = self.stop.send(()); // it may have ended already
        self.thread.join();
    }
}

/// Loads and attaches every package and unloads them again: whether a start would serve all of them.
///
/// # Errors
/// The reason why the host cannot start, or that a package is left out, or that a package has programs and none of them is attached.
pub fn check(options: &Options) -> Result<(), AgentError> {
    let (agent, _) = Agent::load(options)?;
    let (left_out, running) = (agent.refused.len(), agent.running.len());
    if left_out > 0 {
        return Err(AgentError::Check { left_out, all: running + left_out });
    }
    let packages: Vec<_> =
        agent.running.iter().filter(|package| package.attaches_nothing()).map(|package| package.name.clone()).collect();
    if !packages.is_empty() {
        return Err(AgentError::NothingAttached { packages });
    }
    info!(packages = running, "the configuration is good");
    Ok(())
}

impl Agent {
    fn load(options: &Options) -> Result<(Self, Reloader), AgentError> {
        let run_statistics = RunStatistics::new(options.statistics);
        let engine = Engine::new(options.cache.as_deref(), options.compiler.clone())?;
        let trust = options.pins.as_ref().map(|(file, require)| Trust::read(file, *require)).transpose()?;
        let types = Arc::new(KernelContext::keeping(options.keep.0));
        // Before any program counts, so that every cgroup that is created from then on has a name.
        let mut lookups = Lookups::new(&options.roots);
        lookups.open_privileged();
        let mut reloader = Reloader::new(options, engine, types.clone(), trust);
        let packages = reloader.start()?;
        types.end_start();
        let mut agent = Self {
            build: options.build,
            namespace: options.namespace.clone(),
            running: Vec::new(),
            refused: BTreeMap::new(),
            reloads: 0,
            reload_failures: 0,
            run_statistics,
            budgets: KernelBudgets::new(options.statistics_process.clone()),
            budget_reporter: None,
            lookups,
            kept_names: 0,
            own: OwnMetrics::new(),
            scrapes: 0,
            collections: 0,
            collect_time: Duration::ZERO,
            scrape_time: Duration::ZERO,
            clock: StageClock::default(),
            exposition_bytes: 0,
            collected_at: None,
            history: History::default(),
            return_free_memory: options.return_free_memory,
            returns_due: 0,
        };
        agent.apply(packages);
        // Packages that were loaded at the start were not reloaded.
        (agent.reloads, agent.reload_failures) = (0, 0);
        if options.faults == OnFault::EndStart && !agent.refused.is_empty() {
            let (left_out, running) = (agent.refused.len(), agent.running.len());
            return Err(AgentError::Strict { left_out, all: running + left_out });
        }
        Ok((agent, reloader))
    }

    /// Serves requests, and applies changes in between, until it is told to stop.
    async fn serve(
        mut self,
        mut requests: Requests,
        mut changes: mpsc::Receiver<Transaction>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        self.history.note(Instant::now(), &self.report());
        let mut batch = Vec::new();
        loop {
            select! {
                biased;
                _ = &mut stopped => return,
                Some(transaction) = changes.recv() => {
                    self.apply(transaction);
                    self.budgets.measure_soon();
                    self.returns_due = MEMORY_RETURNS;
                    requests.set_running_packages(self.running.len());
                    requests.set_span_sources(self.span_sources());
                }
                () = sleep_until(self.budgets.next().into()) => self.measure_programs(),
                is_open = requests.receive(&mut batch) => {
                    if !is_open {
                        return;
                    }
                    self.answer(&mut batch);
                    self.return_memory();
                }
            }
        }
    }

    /// Returns the memory of packages that were exchanged, for which no client waits.
    fn return_memory(&mut self) {
        if self.returns_due > 0 {
            self.returns_due -= 1;
            (self.return_free_memory)();
        }
    }

    /// Drops instances that were not needed for a while: a steady scrape enters no guest.
    fn rest_guests(&mut self, now: Instant) {
        let dropped = self.running.iter_mut().filter_map(|package| package.rest(now).then_some(())).count();
        if dropped > 0 {
            (self.return_free_memory)();
        }
    }

    /// Measures what BPF programs cost, and detaches packages that were above their budget for too long: their series end, because a counter
    /// that stands still would be wrong.
    fn measure_programs(&mut self) {
        let detached = self.budgets.step(&self.running, self.run_statistics.are_on());
        if self.budgets.is_between_windows() {
            self.running.iter_mut().for_each(Running::look_at_memory);
            self.rest_guests(Instant::now());
        }
        for package in detached {
            error!(package = package.name, "package detached: {}", package.reason);
            self.running.retain(|running| running.file != package.file);
            let (name, reason) = (Some(package.name.clone()), package.reason.clone());
            let refused = RefusedPackage { name, reason, since: SystemTime::now(), cause: RefusalCause::OverBudget };
            self.refused.insert(package.file.clone(), refused);
            self.budget_reporter.iter_mut().for_each(|reporter| reporter.report(package.clone()));
        }
    }

    /// Answers every request that waits. A requester that went away needs no answer.
    fn answer(&mut self, batch: &mut Vec<AgentRequest>) {
        let (mut visitors, mut span_replies) = (Vec::new(), Vec::new());
        for request in batch.drain(..) {
            match request {
                AgentRequest::Collect(visitor) => visitors.push(visitor),
                AgentRequest::Families(reply) => {
                    self.own.update(self.report());
                    drop(reply.send(self.families().families().map(FamilyDescription::from).collect()));
                }
                AgentRequest::Status(reply) => drop(reply.send(self.status())),
                AgentRequest::Spans(reply) => span_replies.push(reply),
            }
        }
        self.collect_for(visitors);
        span_replies.into_iter().for_each(|reply| self.reply_with_spans(&reply));
    }

    /// The number of buffers that are read for spans.
    fn span_sources(&self) -> usize {
        self.running.iter().map(Running::span_sources).sum()
    }

    /// Turns events into spans. Each package gets an equal part of the time that those before it left.
    fn reply_with_spans(&mut self, reply: &SpanReply) {
        let end = Instant::now() + limits::SPAN_TIME;
        let mut left = self.running.iter().filter(|package| package.span_sources() > 0).count() as u32;
        let mut spans: Vec<Span> = Vec::new();
        for package in self.running.iter_mut().filter(|package| package.span_sources() > 0) {
            let now = Instant::now();
            let until = now + end.saturating_duration_since(now) / left;
            package.take_spans(&mut self.lookups, until, &mut spans);
            left -= 1;
        }
        let _ = reply.send(spans); // the sink may have given up
    }

    /// Reads the kernel once for all visitors that wait.
    fn collect_for(&mut self, visitors: Vec<Box<dyn FamilyVisitor>>) {
        let started = Instant::now();
        let begin = |mut visitor: Box<dyn FamilyVisitor>| visitor.begin().map(|demand| (visitor, demand));
        let waiting: Vec<_> = visitors.into_iter().filter_map(begin).collect();
        // The most patient visitor decides: one that is impatient must not empty the answers of the others.
        let Some(until) = waiting.iter().map(|(_, demand)| demand.deadline).max() else { return };
        let first = waiting.iter().map(|(_, demand)| demand.first_deadline).min().unwrap_or(until);
        self.collect(until, first);
        for (visitor, demand) in waiting {
            self.scrapes += demand.scrapes;
            self.visit(visitor);
            self.scrape_time = started.elapsed();
        }
    }

    /// Brings the series up to date with the kernel; what cannot be read until `until` is left out. Guests label until the least patient
    /// client gives up, at `first_deadline`, unless reading alone took longer.
    fn collect(&mut self, until: Instant, first_deadline: Instant) {
        self.collections += 1;
        self.clock.start();
        let started = Instant::now();
        let changes = self.lookups.refresh();
        self.clock.lap(Stage::Lookup);
        // The fastest first: a package that takes all of the time makes only slower ones late.
        let mut fastest_first: Vec<_> = self.running.iter_mut().collect();
        fastest_first.sort_by_key(|package| package.observe_time());
        for package in fastest_first {
            package.observe(&changes.renamed, until, &mut self.clock);
        }
        // Every map is read. The guests share a part of the time that is left, so that none makes a collection late.
        let now = Instant::now();
        let end = if first_deadline > now { first_deadline } else { until };
        let guests_until = now + end.saturating_duration_since(now) / limits::GUEST_SHARE;
        let mut left = self.running.len() as u32;
        for package in &mut self.running {
            let share = guests_until.saturating_duration_since(Instant::now()) / left;
            let guest_time = share.min(limits::GUEST_TIME_PER_SCRAPE);
            package.label(&mut self.lookups, guest_time, guests_until, &mut self.clock);
            package.delete_departed(&self.lookups, &changes.departed);
            left -= 1;
        }
        self.warn_of_missing_names();
        self.forget_names();
        self.collected_at = Some(SystemTime::now());
        self.collect_time = started.elapsed();
    }

    fn warn_of_missing_names(&mut self) {
        for line in self.lookups.warnings() {
            warn!("{line}");
        }
    }

    /// Drops the names that no identity needs any more, once there are twice as many as after the last time, or no room is left.
    fn forget_names(&mut self) {
        if self.lookups.len() < (2 * self.kept_names).max(limits::LOOKUP_NAMES_KEPT) && !self.lookups.is_full() {
            return;
        }
        let asked = self.running.iter().flat_map(Running::questions).collect::<HashSet<_>>();
        self.lookups.retain(|question| asked.contains(question));
        self.kept_names = self.lookups.len();
        self.clock.lap(Stage::Lookup);
    }
}
