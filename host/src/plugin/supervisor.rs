//! One package's plugin over the lives of its instances.
//!
//! An instance that traps, overruns or lies is dropped, its batch halved until the culprit is alone, and the culprit set
//! aside; the rest of the batch is asked again of a fresh instance. All of it happens within a budget of guest time a
//! scrape: what is not answered by then is asked in the next one, and loses nothing by waiting.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{debug, error, info, warn};

use super::{
    answer::{AnswerError, Answers},
    contract::{Batch, Manifest, log::Level},
    engine::Compiled,
    instance::{CallError, Instance},
    manifest::{self, Context, ManifestError},
};
use crate::series::schema::{Kind, Schema};

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
    tally: Tally,
}

#[derive(Debug, Clone, Copy)]
pub struct PluginLimits {
    pub memory_bytes: u64,
    pub decode: Duration,
}

/// What a plugin did since the start.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Entries asked about.
    pub asked: u64,
    pub calls: u64,
    pub guest_time: Duration,
    pub instances: u64,
    /// Failures by reason: `trap`, `deadline`, `memory`, `answer`, `describe`.
    pub failures: std::collections::BTreeMap<&'static str, u64>,
    pub set_aside: u64,
    pub dropped_lines: u64,
    pub memory_bytes: usize,
}

/// Why a component is not a plugin of this host.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("{path}: {error}", path = .path.display())]
    Describe { path: std::path::PathBuf, error: CallError },
    #[error("{path}: {error}", path = .path.display())]
    Manifest { path: std::path::PathBuf, error: ManifestError },
}

/// Entries to be labelled: identities back to back, names found for their lookups.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub view: usize,
    pub count: usize,
    pub identities: Vec<u8>,
    pub found: Vec<u32>,
    pub names: Vec<Option<String>>,
}

/// Why a batch has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
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
        let started = Instance::start(&compiled, config, limits.memory_bytes);
        let (instance, manifest) =
            started.map_err(|error| PluginError::Describe { path: compiled.path.clone(), error })?;
        let schema = manifest::check(manifest.clone(), context)
            .map_err(|error| PluginError::Manifest { path: compiled.path.clone(), error })?;
        let tally = Tally { instances: 1, memory_bytes: instance.memory_bytes(), ..Tally::default() };
        let mut plugin = Self {
            name: name.to_owned(),
            compiled,
            config: config.to_owned(),
            limits,
            manifest,
            schema: Arc::new(schema),
            instance: Some(instance),
            tally,
        };
        plugin.forward_lines();
        Ok(plugin)
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Labels a batch, part by part if need be. `take` gets each part's first entry and its answer, or why there is none:
    /// then the part is one entry, which is to be set aside. Returns whether all was asked before `until`.
    pub fn ask(
        &mut self,
        ask: &Ask,
        until: Instant,
        take: &mut impl FnMut(usize, Result<&Answers, &AskError>),
    ) -> bool {
        let mut parts = vec![(0, ask.count)];
        while let Some((first, count)) = parts.pop() {
            if Instant::now() >= until {
                return false;
            }
            match self.ask_once(ask, first, count) {
                Ok(answers) => take(first, Ok(&answers)),
                Err(error) => {
                    self.note(&error);
                    if let AskError::Call(CallError::Refused(_) | CallError::Fickle) = error {
                        return false;
                    }
                    if count == 1 {
                        self.tally.set_aside += 1;
                        take(first, Err(&error));
                    } else {
                        let half = count / 2;
                        parts.push((first + half, count - half));
                        parts.push((first, half));
                    }
                }
            }
        }
        true
    }

    fn ask_once(&mut self, ask: &Ask, first: usize, count: usize) -> Result<Answers, AskError> {
        let batch = self.batch(ask, first, count);
        let limit = self.limits.decode;
        let instance = self.instance()?;
        let (rows, time) = instance.decode(&batch, limit);
        let memory_bytes = instance.memory_bytes();
        self.forward_lines();
        self.tally.calls += 1;
        self.tally.asked += count as u64;
        self.tally.guest_time += time;
        self.tally.memory_bytes = memory_bytes;
        let view = &self.schema.views[ask.view];
        let bounds = view.feeds.first().map_or(0, |feed| match &self.schema.families[feed.family].kind {
            Kind::Histogram(bounds) => bounds.len(),
            Kind::Counter | Kind::Gauge(_) => 0,
        });
        let answers = rows.map_err(AskError::from).and_then(|rows| Ok(Answers::check(rows, view, bounds, count)?));
        if answers.is_err() {
            self.instance = None;
        }
        answers
    }

    fn batch(&self, ask: &Ask, first: usize, count: usize) -> Batch {
        let view = &self.schema.views[ask.view];
        let (identity, lookups) = (view.identity_size(), view.lookups.len());
        Batch {
            view: ask.view as u32,
            count: count as u32,
            identities: ask.identities[first * identity..(first + count) * identity].to_vec(),
            found: ask.found[first * lookups..(first + count) * lookups].to_vec(),
            names: ask.names.clone(),
        }
    }

    fn instance(&mut self) -> Result<&mut Instance, CallError> {
        if self.instance.is_none() {
            self.tally.instances += 1;
            let (instance, manifest) = Instance::start(&self.compiled, &self.config, self.limits.memory_bytes)?;
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

    fn note(&mut self, failure: &AskError) {
        let reason = match failure {
            AskError::Call(CallError::Trap { .. }) => "trap",
            AskError::Call(CallError::Deadline { .. }) => "deadline",
            AskError::Call(CallError::Memory { .. }) => "memory",
            AskError::Call(CallError::Refused(_) | CallError::Fickle) => "describe",
            AskError::Answer(_) => "answer",
        };
        let failures = self.tally.failures.entry(reason).or_default();
        *failures += 1;
        // The first failure of a kind tells the operator; a flood of them is what the counter is for.
        if failures.is_power_of_two() {
            warn!(package = self.name, failures = *failures, "plugin {failure}");
        }
    }

    fn forward_lines(&mut self) {
        let Some(instance) = &mut self.instance else { return };
        let (lines, dropped) = instance.take_lines();
        self.tally.dropped_lines += dropped;
        for (level, line) in lines {
            match level {
                Level::Error => error!(package = self.name, "plugin says: {line}"),
                Level::Warn => warn!(package = self.name, "plugin says: {line}"),
                Level::Info => info!(package = self.name, "plugin says: {line}"),
                Level::Debug => debug!(package = self.name, "plugin says: {line}"),
            }
        }
    }
}

/// The generated types have no equality; their debug form names every field and is only made for new instances.
fn same(one: &Manifest, other: &Manifest) -> bool {
    format!("{one:?}") == format!("{other:?}")
}
