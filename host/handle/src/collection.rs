//! Collections: the families that one reading of the kernel brought up to date.

use ebhost_metrics::{Family, FamilySeries};
use ebhost_telemetry::OwnMetrics;

/// The origin of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A plugin package.
    Package,
    /// A configuration written for ebpf_exporter.
    DropIn,
    /// The host itself.
    Host,
}

/// A family and its series, under the name that it is exposed by.
#[derive(Debug, Clone, Copy)]
pub struct NamedFamily<'a> {
    pub origin: Origin,
    /// The package that the family is of; empty for the host's own.
    pub package: &'a str,
    /// Precedes the family's name, with a `_` in between; empty if nothing does.
    pub namespace: &'a str,
    pub series: FamilySeries<'a>,
}

impl NamedFamily<'_> {
    /// The full name: `ebhost_bio_latency_seconds`.
    pub fn name(&self) -> String {
        full_name(self.namespace, self.series.family())
    }
}

/// Every family after one reading of the kernel, borrowed from the agent for the duration of a visit.
#[derive(Debug)]
pub struct Collection<'a> {
    /// The families of all packages whose maps were read in time, small packages first.
    pub packages: Vec<NamedFamily<'a>>,
    /// The host's own metrics, which keep their families encoded as long as they do not change.
    pub own: &'a OwnMetrics,
}

impl<'a> Collection<'a> {
    /// All families: those of packages, then the host's own.
    pub fn families(&self) -> impl Iterator<Item = NamedFamily<'a>> {
        let own =
            self.own.families().map(|series| NamedFamily { origin: Origin::Host, package: "", namespace: "", series });
        self.packages.iter().copied().chain(own)
    }
}

/// A family that is exposed, without its series.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyDescription {
    pub origin: Origin,
    /// Precedes the family's name, with a `_` in between; empty if nothing does.
    pub namespace: String,
    pub family: Family,
}

impl FamilyDescription {
    /// The full name: `ebhost_bio_latency_seconds`.
    pub fn name(&self) -> String {
        full_name(&self.namespace, &self.family)
    }
}

impl From<NamedFamily<'_>> for FamilyDescription {
    fn from(named: NamedFamily<'_>) -> Self {
        let (origin, namespace) = (named.origin, named.namespace.to_owned());
        Self { origin, namespace, family: named.series.family().clone() }
    }
}

fn full_name(namespace: &str, family: &Family) -> String {
    if namespace.is_empty() { family.name.clone() } else { format!("{namespace}_{}", family.name) }
}
