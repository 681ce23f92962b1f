//! Parts of the host's own metrics: families that are collected, and encoded, together.
//!
//! Reading a registry through the structured encoding costs about half a microsecond a series, so it is done only for what has changed:
//! the families about packages package by package.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder,
        prometheus_protobuf::{self, prometheus_data_model::MetricFamily},
    },
    registry::Registry,
};

use super::{PackageReport, Report, families::Families, model};
use ebhost_metrics::{Created, Encoder, FamilySeries, Format, OwnedFamily, Presentation, encode_fragment};

/// The report that collectors render, and the packages among it that they are asked for.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub(super) report: Report,
    /// Indices in `report.packages`.
    pub(super) selected: Vec<usize>,
}

/// A [`Subject`] that collectors share with those who collect.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedSubject(Arc<Mutex<Subject>>);

impl SharedSubject {
    pub(super) fn lock(&self) -> MutexGuard<'_, Subject> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes families and gives them the samples of a report; those about packages for the selected ones.
pub(super) type RenderFn = fn(&mut Families<'_, '_>, &Report, &[&PackageReport]) -> fmt::Result;

/// Registered families, and their series as they were last collected.
#[derive(Debug)]
pub(super) struct Part {
    registry: Registry,
    subject: SharedSubject,
    families: Vec<OwnedFamily>,
    /// The families encoded, for each format in which they were asked for since.
    fragments: RefCell<HashMap<Format, Vec<u8>>>,
}

impl Part {
    pub(super) fn new(subject: &SharedSubject) -> Self {
        let (subject, families, fragments) = (subject.clone(), Vec::new(), RefCell::default());
        Self { registry: Registry::default(), subject, families, fragments }
    }

    pub(super) fn register(mut self, prefix: Option<&str>, render: RenderFn) -> Self {
        let registry = match prefix {
            Some(prefix) => self.registry.sub_registry_with_prefix(prefix),
            None => &mut self.registry,
        };
        registry.register_collector(Box::new(ReportCollector { subject: self.subject.clone(), render }));
        self
    }

    #[cfg(test)]
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Descriptions of all families, and series of the subject.
    pub(super) fn collect(&self) -> Vec<MetricFamily> {
        let collected = prometheus_protobuf::encode(&self.registry);
        debug_assert!(collected.is_ok(), "numbers are encoded into memory");
        collected.unwrap_or_default()
    }

    /// Collects anew.
    pub(super) fn update(&mut self) {
        let collected = self.collect();
        self.set(&[&collected]);
    }

    /// Takes over what was collected, possibly in several runs, which have the same families in the same order.
    fn set(&mut self, runs: &[&Vec<MetricFamily>]) {
        let count = runs.first().map_or(0, |run| run.len());
        let family = |index: usize| {
            let parts: Vec<_> = runs.iter().filter_map(|run| run.get(index)).collect();
            model::family(&parts)
        };
        self.families = (0..count).filter_map(family).collect();
        self.fragments.get_mut().clear();
    }

    pub(super) fn series(&self) -> impl Iterator<Item = FamilySeries<'_>> {
        self.families.iter().map(OwnedFamily::series)
    }

    /// Passes the families to an encoder of `format`. They are encoded once between two updates.
    pub(super) fn encode(&self, format: Format, encoder: &mut dyn Encoder) -> io::Result<()> {
        let mut fragments = self.fragments.borrow_mut();
        // No start time is known of them, so `Created` makes no difference.
        let encode = || encode_fragment(format, Created::LeftOut, Presentation::exact(""), self.series());
        encoder.fragment(fragments.entry(format).or_insert_with(encode))
    }
}

/// Families about packages, collected again only for packages that have changed.
#[derive(Debug)]
pub(super) struct PackagePart {
    pub(super) part: Part,
    /// Whether two reports on a package give the same series here.
    is_same: fn(&PackageReport, &PackageReport) -> bool,
    collected: Vec<(PackageReport, Vec<MetricFamily>)>,
}

impl PackagePart {
    pub(super) fn new(part: Part, is_same: fn(&PackageReport, &PackageReport) -> bool) -> Self {
        Self { part, is_same, collected: Vec::new() }
    }

    /// Collects the packages with these indices that are not as they were.
    pub(super) fn update(&mut self, packages: &[usize]) {
        let mut has_changed = self.collected.len() != packages.len();
        self.collected.truncate(packages.len());
        for (at, &index) in packages.iter().enumerate() {
            let report = {
                let mut subject = self.part.subject.lock();
                let report = &subject.report.packages[index];
                if self.collected.get(at).is_some_and(|(last, _)| (self.is_same)(last, report)) {
                    continue;
                }
                let report = report.clone();
                subject.selected = vec![index];
                report
            };
            let collected = (report, self.part.collect());
            match self.collected.get_mut(at) {
                Some(last) => *last = collected,
                None => self.collected.push(collected),
            }
            has_changed = true;
        }
        if has_changed {
            let runs: Vec<_> = self.collected.iter().map(|(_, families)| families).collect();
            self.part.set(&runs);
        }
    }
}

#[derive(Debug)]
struct ReportCollector {
    subject: SharedSubject,
    render: RenderFn,
}

impl Collector for ReportCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let subject = self.subject.lock();
        let packages = &subject.report.packages;
        let selected: Vec<_> = subject.selected.iter().filter_map(|index| packages.get(*index)).collect();
        (self.render)(&mut Families(&mut encoder), &subject.report, &selected)
    }
}
