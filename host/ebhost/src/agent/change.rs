//! Changes of what runs: the loader makes packages ready on a thread of its own, and the agent takes them between two scrapes.

use std::sync::mpsc as std_mpsc;

use tokio::sync::mpsc;
use tracing::info;

use super::{
    Agent, AgentError, Options, Reload, ReloadRequests,
    loader::{Change, Loader, Polling},
    package::Exchange,
};
use ebhost_confine::{LOADING, Restart};

/// Starts the thread that takes changes, which ends when the agent has.
pub(super) fn watch(
    mut loader: Loader,
    options: &Options,
    mut requests: ReloadRequests,
) -> Result<mpsc::Receiver<Change>, AgentError> {
    let (changes, to_change) = mpsc::channel(1);
    let polling = match options.reload {
        Reload::Watch => Polling::On,
        Reload::Signal => Polling::Off,
        Reload::Off => return Ok(to_change),
    };
    let watch = move || loader.watch(polling, &mut requests, &changes);
    let thread = ebhost_confine::spawn("loader", LOADING | options.keep.0, Restart, watch);
    thread.map(|_| to_change).map_err(AgentError::Setup)
}

impl Agent {
    /// Swaps a package whole, between two scrapes.
    pub(super) fn take(&mut self, change: Change) {
        match change {
            Change::Start(mut package) => {
                self.reloads += 1;
                self.left_out.remove(&package.file);
                match self.running.iter_mut().find(|running| running.file == package.file) {
                    Some(place) => {
                        package.inherit_counters(place);
                        *place = *package;
                    }
                    None => self.running.push(*package),
                }
                self.running.sort_by(|one, other| one.file.cmp(&other.file));
            }
            Change::Exchange { exchange, done } => self.exchange(*exchange, &done),
            Change::Remove(file) => {
                self.reloads += 1;
                self.left_out.remove(&file);
                self.running.retain(|running| running.file != file);
            }
            Change::Refused { file, fault } => {
                self.reload_failures += 1;
                match self.running.iter_mut().find(|running| running.file == file) {
                    Some(running) => running.is_current = false,
                    None => drop(self.left_out.insert(file, fault)),
                }
            }
            Change::Current(file) => {
                if let Some(running) = self.running.iter_mut().find(|running| running.file == file) {
                    running.is_current = true;
                }
            }
        }
    }

    fn exchange(&mut self, exchange: Exchange, done: &std_mpsc::Sender<bool>) {
        let file = &exchange.described.package.file;
        let running = self.running.iter_mut().find(|running| running.file == *file);
        let is_there = running.is_some();
        if let Some(running) = running {
            running.exchange(exchange);
            self.reloads += 1;
            info!(package = running.name, "component exchanged; programs, maps and counts stay");
        }
        // The loader may have ended, when the host is about to.
        let _ = done.send(is_there);
    }
}
