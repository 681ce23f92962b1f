//! Packages on their way to the agent: read, held against the pins, compiled, described, loaded; at the start and whenever they change.
//!
//! After the start it lives in a thread of its own, so that scrapes go on while a component is compiled. It never touches what runs:
//! it hands whole packages over, and the agent's thread swaps them in.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc as std_mpsc},
    time::Instant,
};

use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::{
    ReloadRequests,
    names::Names,
    notice::{ForChanges, Notice, Woken},
    package::{Described, Exchange, RunError, Running, folder_name},
    watch::{Found, Stamp, Watch, folders, stamp},
};
use ebhost_kernel::{KernelContext, UnreadMaps};
use ebhost_limits as limits;
use ebhost_package::{Digest, FolderError, Package, PackageFolders, Trust};
use ebhost_plugin_host::Engine;

/// What the agent's thread is to do with a package.
pub(super) enum Change {
    /// Run it, in the place of the version before, if there is one.
    Start(Box<Running>),
    /// Go on with another component; the answer says whether that was done.
    Exchange { exchange: Box<Exchange>, done: std_mpsc::Sender<bool> },
    /// Let go of it.
    Remove(PathBuf),
    /// Its files are of no use: what runs goes on.
    Refused { file: PathBuf, fault: String },
    /// Its files are those of the version that runs, again.
    Current(PathBuf),
}

/// What runs of a package.
#[derive(Debug)]
struct Known {
    content: Digest,
    kernel_part: Digest,
    unread_maps: UnreadMaps,
}

pub(super) struct Loader {
    places: PackageFolders,
    engine: Engine,
    types: Arc<KernelContext>,
    trust: Option<Trust>,
    names: Names,
    known: BTreeMap<PathBuf, Known>,
    watch: Watch,
    notice: Notice,
    is_readable: bool,
}

impl Loader {
    pub(super) fn new(
        places: PackageFolders,
        names: Names,
        engine: Engine,
        types: Arc<KernelContext>,
        trust: Option<Trust>,
    ) -> Self {
        Self {
            places,
            engine,
            types,
            trust,
            names,
            known: BTreeMap::new(),
            watch: Watch::default(),
            notice: Notice::new(),
            is_readable: true,
        }
    }

    /// Every package that runs, and the files of those that do not, with why.
    pub(super) fn start(&mut self) -> Result<(Vec<Running>, BTreeMap<PathBuf, String>), FolderError> {
        let files = self.places.all()?;
        if !files.is_empty() {
            self.types.read_ahead();
        }
        self.watch.take(stamps(&files));
        let (mut running, mut left_out) = (Vec::new(), BTreeMap::new());
        for file in files {
            let started = Instant::now();
            match self.start_one(&file) {
                Ok(mut package) => {
                    package.announce(started.elapsed());
                    running.push(package);
                }
                Err(fault) => {
                    error!(file = %file.display(), "package left out: {fault}");
                    left_out.insert(file, fault.to_string());
                }
            }
        }
        Ok((running, left_out))
    }

    fn start_one(&mut self, file: &Path) -> Result<Running, RunError> {
        let package = self.read(file)?;
        let (content, kernel_part) = (package.content(), package.kernel_part());
        let described = self.describe(package)?;
        let schema = described.schema().clone();
        let running = Running::start(described, &self.types)?;
        self.names.take(file, &running.name, running.compat, &schema);
        self.known.insert(file.to_owned(), Known { content, kernel_part, unread_maps: running.unread_maps() });
        Ok(running)
    }

    /// Looks through the folder until nobody takes changes any more. A request says not to wait.
    pub(super) fn watch(&mut self, polling: Polling, requests: &mut ReloadRequests, changes: &mpsc::Sender<Change>) {
        // Looks that are still to come whatever is told, and the pause before each.
        let (mut left, mut pause) = (0, limits::LOOK);
        // One that was received before a panic, after which this runs again, waits still.
        requests.finish();
        if polling == Polling::On && self.look(changes).is_err() {
            return;
        }
        loop {
            if polling == Polling::On && !self.watch.is_settled() {
                left = left.max(1);
            }
            let (for_changes, time) = match polling {
                _ if left > 0 => (ForChanges::No, Some(pause)),
                Polling::Off => (ForChanges::No, None),
                Polling::On if self.notice.tells_all() => (ForChanges::Yes, Some(limits::LOOK_ANYWAY)),
                Polling::On => (ForChanges::No, Some(limits::LOOK)),
            };
            match self.notice.wait(&mut requests.pipe, for_changes, time) {
                Woken::Closed => return,
                Woken::Asked => {
                    info!("reloading");
                    self.reload_pins();
                    self.watch.doubt_all();
                    (left, pause) = (LOOKS_AFTER_SIGNAL, limits::LOOK_SOON);
                    requests.receive();
                }
                // Once more later, however much is told until then.
                Woken::ByChange => (left, pause) = (1, limits::LOOK),
                Woken::ByTime if left > 0 => left -= 1,
                Woken::ByTime => pause = limits::LOOK,
            }
            if self.look(changes).is_err() {
                return;
            }
            if left == 0 || self.watch.is_settled() {
                requests.finish();
            }
        }
    }

    fn look(&mut self, changes: &mpsc::Sender<Change>) -> Result<(), Closed> {
        self.notice.forget();
        self.notice.follow(&folders(&self.places));
        let files = match self.places.present() {
            Ok(files) => files,
            Err(fault) => {
                if std::mem::take(&mut self.is_readable) {
                    error!("what runs goes on: {fault}");
                }
                return Ok(());
            }
        };
        self.is_readable = true;
        for found in self.watch.look(stamps(&files)) {
            match found {
                Found::Changed(file) => self.reload(&file, changes)?,
                Found::Gone(file) => {
                    info!(package = folder_name(&file), "package removed");
                    self.names.give_back(&file);
                    self.known.remove(&file);
                    send(changes, Change::Remove(file))?;
                }
            }
        }
        Ok(())
    }

    fn reload(&mut self, file: &Path, changes: &mpsc::Sender<Change>) -> Result<(), Closed> {
        let started = Instant::now();
        let before = stamp(file);
        let result = self.reloaded(file, changes);
        if stamp(file) != before {
            self.watch.doubt(file);
        }
        match result {
            Ok(Ok(Reloaded::Same)) => send(changes, Change::Current(file.to_owned())),
            Ok(Ok(Reloaded::Whole(mut package))) => {
                package.announce(started.elapsed());
                send(changes, Change::Start(package))
            }
            Ok(Ok(Reloaded::Component)) => Ok(()),
            Ok(Err(Closed)) => Err(Closed),
            Err(fault) => {
                if self.known.contains_key(file) {
                    error!(file = %file.display(), "package not exchanged, the version before goes on: {fault}");
                } else {
                    error!(file = %file.display(), "package left out: {fault}");
                }
                send(changes, Change::Refused { file: file.to_owned(), fault: fault.to_string() })
            }
        }
    }

    fn reloaded(&mut self, file: &Path, changes: &mpsc::Sender<Change>) -> Result<Result<Reloaded, Closed>, RunError> {
        let package = self.read(file)?;
        let (content, kernel_part) = (package.content(), package.kernel_part());
        let before = self.known.get(file);
        if before.is_some_and(|before| (before.content, before.kernel_part) == (content, kernel_part)) {
            return Ok(Ok(Reloaded::Same));
        }
        let described = self.describe(package)?;
        let (name, compat) = (described.package.name.clone(), described.package.compat);
        let schema = described.schema().clone();
        let same_kernel_part = before.filter(|before| before.kernel_part == kernel_part);
        let (reloaded, unread_maps) = match same_kernel_part {
            Some(before) => {
                let exchange = Box::new(Exchange::prepare(described, &before.unread_maps, &self.types)?);
                let (done, is_done) = std_mpsc::channel();
                if let Err(closed) = send(changes, Change::Exchange { exchange, done }) {
                    return Ok(Err(closed));
                }
                if !is_done.recv().unwrap_or(false) {
                    return Ok(Ok(Reloaded::Component));
                }
                (Reloaded::Component, before.unread_maps.clone())
            }
            None => {
                let running = Running::start(described, &self.types)?;
                let unread_maps = running.unread_maps();
                (Reloaded::Whole(Box::new(running)), unread_maps)
            }
        };
        self.names.take(file, &name, compat, &schema);
        self.known.insert(file.to_owned(), Known { content, kernel_part, unread_maps });
        Ok(Ok(reloaded))
    }

    fn read(&self, file: &Path) -> Result<Package, RunError> {
        let package = self.places.read(file)?;
        if let Some(spans) = package.spans() {
            warn!(package = package.name, "{spans}");
        }
        if let Some(trust) = &self.trust {
            trust.check(&package)?;
        }
        Ok(package)
    }

    fn describe(&self, package: Package) -> Result<Described, RunError> {
        let described = Described::new(package, &self.engine)?;
        self.names.check(&described.package, described.schema())?;
        Ok(described)
    }

    fn reload_pins(&mut self) {
        match self.trust.as_ref().map(Trust::read_again).transpose() {
            Ok(Some(trust)) => self.trust = Some(trust),
            Ok(None) => {}
            Err(fault) => warn!("the pins stay what they were: {fault}"),
        }
    }
}

/// Whether the folder is looked through without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polling {
    On,
    Off,
}

/// Enough for a file whose copying had just begun to stand still.
const LOOKS_AFTER_SIGNAL: usize = 10;

enum Reloaded {
    Same,
    Component,
    Whole(Box<Running>),
}

/// The agent has ended.
struct Closed;

fn send(changes: &mpsc::Sender<Change>, change: Change) -> Result<(), Closed> {
    changes.blocking_send(change).map_err(|_| Closed)
}

fn stamps(files: &[PathBuf]) -> BTreeMap<PathBuf, Stamp> {
    files.iter().map(|file| (file.clone(), stamp(file))).collect()
}
