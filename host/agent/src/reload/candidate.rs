//! A version on its way: read → described → prepared. Each stage leaves what runs untouched.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tracing::warn;

use super::{
    super::{
        SpanReceiver,
        package::{DescribeError, Described, Exchange, RunError, Running},
    },
    Reloader,
    names::PackageNames,
    state::{Refusal, Retry, RunningVersion, Version},
};
use ebhost_kernel::UnreadMaps;
use ebhost_package::{Package, PackageError, Read};

/// A version that may run if it can have its names.
pub(super) struct Candidate {
    pub(super) names: PackageNames,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// It was refused for its names in an earlier reload, and is read again when it can have them.
    Refused,
    Described {
        described: Box<Described>,
        version: Version,
        took: Duration,
    },
    Prepared {
        prepared: Prepared,
        version: Version,
        took: Duration,
    },
}

/// A version of which only the swap is left.
pub(super) enum Prepared {
    Start { running: Box<Running>, replaces: Option<PathBuf> },
    Exchange { running: PathBuf, exchange: Box<Exchange>, unread_maps: UnreadMaps },
}

/// The result of reading a package.
pub(super) enum Examined {
    Unchanged,
    Candidate(Candidate),
    Refused(Refusal),
    /// A package of this name, which is not to run.
    SwitchedOff(String),
}

impl Reloader {
    /// Reads, compiles and describes a package: everything that needs no privilege, so that mistakes are found first.
    pub(super) fn examine(&self, file: &Path) -> Examined {
        let started = Instant::now();
        let package = match self.folders.read(file, self.settings.current()) {
            Ok(Read::Package(package)) => *package,
            Ok(Read::SwitchedOff { name }) => return Examined::SwitchedOff(name),
            Err(error) => return Examined::Refused(self.refusal(file, None, &error.into())),
        };
        let (version, name) = (Version::of(&package), Some(package.name.clone()));
        let running = self.packages.get(file).and_then(|state| state.running.as_ref());
        // Pins are held against every read: what runs goes on, and is not current without its pin.
        if let Err(error) = self.pins.check(&package) {
            return Examined::Refused(self.refusal(file, name, &error.into()));
        }
        if running.is_some_and(|running| running.version == version) {
            return Examined::Unchanged;
        }
        match self.describe(package) {
            Ok((described, names)) => Examined::Candidate(Candidate {
                names,
                stage: Stage::Described { described: Box::new(described), version, took: started.elapsed() },
            }),
            Err(error) => Examined::Refused(self.refusal(file, name, &error)),
        }
    }

    fn describe(&self, package: Package) -> Result<(Described, PackageNames), RunError> {
        for warning in package.warnings() {
            warn!(package = package.name, "{warning}");
        }
        let mut described = Described::new(package, &self.engine)?;
        if self.spans == SpanReceiver::NotGiven
            && let Some(warning) = described.leave_spans_out()
        {
            warn!(package = described.package.name, "{warning}");
        }
        described.package.component.bytes = Vec::new(); // it is compiled, and packages wait for each other here
        let names = PackageNames::new(&described.package, described.schema(), &self.namespace);
        names.check_reserved(&described.package.file)?;
        Ok((described, names))
    }

    /// Loads and attaches a version beside the one that runs; or, if they differ in nothing that the kernel is given, opens what
    /// the new component reads. `others` are the names of the packages that may be started with it.
    pub(super) fn prepare(
        &self,
        file: &Path,
        described: Described,
        version: Version,
        others: &BTreeSet<&str>,
    ) -> Result<Prepared, RunError> {
        let predecessor = self.predecessor(file, &described.package.name, others);
        if let Some((running, before)) =
            predecessor.filter(|(_, before)| before.version.kernel_part == version.kernel_part)
        {
            let exchange = Box::new(Exchange::prepare(described, &before.unread_maps, &self.types)?);
            let unread_maps = before.unread_maps.clone();
            return Ok(Prepared::Exchange { running: running.to_owned(), exchange, unread_maps });
        }
        let replaces = predecessor.map(|(file, _)| file.to_owned());
        let running = Box::new(Running::start(described, &self.types)?);
        Ok(Prepared::Start { running, replaces })
    }

    /// The running version that a new one follows: the one with the same package name, for a folder may be renamed or carry the version
    /// in its name; otherwise that of the same file, unless one of the packages `others` takes its name over and follows it.
    fn predecessor(&self, file: &Path, name: &str, others: &BTreeSet<&str>) -> Option<(&Path, &RunningVersion)> {
        let mut running =
            self.packages.iter().filter_map(|(file, state)| Some((file.as_path(), state.running.as_ref()?)));
        let of_the_file =
            running.clone().find(|(other, running)| *other == file && !others.contains(running.names.package.as_str()));
        running.find(|(_, running)| running.names.package == name).or(of_the_file)
    }

    pub(super) fn refusal(&self, file: &Path, name: Option<String>, error: &RunError) -> Refusal {
        let before = self.packages.get(file).and_then(|state| state.refusal.as_ref());
        let retry = if may_pass(error) { Retry::later(before) } else { Retry::WhenFilesChange };
        Refusal::new(name, error.to_string(), retry)
    }
}

impl Candidate {
    /// The names of a version that was refused for them.
    pub(super) fn refused(names: &PackageNames) -> Self {
        Self { names: names.clone(), stage: Stage::Refused }
    }
}

/// Whether the same files may well load later: the machine refused them, not their content.
fn may_pass(error: &RunError) -> bool {
    match error {
        RunError::Package(PackageError::Unreadable { source, .. }) => source.kind() != io::ErrorKind::NotFound,
        RunError::Load(_) => true,
        RunError::Describe(DescribeError::Component(error)) => error.may_pass(),
        _ => false,
    }
}
