//! Who has which name: of packages and of the samples that their families print. Each stands for one package.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ebhost_metrics::Family;
use ebhost_package::{Compat, Package};
use ebhost_series::schema::Schema;
use ebhost_telemetry as telemetry;

/// The names in use.
#[derive(Debug)]
pub struct Names {
    /// What plugins' families begin with.
    namespace: String,
    own: BTreeMap<PathBuf, Own>,
}

#[derive(Debug)]
struct Own {
    package: String,
    samples: Vec<String>,
}

/// Why a package cannot have its names.
#[derive(Debug, thiserror::Error)]
pub(super) enum NameError {
    #[error("{file}: the package name `{name}` is taken by another package; a name stands for one package")]
    Package { file: PathBuf, name: String },
    #[error("{file}: its family `{family}` prints `{sample}`, a name that {by} has already; rename the family")]
    Family { file: PathBuf, family: String, sample: String, by: String },
}

impl Default for Names {
    fn default() -> Self {
        Self::new("ebhost")
    }
}

impl Names {
    /// `namespace`: what plugins' families begin with; drop-in configurations have their own.
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), own: BTreeMap::new() }
    }

    /// As they are printed.
    fn samples(&self, compat: Compat, family: &Family) -> impl Iterator<Item = String> {
        let namespace = compat.namespace(&self.namespace).to_owned();
        family.sample_names().into_iter().map(move |sample| format!("{namespace}_{sample}"))
    }

    /// Whether a package can have its names beside the others; it may have had other ones before.
    pub(super) fn check(&self, package: &Package, schema: &Schema) -> Result<(), NameError> {
        let others = || self.own.iter().filter(|(file, _)| **file != package.file).map(|(_, own)| own);
        if others().any(|own| own.package == package.name) {
            return Err(NameError::Package { file: package.file.clone(), name: package.name.clone() });
        }
        let taken = |family: &Family, sample: String| {
            let by = match others().find(|own| own.samples.contains(&sample)) {
                Some(other) => format!("package `{}`", other.package),
                None if telemetry::is_own(&sample) => "ebhost itself".to_owned(),
                None => return Ok(()),
            };
            Err(NameError::Family { file: package.file.clone(), family: family.name.clone(), sample, by })
        };
        let mut families = schema.families.iter();
        families
            .try_for_each(|family| self.samples(package.compat, family).try_for_each(|sample| taken(family, sample)))
    }

    pub(super) fn take(&mut self, file: &Path, package: &str, compat: Compat, schema: &Schema) {
        let samples = schema.families.iter().flat_map(|family| self.samples(compat, family)).collect();
        self.own.insert(file.to_owned(), Own { package: package.to_owned(), samples });
    }

    pub(super) fn give_back(&mut self, file: &Path) {
        self.own.remove(file);
    }
}
