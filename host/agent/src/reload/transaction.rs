//! One reload: desired set → packages read and described → names decided for all together → kernel parts prepared → transaction.
//!
//! Nothing that runs is touched before the transaction is whole. A package that fails on the way is refused with its reason, its
//! running version stays, and the names are decided again without it. Whatever was prepared for it is dropped, which detaches and
//! unloads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tracing::{error, info};

use super::{
    super::package::folder_name,
    Closed, Reloader,
    apply::{RefusedPackage, Step, Transaction},
    candidate::{Candidate, Examined, Prepared, Stage},
    desired::DesiredSet,
    plan::{self, Claims},
    scan::{Presence, Stamp, stamp},
    state::{Refusal, Retry, RunningVersion},
};
use ebhost_kernel::UnreadMaps;

/// The packages of one reload on their way.
#[derive(Default)]
struct Attempt {
    candidates: BTreeMap<PathBuf, Candidate>,
    refusals: BTreeMap<PathBuf, Refusal>,
    /// Packages whose files are those of the running version.
    unchanged: Vec<PathBuf>,
    /// Packages that are switched off, with their names.
    switched_off: BTreeMap<PathBuf, String>,
    /// Packages that are read because their files changed or somebody asked for it, not because it was time to try again.
    asked_for: BTreeSet<PathBuf>,
}

/// Why a package was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Its files changed, or SIGHUP asks for it.
    Request,
    Retry,
}

impl Reloader {
    /// Brings what runs in line with the desired set. One transaction is the rule; another one follows if it made way for a
    /// package that was refused.
    pub(super) fn reload(
        &mut self,
        desired: &DesiredSet,
        commit: &mut dyn FnMut(Transaction) -> Result<(), Closed>,
    ) -> Result<(), Closed> {
        let mut due = self.due(desired);
        while let Some(transaction) = self.transaction(desired, mem::take(&mut due)) {
            commit(transaction)?;
        }
        Ok(())
    }

    /// The packages that are to be read, with the stamps of their files.
    fn due(&self, desired: &DesiredSet) -> Vec<(PathBuf, Stamp)> {
        let is_due = |file: &Path, stamp: &Stamp| match self.packages.get(file) {
            Some(state) => {
                state.examined.as_ref() != Some(stamp) || state.refusal.as_ref().is_some_and(|one| one.retry.is_due())
            }
            None => true,
        };
        let present = desired.iter().filter_map(|(file, presence)| match presence {
            Presence::Present(stamp) => Some((file.clone(), stamp.clone())),
            Presence::Unknown(_) => None,
        });
        present.filter(|(file, stamp)| is_due(file, stamp)).collect()
    }

    /// The next transaction; none: everything runs that can run.
    fn transaction(&mut self, desired: &DesiredSet, due: Vec<(PathBuf, Stamp)>) -> Option<Transaction> {
        let gone: Vec<_> = self.packages.keys().filter(|file| !desired.contains_key(*file)).cloned().collect();
        let mut attempt = self.begin(desired, due);
        while let Some(file) = self.decide_names(&gone, &mut attempt) {
            self.advance(&file, &mut attempt);
        }
        self.finish(gone, attempt)
    }

    /// Reads what is due. What was refused for its names takes part too: they may be free now.
    fn begin(&mut self, desired: &DesiredSet, due: Vec<(PathBuf, Stamp)>) -> Attempt {
        let mut attempt = Attempt::default();
        for (file, presence) in desired {
            if let Presence::Unknown(error) = presence {
                let reason = format!("{}: cannot be looked at: {error}; expected a file or none", file.display());
                attempt.refusals.insert(file.clone(), Refusal::new(None, reason, Retry::WhenFilesChange));
                self.packages.entry(file.clone()).or_default().examined = None;
            }
        }
        for (file, settled) in due {
            let examined = self.examine(&file);
            // A file that changed while it was read is read again.
            let is_as_read = stamp(&file) == settled;
            let state = self.packages.entry(file.clone()).or_default();
            if state.examined.as_ref() != Some(&settled) {
                attempt.asked_for.insert(file.clone());
            }
            state.examined = is_as_read.then_some(settled);
            attempt.take(file, examined);
        }
        for (file, state) in &self.packages {
            let is_decided = attempt.candidates.contains_key(file) || attempt.refusals.contains_key(file);
            if let (false, true, Some(Retry::WhenFree(names))) =
                (is_decided, desired.contains_key(file), state.refusal.as_ref().map(|refusal| &refusal.retry))
                && !attempt.unchanged.contains(file)
            {
                attempt.candidates.insert(file.clone(), Candidate::refused(names));
            }
        }
        attempt
    }

    /// Refuses the candidates that cannot have their names, and gives the next one that can and is not prepared.
    fn decide_names(&self, gone: &[PathBuf], attempt: &mut Attempt) -> Option<PathBuf> {
        let running: Claims<'_> = self
            .packages
            .iter()
            .filter(|(file, _)| !gone.contains(file) && !attempt.switched_off.contains_key(*file))
            .filter_map(|(file, state)| Some((file.as_path(), &state.running.as_ref()?.names)))
            .collect();
        let candidates =
            attempt.candidates.iter().map(|(file, candidate)| (file.as_path(), &candidate.names)).collect();
        let refused = plan::refused(&running, &candidates);
        let is_next = |(file, candidate): &(&PathBuf, &Candidate)| {
            !matches!(candidate.stage, Stage::Prepared { .. }) && !refused.contains_key(*file)
        };
        let next = attempt.candidates.iter().find(is_next).map(|(file, _)| file.clone());
        if next.is_none() {
            // The last decision: until then a refusal may turn out to be for the names of a package that fails itself.
            for (file, error) in refused {
                let Some(candidate) = attempt.candidates.remove(&file) else { continue };
                let name = Some(candidate.names.package.clone());
                let retry = Retry::WhenFree(candidate.names);
                attempt.refusals.insert(file, Refusal::new(name, error.to_string(), retry));
            }
        }
        next
    }

    /// Takes a candidate one stage on.
    fn advance(&self, file: &Path, attempt: &mut Attempt) {
        let Some(Candidate { names, stage }) = attempt.candidates.remove(file) else { return };
        let examined = match stage {
            Stage::Refused => self.examine(file),
            Stage::Described { described, version, took } => {
                let started = Instant::now();
                let others = attempt.candidates.values().map(|other| other.names.package.as_str()).collect();
                match self.prepare(file, *described, version, &others) {
                    Ok(prepared) => {
                        let stage = Stage::Prepared { prepared, version, took: took + started.elapsed() };
                        Examined::Candidate(Candidate { names, stage })
                    }
                    Err(error) => Examined::Refused(self.refusal(file, Some(names.package), &error)),
                }
            }
            stage @ Stage::Prepared { .. } => Examined::Candidate(Candidate { names, stage }),
        };
        attempt.take(file.to_owned(), examined);
    }

    /// Makes the transaction, and the state what it will be after it.
    fn finish(&mut self, gone: Vec<PathBuf>, attempt: Attempt) -> Option<Transaction> {
        let before = self.refused();
        let (mut steps, mut started) = (Vec::new(), Vec::new());
        for (file, candidate) in attempt.candidates {
            if let Stage::Prepared { prepared, version, took } = candidate.stage {
                let (step, unread_maps) = self.commit(prepared, took);
                steps.push(step);
                started.push((file, RunningVersion { version, names: candidate.names, unread_maps }));
            }
        }
        for (file, running) in started {
            let state = self.packages.entry(file).or_default();
            (state.running, state.refusal, state.switched_off) = (Some(running), None, None);
        }
        for (file, name) in attempt.switched_off {
            let state = self.packages.entry(file.clone()).or_default();
            if state.switched_off.is_none() {
                info!(package = name, "package is switched off by its default or by the settings");
            }
            (state.refusal, state.switched_off) = (None, Some(name));
            if state.running.take().is_some() {
                steps.push(Step::Remove(file));
            }
        }
        for file in gone {
            // A version that another one follows does not run under this file any more.
            if self.packages.remove(&file).is_some_and(|state| state.running.is_some()) {
                info!(package = folder_name(&file), "package removed");
                steps.push(Step::Remove(file));
            }
        }
        for file in attempt.unchanged {
            self.packages.entry(file).or_default().refusal = None;
        }
        let mut failures = 0;
        for (file, refusal) in attempt.refusals {
            let cause = if attempt.asked_for.contains(&file) { Cause::Request } else { Cause::Retry };
            failures += u64::from(self.refuse(&file, refusal, cause));
        }
        let refused = self.refused();
        let is_change = !steps.is_empty() || failures > 0 || refused != before;
        is_change.then_some(Transaction { steps, refused, failures })
    }

    /// Makes the step, and ends the version that it follows.
    fn commit(&mut self, prepared: Prepared, took: Duration) -> (Step, UnreadMaps) {
        let (step, unread_maps, predecessor) = match prepared {
            Prepared::Start { mut running, replaces } => {
                running.announce(took);
                let unread_maps = running.unread_maps();
                (Step::Start { running, replaces: replaces.clone() }, unread_maps, replaces)
            }
            Prepared::Exchange { running, exchange, unread_maps } => {
                exchange.claim(&unread_maps);
                (Step::Exchange { running: running.clone(), exchange }, unread_maps, Some(running))
            }
        };
        if let Some(state) = predecessor.and_then(|file| self.packages.get_mut(&file)) {
            state.running = None;
        }
        (step, unread_maps)
    }

    /// Keeps a refusal. It is news, which is logged and counted, unless the package was tried again by itself to no other end.
    fn refuse(&mut self, file: &Path, refusal: Refusal, cause: Cause) -> bool {
        let state = self.packages.entry(file.to_owned()).or_default();
        state.switched_off = None;
        let known = state.refusal.as_ref().filter(|before| before.reason == refusal.reason);
        let is_news = cause == Cause::Request || known.is_none();
        let since = known.filter(|before| before.name == refusal.name).map_or(refusal.since, |before| before.since);
        if is_news {
            let (file, reason) = (file.display(), &refusal.reason);
            match &state.running {
                Some(_) => error!(%file, "package not exchanged, the version before goes on: {reason}"),
                None => error!(%file, "package left out: {reason}"),
            }
        }
        state.refusal = Some(Refusal { since, ..refusal });
        is_news
    }

    /// Every refused package, as the agent reports it.
    pub(super) fn refused(&self) -> BTreeMap<PathBuf, RefusedPackage> {
        let refused = |(file, refusal): (&PathBuf, &Refusal)| {
            let (name, reason) = (refusal.name.clone(), refusal.reason.clone());
            (file.clone(), RefusedPackage { name, reason, since: refusal.since, cause: refusal.cause })
        };
        self.packages.iter().filter_map(|(file, state)| Some((file, state.refusal.as_ref()?))).map(refused).collect()
    }
}

impl Attempt {
    fn take(&mut self, file: PathBuf, examined: Examined) {
        match examined {
            Examined::Unchanged => self.unchanged.push(file),
            Examined::Candidate(candidate) => drop(self.candidates.insert(file, candidate)),
            Examined::Refused(refusal) => drop(self.refusals.insert(file, refusal)),
            Examined::SwitchedOff(name) => drop(self.switched_off.insert(file, name)),
        }
    }
}
