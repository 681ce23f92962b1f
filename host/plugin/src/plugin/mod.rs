//! One package's plugin over the lives of its instances.
//!
//! An instance that traps, exceeds a limit or returns rows of a wrong shape is dropped, and bisection finds the entries at fault
//! ([`Bisection`]). All of it is done within a budget of guest time per scrape: entries that are not labelled by then are asked about in
//! the next scrape, and lose nothing by waiting. A component that fails as a whole backs off ([`Health`]).

mod background_start;
mod guest_slot;
mod health;
mod limits_used;
mod pace;
mod recent;
mod start_policy;
mod tally;
mod warnings;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

pub use health::HealthState;
pub use pace::Pace;
pub use tally::{DECODE_BOUNDS, Tally};

use self::{guest_slot::GuestSlot, health::Health};
use crate::{
    clock,
    decode::{
        Answers, Bisection, BisectionHistory, ControlEntry, DecodeError, DecodeRequest, Part, Progress, SpanAnswer,
        SpanRequest, SpanSchema, Step, Verdict,
    },
    engine::CompiledComponent,
    guest::CallError,
    manifest::{self, ManifestContext, ManifestError},
};
use ebhost_limits as limits;
use ebhost_metrics::Kind;
use ebhost_package::PackageError;
use ebhost_series::schema::Schema;

/// A described component and, while it is healthy, an instance of it.
pub struct Plugin {
    name: String,
    schema: Arc<Schema>,
    spans: SpanSchema,
    guest: GuestSlot,
    health: Health,
    scrape: Scrape,
    history: BisectionHistory,
    /// The weight of the last scrapes in a row against the component although it answers: see [`limits::UNSTEADY_SCRAPES`].
    unsteadiness: u32,
    /// One entry that was answered, which tells a broken component from an entry at fault.
    control: Option<DecodeRequest>,
    last_failure: Option<Failure>,
}

/// A call that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Why.
    pub error: DecodeError,
    /// When.
    pub at: SystemTime,
}

/// The present scrape.
#[derive(Debug, Clone, Copy)]
struct Scrape {
    began: Instant,
    /// No instance is started that is not expected to be ready by then.
    restart_until: Instant,
}

/// The limits of a plugin that its package sets.
#[derive(Debug, Clone, Copy)]
pub struct PluginLimits {
    /// Bytes of linear memory of an instance (`limits.memory`).
    pub memory_bytes: u64,
    /// Time of one `decode` call (`limits.decode`).
    pub decode: Duration,
    /// Whether limits of time are enforced.
    pub pace: Pace,
}

/// Why a component is not a plugin of this host.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The component could not be started, or refuses its config.
    #[error("{path}: {error}", path = .path.display())]
    Describe {
        /// The component's file.
        path: PathBuf,
        /// The failure.
        #[source]
        error: CallError,
    },
    /// The manifest breaks a rule.
    #[error("{path}: {error}", path = .path.display())]
    Manifest {
        /// The component's file.
        path: PathBuf,
        /// The rule.
        #[source]
        error: ManifestError,
    },
    /// The built-in component refuses its config, at these lines of plugin.yaml.
    #[error(transparent)]
    Config(PackageError),
}

impl Plugin {
    /// Starts a component and checks the manifest that it returns for `config`, a JSON object.
    ///
    /// # Errors
    /// [`PluginError::Describe`] and [`PluginError::Manifest`].
    pub fn describe(
        name: &str,
        compiled: Arc<CompiledComponent>,
        config: &str,
        limits: PluginLimits,
        context: &ManifestContext<'_>,
    ) -> Result<Self, PluginError> {
        let path = compiled.path().to_owned();
        let guest = match GuestSlot::start(name, compiled, config, limits) {
            Ok(guest) => guest,
            Err(error) => return Err(PluginError::Describe { path, error }),
        };
        let refused = |error| PluginError::Manifest { path: path.clone(), error };
        let schema = manifest::check(guest.manifest().clone(), context).map_err(refused)?;
        let spans = manifest::check_spans(&guest.manifest().spans, &schema, context).map_err(refused)?;
        let now = clock::now();
        Ok(Self {
            name: name.to_owned(),
            schema: Arc::new(schema),
            spans,
            guest,
            health: Health::admitted(name),
            scrape: Scrape { began: now, restart_until: now },
            history: BisectionHistory::new(),
            unsteadiness: 0,
            control: None,
            last_failure: None,
        })
    }

    /// The checked manifest.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Its sources of spans and its exemplars.
    pub fn spans(&self) -> &SpanSchema {
        &self.spans
    }

    /// Reads no buffer for spans: nobody takes them. Exemplars stay.
    pub fn leave_spans_out(&mut self) {
        self.spans.sources.clear();
    }

    /// Turns events into spans, if it may be called at `now` and has an instance by `restart_until`; `None`: they are to be asked about later. A
    /// failure costs the whole request: spans are not counted, and there may be many of them.
    pub fn decode_spans(
        &mut self,
        request: SpanRequest,
        now: Instant,
        restart_until: Instant,
    ) -> Option<Result<SpanAnswer, DecodeError>> {
        if !self.health.may_be_called(now) || !self.guest.is_ready(restart_until) {
            return None;
        }
        let answer = self.guest.spans(request, Scrape { began: now, restart_until });
        match &answer {
            Ok(_) => {
                self.health.answered(now);
                self.guest.tally.last_success = Some(SystemTime::now());
            }
            Err(error) => {
                self.note_failure(error);
                self.health.failed(now);
                warnings::back_off(&self.name, &self.health);
            }
        }
        Some(answer)
    }

    /// Counters since the host started.
    pub fn tally(&self) -> &Tally {
        &self.guest.tally
    }

    /// The last call that failed, of this version or of one before it.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.last_failure.as_ref()
    }

    /// Whether it answers, backs off or is quarantined.
    pub fn state(&self) -> HealthState {
        self.health.state()
    }

    /// For each limit the largest share of it that was used since the component was loaded, from 0 to 1, as
    /// `ebhost_plugin_limit_used_ratio` shows it.
    pub fn limits_used(&self) -> Vec<(&'static str, f64)> {
        self.guest.limits_used()
    }

    /// The same of the last [`limits::RECENT`](ebhost_limits::RECENT), for the limits of calls.
    pub fn limits_used_recently(&self) -> Vec<(&'static str, f64)> {
        self.guest.limits_used_recently(clock::now())
    }

    /// Goes on with the counters and the last failure of the plugin that this one replaces.
    pub fn inherit_counters(&mut self, previous: &Self) {
        self.guest.tally.inherit(&previous.guest.tally);
        self.last_failure = self.last_failure.take().or_else(|| previous.last_failure.clone());
    }

    /// Drops the instance if it was not called for a while; the next new identity starts another. Returns whether there was one.
    pub fn rest(&mut self, now: Instant) -> bool {
        self.guest.rest(now)
    }

    /// Begins a scrape at `now`. Returns whether the plugin may be called in it. A new instance is started only if it can be
    /// expected to be ready by `restart_until`, since that may take longer than a plugin's share of a scrape.
    pub fn begin_scrape(&mut self, now: Instant, restart_until: Instant) -> bool {
        self.judge_steadiness();
        self.scrape = Scrape { began: now, restart_until };
        self.history.begin_scrape();
        self.may_be_called()
    }

    fn may_be_called(&self) -> bool {
        self.guest.limits.pace == Pace::Replay || self.health.may_be_called(self.scrape.began)
    }

    /// Labels a batch until all of it is done or it is `until`, in parts if need be. `take` gets the index of each part's first entry
    /// and the part's answer, or an error: then the part is that entry alone, which is to be set aside.
    pub fn decode(
        &mut self,
        request: &DecodeRequest,
        until: Instant,
        take: &mut impl FnMut(usize, Result<&Answers, &DecodeError>),
    ) -> Progress {
        if !self.may_be_called() {
            return Progress::Deferred;
        }
        let control = if self.control.is_some() { ControlEntry::Known } else { ControlEntry::Unknown };
        let mut bisection = Bisection::new(request.count, control, self.history);
        self.follow(&mut bisection, request, until, take);
        let (verdict, history) = bisection.finish();
        self.history = history;
        let (progress, at_fault) = match verdict {
            Verdict::Complete(at_fault) => (Progress::Done, at_fault),
            Verdict::Partial(at_fault) => (Progress::Deferred, at_fault),
            Verdict::Broken if self.guest.limits.pace == Pace::Replay => return Progress::Deferred,
            Verdict::Broken => {
                self.health.failed(self.scrape.began);
                warnings::back_off(&self.name, &self.health);
                return Progress::Deferred;
            }
        };
        self.guest.tally.set_aside += at_fault.len() as u64;
        for (entry, error) in at_fault {
            take(entry, Err(&error));
        }
        progress
    }

    /// Judges the scrape that ends. A component that fails in one instance what it answers in another is at fault itself, however often it
    /// answers.
    fn judge_steadiness(&mut self) {
        match self.history.unsteadiness() {
            Some(0) => self.unsteadiness = 0,
            Some(evidence) => self.unsteadiness += evidence,
            None => {}
        }
        if self.unsteadiness >= limits::UNSTEADY_SCRAPES {
            self.unsteadiness = 0;
            self.health.failed(self.scrape.began);
            warnings::back_off(&self.name, &self.health);
        }
    }

    /// Takes the steps of a bisection.
    fn follow(
        &mut self,
        bisection: &mut Bisection<DecodeError>,
        request: &DecodeRequest,
        until: Instant,
        take: &mut impl FnMut(usize, Result<&Answers, &DecodeError>),
    ) {
        loop {
            match bisection.step() {
                Step::Stop => return,
                Step::Decode(_) if self.is_over(until) || !self.guest.is_ready(self.scrape.restart_until) => {
                    bisection.out_of_time();
                }
                Step::Decode(part) => match self.call(request, part) {
                    Ok(answers) => {
                        bisection.answered();
                        self.note_success(request, part);
                        take(part.first, Ok(&answers));
                    }
                    Err(DecodeError::Start(_)) => bisection.start_failed(),
                    // It hangs: each further entry would take as long.
                    Err(DecodeError::Call(CallError::Deadline { .. })) if self.guest.limits.pace == Pace::Replay => {
                        bisection.out_of_time();
                    }
                    Err(error @ DecodeError::Call(CallError::Deadline { .. })) => bisection.timed_out(error),
                    Err(error) if !self.guest.was_first_call() => bisection.failed_in_used_instance(error),
                    Err(error) => bisection.failed(error),
                },
                Step::AskControl => {
                    if !self.guest.is_ready(self.scrape.restart_until) {
                        bisection.no_time_for_control();
                    } else if self.ask_control() {
                        bisection.control_answered();
                    } else {
                        bisection.control_failed();
                    }
                }
            }
        }
    }

    /// Whether no further call may begin in this batch.
    fn is_over(&self, until: Instant) -> bool {
        self.guest.limits.pace == Pace::Scrape && clock::now() >= until
    }

    /// Calls the guest about a part of a request, and checks its answer.
    fn call(&mut self, request: &DecodeRequest, part: Part) -> Result<Answers, DecodeError> {
        let view = &self.schema.views[request.view];
        let rows = self.guest.decode(request.part(view, part), self.scrape);
        let answers = rows.and_then(|rows| {
            let bounds = view.feeds.first().map_or(0, |feed| match &self.schema.families[feed.family].kind {
                Kind::Histogram(bounds) => bounds.len(),
                Kind::Counter | Kind::Gauge(_) => 0,
            });
            Ok(Answers::check(rows, view, bounds, part.count)?)
        });
        match &answers {
            Ok(answers) => self.guest.tally.unsound += answers.unsound() as u64,
            Err(error) => self.note_failure(error),
        }
        answers
    }

    /// Drops the instance, which may be in any state, and reports why.
    fn note_failure(&mut self, error: &DecodeError) {
        self.guest.discard();
        let failures = self.guest.tally.count_failure(error.reason());
        warnings::failure(&self.name, failures, error);
        self.last_failure = Some(Failure { error: error.clone(), at: SystemTime::now() });
    }

    /// Asks about the control entry; whether it was answered.
    fn ask_control(&mut self) -> bool {
        let Some(control) = self.control.take() else { return false };
        let is_answered = self.call(&control, Part { first: 0, count: 1 }).is_ok();
        self.control = Some(control);
        is_answered
    }

    fn note_success(&mut self, request: &DecodeRequest, part: Part) {
        self.health.answered(self.scrape.began);
        self.guest.tally.last_success = Some(SystemTime::now());
        let is_known = self.control.as_ref().is_some_and(|control| control.view == request.view);
        if !is_known {
            let view = &self.schema.views[request.view];
            self.control = Some(request.part(view, Part { first: part.first, count: 1 }));
        }
    }
}
