//! The state that the reloader keeps of each package. It is the only place where this is kept: the agent is told about it with every
//! transaction.

use std::time::{Duration, Instant, SystemTime};

use super::{apply::RefusalCause, names::PackageNames, scan::Stamp};
use ebhost_kernel::UnreadMaps;
use ebhost_limits as limits;
use ebhost_package::{Digest, Package};

/// A package whose files are there, or that runs.
#[derive(Debug, Default)]
pub(super) struct PackageState {
    /// The files as they were when they were read last; none: they are to be read again.
    pub(super) examined: Option<Stamp>,
    pub(super) running: Option<RunningVersion>,
    /// Why the version that the files are now does not run.
    pub(super) refusal: Option<Refusal>,
    /// The name of the package, if it is switched off.
    pub(super) switched_off: Option<String>,
    /// The version that was above its budget last, and how long it was left out for that.
    pub(super) over_budget: Option<(Digest, Duration)>,
}

impl PackageState {
    /// Notes that the agent has detached what ran. The same version is tried again after twice the pause of the time before.
    pub(super) fn detached(&mut self, name: String, reason: String) {
        let Some(running) = self.running.take() else { return };
        let content = running.version.content;
        let pause = match self.over_budget {
            Some((before, pause)) if before == content => (pause * 2).min(limits::LONGEST_RETRY),
            _ => limits::RETRY,
        };
        self.over_budget = Some((content, pause));
        self.refusal = Some(Refusal::over_budget(name, reason, pause));
    }

    /// The package's name, if its `plugin.yaml` could be read.
    pub(super) fn name(&self) -> Option<&str> {
        let running = self.running.as_ref().map(|running| running.names.package.as_str());
        let refused = || self.refusal.as_ref().and_then(|refusal| refusal.name.as_deref());
        self.switched_off.as_deref().or(running).or_else(refused)
    }
}

/// The version of a package that runs.
#[derive(Debug)]
pub(super) struct RunningVersion {
    pub(super) version: Version,
    pub(super) names: PackageNames,
    pub(super) unread_maps: UnreadMaps,
}

/// A version of a package, by its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) content: Digest,
    pub(super) kernel_part: Digest,
}

impl Version {
    pub(super) fn of(package: &Package) -> Self {
        Self { content: package.content(), kernel_part: package.kernel_part() }
    }
}

/// Why a version does not run, and when it is tried again. Any refused version is tried again when its files change and at
/// SIGHUP.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// The package's name, if its `plugin.yaml` could be read.
    pub(super) name: Option<String>,
    pub(super) reason: String,
    /// When it was refused for this reason first.
    pub(super) since: SystemTime,
    pub(super) retry: Retry,
    pub(super) cause: RefusalCause,
}

impl Refusal {
    /// A refusal of now.
    pub(super) fn new(name: Option<String>, reason: String, retry: Retry) -> Self {
        Self { name, reason, since: SystemTime::now(), retry, cause: RefusalCause::Version }
    }

    /// The refusal of a version that ran and cost too much.
    pub(super) fn over_budget(name: String, reason: String, pause: Duration) -> Self {
        let retry = Retry::Later { at: Instant::now() + pause, pause };
        Self { cause: RefusalCause::OverBudget, ..Self::new(Some(name), reason, retry) }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Retry {
    /// The files are wrong: only another file can help.
    WhenFilesChange,
    /// The names belong to another package.
    WhenFree(PackageNames),
    /// The machine refused it: memory, descriptors, a file system that does not answer.
    Later { at: Instant, pause: Duration },
}

impl Retry {
    /// The first try comes after `limits::RETRY`, each other one after twice the pause of the one before.
    pub(super) fn later(before: Option<&Refusal>) -> Self {
        let pause = match before {
            Some(Refusal { retry: Self::Later { pause, .. }, .. }) => (*pause * 2).min(limits::LONGEST_RETRY),
            _ => limits::RETRY,
        };
        Self::Later { at: Instant::now() + pause, pause }
    }

    pub(super) fn is_due(&self) -> bool {
        matches!(self, Self::Later { at, .. } if *at <= Instant::now())
    }
}
