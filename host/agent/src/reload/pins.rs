//! The operator's pins between two reloads: read again when their file changed and stood still for a look, as the packages are that it pins,
//! and kept as they are when the new file has a mistake.

use std::path::{Path, PathBuf};

use tracing::warn;

use super::scan::{Stamp, file_stamp};
use ebhost_package::{Package, Trust, TrustError};

/// The pins in force, if there are any, and the state of the file that they were read from.
pub(super) struct WatchedPins {
    trust: Option<Trust>,
    /// The file as it was when it was read last; none: it is to be read again.
    examined: Option<Stamp>,
    last: Stamp,
}

impl WatchedPins {
    /// Pins that were read at the start.
    pub(super) fn new(trust: Option<Trust>) -> Self {
        let stamp = stamp(trust.as_ref());
        Self { trust, examined: Some(stamp.clone()), last: stamp }
    }

    /// Compares a package's files with the pins.
    pub(super) fn check(&self, package: &Package) -> Result<(), TrustError> {
        self.trust.as_ref().map_or(Ok(()), |trust| trust.check(package))
    }

    /// The folder in which the file can be replaced.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.trust.as_ref()?.file().parent().filter(|folder| folder.is_dir()).map(Path::to_owned)
    }

    /// Whether the file has been read as it is.
    pub(super) fn is_settled(&self) -> bool {
        self.examined.as_ref() == Some(&self.last)
    }

    /// Reads the file now.
    pub(super) fn read_again(&mut self) {
        self.last = stamp(self.trust.as_ref());
        self.examined = Some(self.last.clone());
        match self.trust.as_ref().map(Trust::read_again).transpose() {
            Ok(trust) => self.trust = trust,
            Err(error) => warn!("the pins stay what they were: {error}"),
        }
    }

    /// Looks at the file, and reads it when it changed and is as it was at the look before. Whether it was read.
    pub(super) fn look(&mut self) -> bool {
        let stamp = stamp(self.trust.as_ref());
        let stands_still = stamp == self.last;
        self.last = stamp;
        let is_read = stands_still && !self.is_settled();
        if is_read {
            self.read_again();
        }
        is_read
    }
}

fn stamp(trust: Option<&Trust>) -> Stamp {
    trust.map_or_else(Stamp::default, |trust| file_stamp(trust.file()))
}
