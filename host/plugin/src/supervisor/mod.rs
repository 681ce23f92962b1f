//! One package's plugin over the lives of its instances.
//!
//! An instance that traps, overruns or lies is dropped. Then one question tells whose fault it is: a fresh instance is asked
//! about an entry that was answered before. If it fails too, the component is broken: it backs off, and what is unseen waits. If
//! not, the batch is halved until the culprit is alone, and the culprit set aside. All of it happens within a budget of guest
//! time a scrape: what is not answered by then is asked in the next one, and loses nothing by waiting.

mod ask;
mod used;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tracing::warn;

use super::{
    answer::Answers,
    contract::{Batch, Manifest},
    engine::Compiled,
    health::{Health, State},
    instance::{CallError, Instance},
    lines::Lines,
    manifest::{self, Context, ManifestError},
    tally::Tally,
};
use ask::parts;
pub use ask::{Ask, AskError, Asked};
use ebhost_limits as limits;
use ebhost_metrics::Kind;
use ebhost_package::PackageError;
use ebhost_series::schema::Schema;

/// A described component and, while it is healthy, an instance of it.
pub struct Plugin {
    name: String,
    compiled: Arc<Compiled>,
    config: String,
    limits: PluginLimits,
    /// What the first instance said; every later one must say the same.
    manifest: Manifest,
    schema: Arc<Schema>,
    instance: Option<Instance>,
    /// What the first instance took to start and describe itself.
    start_time: Duration,
    health: Health,
    /// One entry that was answered: the question that tells a broken component from a culprit.
    control: Option<Ask>,
    /// Entries in the first parts of a batch: fewer where halving ran out of time.
    part_entries: usize,
    round: Round,
    last_failure: Option<AskError>,
    lines: Lines,
    tally: Tally,
}

/// What one scrape has shown so far.
#[derive(Debug)]
struct Round {
    now: Instant,
    restart_until: Instant,
    /// Something was answered soundly: what fails now is the entries' fault.
    is_proven: bool,
    failures: u64,
    smallest_failed: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct PluginLimits {
    pub memory_bytes: u64,
    pub decode: Duration,
}

/// Why a component is not a plugin of this host.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("{path}: {error}", path = .path.display())]
    Describe { path: std::path::PathBuf, error: CallError },
    #[error("{path}: {error}", path = .path.display())]
    Manifest { path: std::path::PathBuf, error: ManifestError },
    #[error(transparent)]
    Config(PackageError),
}

impl Plugin {
    /// Describes a component and checks what it says.
    pub fn describe(
        name: &str,
        compiled: Arc<Compiled>,
        config: &str,
        limits: PluginLimits,
        context: &Context<'_>,
    ) -> Result<Self, PluginError> {
        let began = Instant::now();
        let started = Instance::start(&compiled, config, limits.memory_bytes, limits::DESCRIBE);
        let (mut instance, manifest) =
            started.map_err(|error| PluginError::Describe { path: compiled.path.clone(), error })?;
        let took = began.elapsed();
        let schema = manifest::check(manifest.clone(), context)
            .map_err(|error| PluginError::Manifest { path: compiled.path.clone(), error })?;
        let mut tally = Tally { instances: 1, ..Tally::default() };
        tally.saw(instance.memory_bytes(), instance.stack_bytes());
        let mut lines = Lines::default();
        tally.dropped_lines += lines.forward(name, instance.take_lines(), began);
        Ok(Self {
            name: name.to_owned(),
            compiled,
            config: config.to_owned(),
            limits,
            manifest,
            schema: Arc::new(schema),
            instance: Some(instance),
            start_time: took,
            health: Health::admitted(name),
            control: None,
            part_entries: limits::BATCH_ENTRIES,
            round: Round::at(began, began),
            last_failure: None,
            lines,
            tally,
        })
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What its last failing call failed by.
    pub fn last_failure(&self) -> Option<&AskError> {
        self.last_failure.as_ref()
    }

    pub fn state(&self) -> State {
        self.health.state()
    }

    /// Goes on with the counts of the plugin that it takes the place of.
    pub fn succeed(&mut self, other: &Self) {
        self.tally.add(&other.tally);
    }

    /// Begins a scrape at `now`; whether the plugin may be asked in it. A new instance is only started if it can be expected to
    /// be there by `restart_until`: starting one may take longer than a plugin's share of a scrape.
    pub fn begin(&mut self, now: Instant, restart_until: Instant) -> bool {
        self.round = Round::at(now, restart_until);
        self.health.may_be_asked(now)
    }

    /// Labels a batch, part by part if need be. `take` gets each part's first entry and its answer, or why there is none:
    /// then the part is one entry, which is to be set aside.
    pub fn ask(
        &mut self,
        ask: &Ask,
        until: Instant,
        take: &mut impl FnMut(usize, Result<&Answers, &AskError>),
    ) -> Asked {
        if !self.health.may_be_asked(self.round.now) {
            return Asked::Part;
        }
        let mut suspects = Vec::new();
        let asked = self.ask_parts(ask, until, take, &mut suspects);
        if self.round.is_proven {
            for (entry, error) in suspects {
                self.tally.set_aside += 1;
                take(entry, Err(&error));
            }
        } else if self.round.failures > 0 {
            self.health.failed(self.round.now);
            self.announce();
            return Asked::Part;
        }
        asked
    }

    fn ask_parts(
        &mut self,
        ask: &Ask,
        until: Instant,
        take: &mut impl FnMut(usize, Result<&Answers, &AskError>),
        suspects: &mut Vec<(usize, AskError)>,
    ) -> Asked {
        let mut parts = parts(ask.count, self.part_entries);
        while let Some((first, count)) = parts.pop() {
            if Instant::now() >= until || !self.can_start() {
                // Finer parts next time, so that a culprit that costs its whole deadline is reached in a few scrapes.
                self.part_entries = self.part_entries.min(self.round.smallest_failed).max(1);
                return Asked::Part;
            }
            match self.ask_once(ask, first, count) {
                Ok(answers) => {
                    self.proven(ask, first);
                    take(first, Ok(&answers));
                }
                Err(error) => {
                    self.note(&error, count);
                    let cannot_start = matches!(error, AskError::Start(_));
                    if cannot_start || (!self.round.is_proven && self.is_broken()) {
                        return Asked::Part;
                    }
                    if count == 1 {
                        suspects.push((first, error));
                        if !self.round.is_proven && suspects.len() >= limits::SUSPECTS {
                            return Asked::Part;
                        }
                    } else {
                        let half = count / 2;
                        parts.push((first + half, count - half));
                        parts.push((first, half));
                    }
                }
            }
        }
        Asked::Whole
    }

    /// Whether a fresh instance fails about what was answered before; false: it does not, or nothing ever was.
    fn is_broken(&mut self) -> bool {
        let Some(control) = self.control.take() else { return false };
        let answered = self.ask_once(&control, 0, 1);
        match answered {
            Ok(_) => self.round.is_proven = true,
            Err(error) => self.note(&error, 1),
        }
        self.control = Some(control);
        !self.round.is_proven
    }

    fn proven(&mut self, ask: &Ask, first: usize) {
        self.round.is_proven = true;
        self.health.answered(self.round.now);
        self.tally.last_success = Some(SystemTime::now());
        self.part_entries = (self.part_entries * 2).min(limits::BATCH_ENTRIES);
        let is_known = self.control.as_ref().is_some_and(|control| control.view == ask.view);
        if !is_known {
            self.control = Some(ask.part(&self.schema, first, 1));
        }
    }

    fn ask_once(&mut self, ask: &Ask, first: usize, count: usize) -> Result<Answers, AskError> {
        let batch = Batch::from(if (first, count) == (0, ask.count) {
            ask.clone()
        } else {
            ask.part(&self.schema, first, count)
        });
        let limit = self.limits.decode;
        let now = self.round.now;
        let instance = self.instance().map_err(AskError::Start)?;
        let (rows, time) = instance.decode(batch, limit);
        let (memory_bytes, stack_bytes, said) =
            (instance.memory_bytes(), instance.stack_bytes(), instance.take_lines());
        self.tally.saw(memory_bytes, stack_bytes);
        self.tally.dropped_lines += self.lines.forward(&self.name, said, now);
        self.tally.called(count, time);
        let view = &self.schema.views[ask.view];
        let bounds = view.feeds.first().map_or(0, |feed| match &self.schema.families[feed.family].kind {
            Kind::Histogram(bounds) => bounds.len(),
            Kind::Counter | Kind::Gauge(_) => 0,
        });
        if let Ok(rows) = &rows {
            self.tally.answered(rows);
        }
        let answers = rows.map_err(AskError::from).and_then(|rows| Ok(Answers::check(rows, view, bounds, count)?));
        match &answers {
            Ok(answers) => self.tally.unsound += answers.unsound() as u64,
            Err(_) => self.instance = None,
        }
        answers
    }

    /// Whether there is an instance, or time for one.
    fn can_start(&self) -> bool {
        self.instance.is_some() || Instant::now() + self.start_time <= self.round.restart_until
    }

    fn instance(&mut self) -> Result<&mut Instance, CallError> {
        if self.instance.is_none() {
            self.tally.instances += 1;
            let time = (self.start_time * limits::RESTART_SHARE).clamp(limits::RESTART, limits::DESCRIBE);
            let (instance, manifest) = Instance::start(&self.compiled, &self.config, self.limits.memory_bytes, time)?;
            if !same(&manifest, &self.manifest) {
                return Err(CallError::Fickle);
            }
            self.instance = Some(instance);
        }
        match &mut self.instance {
            Some(instance) => Ok(instance),
            None => Err(CallError::Fickle),
        }
    }

    fn note(&mut self, failure: &AskError, count: usize) {
        self.round.failures += 1;
        self.round.smallest_failed = self.round.smallest_failed.min(count);
        let failures = self.tally.failed(failure.reason());
        // The first failure of a kind tells the operator; a flood of them is what the counter is for.
        if failures.is_power_of_two() {
            warn!(package = self.name, failures, "plugin {failure}");
        }
        self.last_failure = Some(failure.clone());
    }

    fn announce(&self) {
        let (package, in_row) = (&self.name, self.health.failures_in_row());
        match self.health.state() {
            State::Quarantined => warn!(
                package,
                failures_in_row = in_row,
                "plugin is quarantined: what is unseen waits until its files change, its series go on"
            ),
            _ if in_row == 1 => {
                warn!(package, "plugin backs off: what is unseen waits, its series go on");
            }
            _ => {}
        }
    }
}

impl Round {
    fn at(now: Instant, restart_until: Instant) -> Self {
        Self { now, restart_until, is_proven: false, failures: 0, smallest_failed: usize::MAX }
    }
}

/// The generated types have no equality; their debug form names every field and is only made for new instances.
fn same(one: &Manifest, other: &Manifest) -> bool {
    format!("{one:?}") == format!("{other:?}")
}
