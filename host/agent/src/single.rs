//! One package by itself, for its author: the agent's stages without the agent.
//!
//! [`Single`] takes a package through all stages; [`Offline`] only through those that need no kernel, with recorded snapshots. Neither
//! serves anything.

use std::{collections::HashSet, sync::Arc, time::Instant};

use super::{
    label::{self, GuestBudget},
    package::{self, Conditions, DescribeError, Described, RunError, Running},
    refusals::Refusals,
    reload::{MetricNameRegistry, PackageNames},
};
use ebhost_kernel::{KernelContext, ObjectFile};
use ebhost_limits as limits;
use ebhost_lookup::{Found, Lookups, Question, Roots};
use ebhost_package::Package;
use ebhost_plugin_host::{CompiledComponent, Engine, Pace, Plugin, PluginError};
use ebhost_series::{ShapeMismatch, Table, schema::Schema};
use ebhost_snapshot::Snapshot;
use ebhost_telemetry::StageClock;

/// A package whose programs run, and whose maps are read on demand.
pub struct Single {
    running: Running,
    lookups: Lookups,
    clock: StageClock,
}

/// Contents of a source when it was read, as no view has cut them.
#[derive(Debug)]
pub enum SourceContents<'a> {
    /// The rows of a map or of a group of perf events.
    Table(&'a Snapshot),
    /// Events since the read before: the CPU of each, where the buffer tells it, and all its bytes. Views of different lengths read
    /// the same events.
    Events(Vec<(u32, &'a [u8])>),
}

/// The reason why a package does not run.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SingleError(#[from] RunError);

impl Single {
    /// Loads and attaches it.
    pub fn load(package: Package, engine: &Engine) -> Result<Self, SingleError> {
        let mut lookups = Lookups::new(&Roots::default());
        lookups.open_privileged();
        let running = Running::start(Described::new(package, engine).map_err(RunError::from)?, &KernelContext::new())?;
        running.lookup_tables().for_each(|table| lookups.start(table));
        Ok(Self { running, lookups, clock: StageClock::default() })
    }

    /// Reads every map and counts.
    pub fn collect(&mut self, until: Instant) {
        self.clock.start();
        let changes = self.lookups.refresh();
        self.running.observe(&changes.renamed, until, &mut self.clock);
        self.running.label(&mut self.lookups, limits::GUEST_TIME_PER_SCRAPE, until, &mut self.clock);
        self.running.delete_departed(&self.lookups, &changes.departed);
    }

    /// Its series; `None` if the last collection did not end in time.
    pub fn table(&self) -> Option<&Table> {
        self.running.ready_table()
    }

    /// Each source and what it held when it was last read.
    pub fn contents(&self) -> impl Iterator<Item = (&str, SourceContents<'_>)> {
        self.running.contents()
    }

    /// Every lookup that its identities need, and the name found, in order.
    pub fn names(&mut self) -> Vec<(Question, Option<String>)> {
        let questions: HashSet<_> = self.running.questions().into_iter().collect();
        let mut questions: Vec<_> = questions.into_iter().collect();
        questions.sort();
        let find = |question: Question| {
            let name = match self.lookups.find(question.0, &question.1) {
                Found::Name(name) | Found::Gone(name) => Some(name),
                Found::Unknown | Found::NotYet => None,
            };
            (question, name)
        };
        questions.into_iter().map(find).collect()
    }
}

/// A described package with a table, and no kernel.
pub struct Offline {
    pub plugin: Plugin,
    pub table: Table,
    refusals: Refusals,
}

impl Offline {
    /// Parses the object, compiles the component, and describes it for a replay of what a machine of this architecture recorded. The
    /// results do not depend on the time that anything takes.
    ///
    /// # Errors
    /// Whatever the agent would refuse the package for without asking the kernel.
    pub fn for_replay(package: &Package, engine: &Engine, architecture: &str) -> Result<Self, DescribeError> {
        let conditions = Conditions { pace: Pace::Replay, architecture };
        let (_, plugin, _) = package::examine(package, engine, conditions)?;
        Ok(Self::of(package, plugin))
    }

    /// Describes a compiled component, which is held to its limits as in a scrape.
    ///
    /// # Errors
    /// The component cannot be started, or its manifest breaks a rule.
    pub fn describe(
        package: &Package,
        object: Option<&ObjectFile>,
        compiled: Arc<CompiledComponent>,
    ) -> Result<Self, PluginError> {
        Ok(Self::of(package, package::describe(package, object, compiled, Conditions::HERE)?))
    }

    fn of(package: &Package, plugin: Plugin) -> Self {
        let table = package::table(plugin.schema().clone(), package.limits, package.compat);
        Self { plugin, table, refusals: Refusals::of(&package.name) }
    }

    /// Counts one read of every source: each view's snapshot, in the order of the schema's views.
    ///
    /// # Errors
    /// If a snapshot has not the shape of its source.
    pub fn count(&mut self, lookups: &mut Lookups, snapshots: &[&Snapshot]) -> Result<(), ShapeMismatch> {
        let until = Instant::now() + limits::REPLAY; // not looked at in a replay
        let mut scrape = self.table.scrape(0.0);
        for (view, snapshot) in snapshots.iter().enumerate() {
            scrape.observe(view, snapshot)?;
        }
        let mut labelling = scrape.label();
        self.plugin.begin_scrape(Instant::now(), until);
        for view in 0..snapshots.len() {
            let budget = GuestBudget { guest_end: self.plugin.tally().guest_time + limits::REPLAY, until };
            label::label(&mut self.plugin, &mut labelling, view, lookups, &mut self.refusals, budget);
        }
        let mut settling = labelling.settle();
        for (view, snapshot) in snapshots.iter().enumerate() {
            settling.count(view, snapshot)?;
        }
        settling.finish();
        Ok(())
    }
}

/// The default prefix of plugins' families.
const NAMESPACE: &str = "ebhost";

/// Gives a package its names.
///
/// # Errors
/// A name that another package, or the host itself, has already.
pub fn check_conflicts(
    package: &Package,
    schema: &Schema,
    registry: &mut MetricNameRegistry,
) -> Result<(), SingleError> {
    let names = PackageNames::new(package, schema, NAMESPACE);
    names.check_reserved(&package.file).map_err(RunError::from)?;
    registry.check_conflicts(&package.file, &names).map_err(RunError::from)?;
    registry.insert(&package.file, &names, &package.name);
    Ok(())
}
