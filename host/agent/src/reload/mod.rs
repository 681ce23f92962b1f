//! Reload: what the package folders hold becomes what runs, at the start and whenever they change.
//!
//! A reload is one transaction: [`scan`] → [`desired`] → [`plan`] → [`transaction`] → [`apply`]. The desired set is validated as a
//! whole, every new version is made ready beside what runs, and the agent takes all of it over between two scrapes. A version that
//! fails leaves the one that runs untouched; it is refused with its reason, and tried again when the reason may be gone.
//!
//! After the start the [`Reloader`] lives in a thread of its own, so that scrapes go on while a component is compiled. It owns
//! the state of every package, and never touches what runs.

mod apply;
mod candidate;
mod desired;
#[cfg(test)]
mod model_test;
mod names;
mod notify;
mod pins;
mod plan;
mod scan;
mod settings;
mod state;
mod transaction;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tracing::{error, info};

use super::{AgentError, Options, Reload, ReloadRequests, SpanReceiver, budget::OverBudget};
pub(super) use apply::{RefusalCause, RefusedPackage, Transaction};
use desired::Debounce;
use ebhost_confine::{LOADING, Restart};
use ebhost_kernel::KernelContext;
use ebhost_limits as limits;
use ebhost_package::{FolderError, PackageFolders, Trust};
use ebhost_plugin_host::Engine;
pub(super) use names::NameError;
pub use names::{MetricNameRegistry, PackageNames};
use notify::{FolderNotifier, WaitFor, WakeReason};
use pins::WatchedPins;
use scan::{Presence, Stamp, folders_to_watch, scan, scan_listing};
use settings::{SettingsChange, WatchedSettings};
use state::PackageState;

/// Looks at the package folders, and makes transactions of what changed.
pub(super) struct Reloader {
    folders: PackageFolders,
    settings: WatchedSettings,
    /// The prefix of plugins' families.
    namespace: String,
    spans: SpanReceiver,
    engine: Engine,
    types: Arc<KernelContext>,
    pins: WatchedPins,
    packages: BTreeMap<PathBuf, PackageState>,
    debounce: Debounce,
    notifier: FolderNotifier,
    /// Whether the last look could list the folders.
    are_listed: bool,
}

/// The agent has ended.
#[derive(Debug)]
struct Closed;

/// Whether the folders are looked at without a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Polling {
    On,
    Off,
}

/// Looks after a signal: enough for a file whose copying had just begun to stand still.
const LOOKS_AFTER_SIGNAL: usize = 10;

impl Reloader {
    pub(super) fn new(options: &Options, engine: Engine, types: Arc<KernelContext>, trust: Option<Trust>) -> Self {
        Self {
            folders: options.folders.clone(),
            settings: WatchedSettings::new(options.settings.clone()),
            namespace: options.namespace.clone(),
            spans: options.spans,
            engine,
            types,
            pins: WatchedPins::new(trust),
            packages: BTreeMap::new(),
            debounce: Debounce::default(),
            notifier: FolderNotifier::new(),
            are_listed: true,
        }
    }

    /// Loads every package that is there.
    ///
    /// # Errors
    /// A plugin folder that cannot be listed or has no package in it. A package that does not load is in the transaction's list of
    /// refused ones.
    pub(super) fn start(&mut self) -> Result<Transaction, FolderError> {
        let listing = self.folders.list_at_start()?;
        if !listing.files.is_empty() {
            self.types.read_ahead();
        }
        let desired = self.debounce.start(scan_listing(listing));
        let mut whole = Transaction::default();
        let appended = self.reload(&desired, &mut |transaction| {
            whole.append(transaction);
            Ok(())
        });
        debug_assert!(appended.is_ok(), "nobody has to be there to take it");
        self.warn_of_unknown_settings();
        Ok(whole)
    }

    /// Starts the thread that looks at the folders from now on, and at once when there is a request. It ends when the agent does.
    pub(super) fn spawn(
        mut self,
        options: &Options,
        mut requests: ReloadRequests,
    ) -> Result<mpsc::Receiver<Transaction>, AgentError> {
        let (transactions, to_apply) = mpsc::channel(1);
        let polling = match options.reload {
            Reload::Watch => Polling::On,
            Reload::Signal => Polling::Off,
            Reload::Off => return Ok(to_apply),
        };
        let run = move || self.run(polling, &mut requests, &transactions);
        let thread = ebhost_confine::spawn("loader", LOADING | options.keep.0, Restart, run);
        thread.map(|_| to_apply).map_err(AgentError::Setup)
    }

    /// Looks at the folders until the agent has ended.
    fn run(&mut self, polling: Polling, requests: &mut ReloadRequests, transactions: &mpsc::Sender<Transaction>) {
        let mut commit = |transaction| transactions.blocking_send(transaction).map_err(|_| Closed);
        // Looks that are still to come whatever happens, and the pause before each.
        let (mut left, mut pause) = (0, limits::LOOK);
        // A request that was received before a panic, after which this runs again, still waits.
        requests.finish();
        if polling == Polling::On && self.look(&mut commit).is_err() {
            return;
        }
        loop {
            if polling == Polling::On && !self.is_settled() {
                left = left.max(1);
            }
            let (wait_for, timeout) = self.next_wait(polling, left, pause);
            let woken = self.notifier.wait(&mut requests.pipe, wait_for, timeout);
            if self.note_detached(requests.take_over_budget(), &mut commit).is_err()
                || self.end_packages(&mut commit).is_err()
            {
                return;
            }
            match woken {
                WakeReason::Shutdown => return,
                WakeReason::Budget => continue,
                WakeReason::Signal => {
                    info!("reloading");
                    self.read_everything_again();
                    (left, pause) = (LOOKS_AFTER_SIGNAL, limits::LOOK_SOON);
                    requests.receive();
                }
                // Once more later, however much changes until then.
                WakeReason::Inotify => (left, pause) = (1, limits::LOOK),
                WakeReason::Timeout if left > 0 => left -= 1,
                // It was for a package whose time is over: without a signal nothing else is looked at.
                WakeReason::Timeout if polling == Polling::Off => continue,
                WakeReason::Timeout => pause = limits::LOOK,
            }
            if self.look(&mut commit).is_err() {
                return;
            }
            if left == 0 || self.is_settled() {
                requests.finish();
            }
        }
    }

    /// Notes the packages that the agent has detached.
    fn note_detached(
        &mut self,
        detached: Vec<OverBudget>,
        commit: &mut dyn FnMut(Transaction) -> Result<(), Closed>,
    ) -> Result<(), Closed> {
        if detached.is_empty() {
            return Ok(());
        }
        for OverBudget { file, name, reason } in detached {
            self.packages.entry(file).or_default().detached(name, reason);
        }
        commit(Transaction { refused: self.refused(), ..Transaction::default() })
    }

    /// Switches off the packages whose time is over.
    fn end_packages(&mut self, commit: &mut dyn FnMut(Transaction) -> Result<(), Closed>) -> Result<(), Closed> {
        let ended = self.settings.end_packages();
        if ended.is_empty() {
            return Ok(());
        }
        let is_ended = |state: &PackageState| state.name().is_some_and(|name| ended.iter().any(|ended| ended == name));
        self.packages.values_mut().filter(|state| is_ended(state)).for_each(|state| state.examined = None);
        let desired = self.debounce.desired().clone();
        self.reload(&desired, commit)
    }

    fn next_wait(&self, polling: Polling, left: usize, pause: Duration) -> (WaitFor, Option<Duration>) {
        let (wait_for, timeout) = match polling {
            _ if left > 0 => return (WaitFor::Signal, Some(pause)),
            Polling::Off => (WaitFor::Signal, None),
            Polling::On if self.notifier.sees_every_change() => (WaitFor::SignalOrChange, Some(limits::LOOK_ANYWAY)),
            Polling::On => (WaitFor::Signal, Some(limits::LOOK)),
        };
        (wait_for, timeout.into_iter().chain(self.settings.next_end()).min())
    }

    /// Looks at the folders and the settings once, and reloads what a second look confirms.
    fn look(&mut self, commit: &mut dyn FnMut(Transaction) -> Result<(), Closed>) -> Result<(), Closed> {
        self.notifier.drain();
        let folders =
            folders_to_watch(&self.folders).into_iter().chain(self.settings.folder()).chain(self.pins.folder());
        self.notifier.watch(&folders.collect::<Vec<_>>());
        let settings = self.settings.look();
        match &settings {
            SettingsChange::Unchanged => {}
            SettingsChange::Changed => self.packages.values_mut().for_each(|state| state.examined = None),
            SettingsChange::Refused(error) => {
                error!("the settings stay what they were: {error}");
                commit(Transaction { refused: self.refused(), failures: 1, ..Transaction::default() })?;
            }
        }
        // A package that was refused may be pinned now, and one that runs no longer.
        if self.pins.look() {
            self.packages.values_mut().for_each(|state| state.examined = None);
        }
        self.look_at_packages(commit)?;
        if matches!(settings, SettingsChange::Changed) {
            self.warn_of_unknown_settings();
        }
        Ok(())
    }

    fn look_at_packages(&mut self, commit: &mut dyn FnMut(Transaction) -> Result<(), Closed>) -> Result<(), Closed> {
        match scan(&self.folders) {
            Ok(scan) => {
                self.are_listed = true;
                let desired = self.debounce.look(scan);
                self.reload(&desired, commit)
            }
            Err(error) => {
                if !std::mem::take(&mut self.are_listed) {
                    return Ok(());
                }
                error!("the packages that run go on: {error}");
                commit(Transaction { refused: self.refused(), failures: 1, ..Transaction::default() })
            }
        }
    }

    /// Whether everything that was found has been read as it is.
    fn is_settled(&self) -> bool {
        let is_examined = |file: &PathBuf, stamp: &Stamp| {
            self.packages.get(file).is_some_and(|state| state.examined.as_ref() == Some(stamp))
        };
        self.settings.is_settled()
            && self.pins.is_settled()
            && self.debounce.is_settled()
            && self.debounce.desired().iter().all(|(file, presence)| match presence {
                Presence::Present(stamp) => is_examined(file, stamp),
                Presence::Unknown(_) => true,
            })
    }

    /// Reads every package again, changed or not, and the pins: a package may depend on more than its files.
    fn read_everything_again(&mut self) {
        self.pins.read_again();
        self.settings.read_again();
        for state in self.packages.values_mut() {
            state.examined = None;
        }
    }

    fn warn_of_unknown_settings(&self) {
        // A package whose plugin.yaml cannot be read may be the one that is meant.
        let names: Option<Vec<_>> = self.packages.values().map(PackageState::name).collect();
        names.iter().for_each(|names| self.settings.warn_of_unknown(names));
        let running = self.packages.values().filter_map(|state| state.running.as_ref());
        self.settings.warn_of_unknown_bounds(&running.flat_map(|running| running.names.histograms()).collect());
    }
}
