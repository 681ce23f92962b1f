//! The names that packages claim: their own and those of the samples that their families print. A name belongs to one package.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use ebhost_package::Package;
use ebhost_series::schema::{Kind, Schema};
use ebhost_telemetry as telemetry;

/// Everything that a package claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageNames {
    pub(super) package: String,
    /// By each sample's name, with its namespace.
    samples: BTreeMap<String, SampleOf>,
    /// Its histograms, without the namespace, and their units: what the settings may choose bounds for.
    histograms: BTreeSet<String>,
}

/// The family that prints a sample.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SampleOf {
    /// Its place among the package's samples: an error names the first in the manifest's order.
    order: usize,
    family: String,
}

/// Why a package cannot have its names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{file}: the package name `{name}` is taken by another package ({by}); a name stands for one package")]
    Package { file: PathBuf, name: String, by: PathBuf },
    #[error("{file}: its family `{family}` prints `{sample}`, a name that {by} has already; rename the family")]
    Family { file: PathBuf, family: String, sample: String, by: String },
}

/// The names in use, and the packages that have them.
#[derive(Debug, Default)]
pub struct MetricNameRegistry {
    packages: BTreeMap<String, PathBuf>,
    samples: BTreeMap<String, NameOwner>,
}

#[derive(Debug, Clone)]
struct NameOwner {
    file: PathBuf,
    package: String,
}

impl PackageNames {
    /// The names of a package that describes itself so; `namespace` is the prefix of plugins' families.
    pub fn new(package: &Package, schema: &Schema, namespace: &str) -> Self {
        let namespace = package.compat.namespace(namespace);
        let samples = schema.families.iter().flat_map(|family| {
            let samples = family.sample_names().into_iter();
            samples.map(move |sample| (format!("{namespace}_{sample}"), family.name.clone()))
        });
        let histograms = schema.families.iter().filter(|family| matches!(family.kind, Kind::Histogram(_)));
        let histograms = histograms.flat_map(|family| [family.name.clone(), family.unit.clone()]);
        let histograms = histograms.filter(|key| !key.is_empty()).collect();
        Self { package: package.name.clone(), samples: in_order(samples), histograms }
    }

    /// The names of its histograms, without the namespace, and their units.
    pub(super) fn histograms(&self) -> impl Iterator<Item = &str> {
        self.histograms.iter().map(String::as_str)
    }

    /// Whether none of them is reserved for the host's own metrics.
    ///
    /// # Errors
    /// The first that is.
    pub fn check_reserved(&self, file: &Path) -> Result<(), NameError> {
        let reserved = self.samples.iter().filter(|(sample, _)| telemetry::is_own(sample));
        match reserved.min_by_key(|(_, of)| of.order) {
            None => Ok(()),
            Some((sample, of)) => Err(NameError::Family {
                file: file.to_owned(),
                family: of.family.clone(),
                sample: sample.clone(),
                by: "ebhost itself".to_owned(),
            }),
        }
    }

    /// Those of the names that are in `other` too.
    pub(super) fn shared_with(&self, other: &Self) -> Self {
        let samples = self.samples.iter().filter(|(sample, _)| other.samples.contains_key(*sample));
        let samples = samples.map(|(sample, of)| (sample.clone(), of.clone())).collect();
        // A package without a name holds none.
        let package = if self.package == other.package { self.package.clone() } else { String::new() };
        Self { package, samples, histograms: BTreeSet::new() }
    }
}

impl MetricNameRegistry {
    /// Whether the package known by `file` can have these names beside all others.
    ///
    /// # Errors
    /// The first name that another package has.
    pub fn check_conflicts(&self, file: &Path, names: &PackageNames) -> Result<(), NameError> {
        if let Some(by) = self.packages.get(&names.package).filter(|by| *by != file) {
            return Err(NameError::Package { file: file.to_owned(), name: names.package.clone(), by: by.clone() });
        }
        let owned_by_another = |(sample, of)| {
            let owner = self.samples.get(sample).filter(|owner| owner.file != file)?;
            Some((sample, of, owner))
        };
        let conflicts = names.samples.iter().filter_map(owned_by_another);
        match conflicts.min_by_key(|(_, of, _): &(&String, &SampleOf, &NameOwner)| of.order) {
            None => Ok(()),
            Some((sample, of, owner)) => Err(NameError::Family {
                file: file.to_owned(),
                family: of.family.clone(),
                sample: sample.clone(),
                by: format!("package `{}`", owner.package),
            }),
        }
    }

    /// Gives the names to the package that is known by `file`. `package` is what it is called in messages.
    pub fn insert(&mut self, file: &Path, names: &PackageNames, package: &str) {
        if !names.package.is_empty() {
            self.packages.insert(names.package.clone(), file.to_owned());
        }
        let owner = NameOwner { file: file.to_owned(), package: package.to_owned() };
        self.samples.extend(names.samples.keys().map(|sample| (sample.clone(), owner.clone())));
    }
}

/// Names of samples and their families, in the manifest's order.
fn in_order(samples: impl Iterator<Item = (String, String)>) -> BTreeMap<String, SampleOf> {
    samples.enumerate().map(|(order, (sample, family))| (sample, SampleOf { order, family })).collect()
}

#[cfg(test)]
impl PackageNames {
    /// Made-up names.
    pub(super) fn of(package: &str, samples: &[&str]) -> Self {
        let samples = samples.iter().map(|sample| ((*sample).to_owned(), (*sample).to_owned()));
        Self { package: package.to_owned(), samples: in_order(samples), histograms: BTreeSet::new() }
    }
}
