//! The end of a reload: the agent takes a whole transaction over, between two scrapes.

use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

use tracing::info;

use super::super::{
    Agent,
    package::{Exchange, Running},
};

/// Everything that one reload changes. Each step was prepared and cannot fail, so it is taken over whole.
#[derive(Default)]
pub(crate) struct Transaction {
    pub(super) steps: Vec<Step>,
    /// Every package of which the version in its files does not run, after this transaction.
    pub(super) refused: BTreeMap<PathBuf, RefusedPackage>,
    /// Versions that were refused in this reload.
    pub(super) failures: u64,
}

/// One package that starts, goes on with another component, or ends. Packages are named by their files.
pub(super) enum Step {
    /// Runs a package whose programs are attached, in the place of another one or of the version before.
    Start {
        running: Box<Running>,
        replaces: Option<PathBuf>,
    },
    /// Goes on with another component. Its files may have moved.
    Exchange {
        running: PathBuf,
        exchange: Box<Exchange>,
    },
    Remove(PathBuf),
}

/// A package of which the version in its files does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedPackage {
    /// Its name, if its `plugin.yaml` could be read.
    pub(crate) name: Option<String>,
    pub(crate) reason: String,
    /// When it was refused for this reason first.
    pub(crate) since: SystemTime,
    pub(crate) cause: RefusalCause,
}

/// The cause that keeps a version from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalCause {
    /// Something in its files, or the machine.
    Version,
    /// It ran, and its BPF programs cost more than they may.
    OverBudget,
}

impl RefusalCause {
    /// The package's state, for metrics.
    pub(crate) fn state(self) -> &'static str {
        match self {
            Self::Version => "refused",
            Self::OverBudget => "over_budget",
        }
    }
}

impl Transaction {
    /// Does another transaction's steps after these.
    pub(super) fn append(&mut self, next: Self) {
        self.steps.extend(next.steps);
        self.refused = next.refused;
        self.failures += next.failures;
    }
}

impl Agent {
    /// Takes a reload over.
    pub(crate) fn apply(&mut self, transaction: Transaction) {
        let Transaction { steps, refused, failures } = transaction;
        self.reloads += steps.len() as u64;
        self.reload_failures += failures;
        // A version may go on under a file that another one had until now, so those of before are kept apart.
        let mut before: BTreeMap<_, _> =
            self.running.drain(..).map(|running| (running.file.clone(), running)).collect();
        for step in steps {
            self.running.extend(take(step, &mut before));
        }
        // A version whose file has another one now, and that none follows, ends here.
        before.retain(|file, _| !self.running.iter().any(|running| running.file == *file));
        self.running.extend(before.into_values());
        self.running.sort_by(|one, other| one.file.cmp(&other.file));
        for table in self.running.iter().flat_map(Running::lookup_tables) {
            self.lookups.start(table);
        }
        self.refused = refused;
        for running in &mut self.running {
            running.is_current = !self.refused.contains_key(&running.file);
        }
    }

    /// The packages that do not run at all, by their files.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = (&PathBuf, &RefusedPackage)> {
        self.refused.iter().filter(|(file, _)| !self.running.iter().any(|running| running.file == **file))
    }
}

/// Does a step, and gives the package that runs after it. `before`: the packages that ran before the transaction, by file, without
/// those that another step has taken.
fn take(step: Step, before: &mut BTreeMap<PathBuf, Running>) -> Option<Running> {
    match step {
        Step::Start { mut running, replaces } => {
            if let Some(predecessor) = replaces.and_then(|file| before.remove(&file)) {
                running.inherit_counters(&predecessor);
            }
            Some(*running)
        }
        Step::Exchange { running, exchange } => {
            let mut running = before.remove(&running)?;
            running.exchange(*exchange);
            info!(package = running.name, "component exchanged; programs, maps and counts stay");
            Some(running)
        }
        Step::Remove(file) => {
            before.remove(&file);
            None
        }
    }
}
