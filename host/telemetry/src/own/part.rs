//! Parts of the host's own metrics: families that are collected, and encoded, together.
//!
//! Reading a registry through the structured encoding costs about half a microsecond a series, so it is done only when there are other
//! series than before. Numbers alone are refreshed in place ([`Refresh`]).

use std::{
    fmt, io,
    ops::Range,
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

use super::{
    PackageReport, Report,
    families::Families,
    fragments::Fragments,
    model,
    refresh::{CollectedFamily, Refresh},
};
use ebhost_metrics::{Encoder, FamilySeries, Format, Presentation};

/// The report that collectors render, and the packages among it that they are asked for.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub(super) report: Report,
    /// The packages that the host's own metrics are about: indices in `report.packages`.
    pub(super) named: Vec<usize>,
    /// Those among `named` that the collectors render.
    pub(super) selected: Vec<usize>,
}

impl Subject {
    /// Runs a render function for some packages.
    fn render(&self, render: RenderFn, selected: &[usize], families: &mut Families<'_, '_>) -> fmt::Result {
        let packages = &self.report.packages;
        let selected: Vec<_> = selected.iter().filter_map(|index| packages.get(*index)).collect();
        render(families, &self.report, &selected)
    }
}

/// A [`Subject`] that collectors share with those who collect.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedSubject(Arc<Mutex<Subject>>);

impl SharedSubject {
    pub(super) fn lock(&self) -> MutexGuard<'_, Subject> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes families and gives them the samples of a report; those about packages for the selected ones. It names the same families in
/// the same order each time.
pub(super) type RenderFn = fn(&mut Families<'_, '_>, &Report, &[&PackageReport]) -> fmt::Result;

/// Which packages the render functions of a part are run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// Once for all of them.
    Once,
    /// Once for each, so that those that have not changed are passed over.
    ByPackage,
}

/// Registered families, and their series as they were last collected.
#[derive(Debug)]
pub(super) struct Part {
    registry: Registry,
    renders: Vec<RenderFn>,
    runs: Runs,
    subject: SharedSubject,
    families: Vec<CollectedFamily>,
    /// For each run of the render functions, which series of each family it gave.
    series: Vec<Vec<Range<usize>>>,
    /// The version of the families that changed last.
    version: u64,
    fragments: Fragments,
    #[cfg(test)]
    pub(super) times_collected: usize,
}

impl Part {
    pub(super) fn new(subject: &SharedSubject, runs: Runs) -> Self {
        Self {
            registry: Registry::default(),
            renders: Vec::new(),
            runs,
            subject: subject.clone(),
            families: Vec::new(),
            series: Vec::new(),
            version: 0,
            fragments: Fragments::default(),
            #[cfg(test)]
            times_collected: 0,
        }
    }

    /// Adds families whose names begin with `prefix`. Those without one come first, since a registry is read in this order.
    pub(super) fn register(mut self, prefix: Option<&str>, render: RenderFn) -> Self {
        let registry = match prefix {
            Some(prefix) => self.registry.sub_registry_with_prefix(prefix),
            None => &mut self.registry,
        };
        registry.register_collector(Box::new(ReportCollector { subject: self.subject.clone(), render }));
        self.renders.push(render);
        self
    }

    #[cfg(test)]
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Descriptions of all families, and series of the subject's selected packages.
    pub(super) fn collect(&self) -> Vec<MetricFamily> {
        let collected = prometheus_protobuf::encode(&self.registry);
        debug_assert!(collected.is_ok(), "numbers are encoded into memory");
        collected.unwrap_or_default()
    }

    /// Brings the series up to date with the subject. `has_changed`: for each named package, whether its report is another one.
    pub(super) fn update(&mut self, has_changed: &[bool]) {
        self.version += 1;
        let subject = self.subject.clone();
        let is_refreshed = self.refresh(&subject.lock(), has_changed);
        if is_refreshed.is_err() {
            self.collect_anew();
            #[cfg(test)]
            {
                self.times_collected += 1;
            }
        }
    }

    /// The packages of each run.
    fn selections<'n>(&self, named: &'n [usize]) -> Vec<&'n [usize]> {
        match self.runs {
            Runs::Once => vec![named],
            Runs::ByPackage => named.chunks(1).collect(),
        }
    }

    /// Overwrites the numbers of the known series.
    ///
    /// # Errors
    /// If there are other series now.
    fn refresh(&mut self, subject: &Subject, has_changed: &[bool]) -> fmt::Result {
        let selections = self.selections(&subject.named);
        if selections.len() != self.series.len() {
            return Err(fmt::Error);
        }
        let is_due =
            |run: usize| self.runs == Runs::Once || has_changed.get(run).is_none_or(|has_changed| *has_changed);
        for (run, (selected, series)) in selections.into_iter().zip(&self.series).enumerate() {
            if !is_due(run) {
                continue;
            }
            let mut refresh = Refresh::new(&mut self.families, series, self.version);
            for render in &self.renders {
                subject.render(*render, selected, &mut Families::Refresh(&mut refresh))?;
            }
        }
        Ok(())
    }

    /// Reads the registry once for each run.
    fn collect_anew(&mut self) {
        let named = self.subject.lock().named.clone();
        let collect = |selected: &[usize]| {
            self.subject.lock().selected = selected.to_vec();
            self.collect()
        };
        let runs: Vec<_> = self.selections(&named).into_iter().map(collect).collect();
        let mut series = vec![Vec::new(); runs.len()];
        self.families.clear();
        for index in 0..runs.first().map_or(0, Vec::len) {
            let families: Vec<_> = runs.iter().filter_map(|run| run.get(index)).collect();
            let Some(family) = model::family(&families) else { continue };
            let mut end = 0;
            for (run, family) in series.iter_mut().zip(&families) {
                run.push(end..end + family.metric.len());
                end += family.metric.len();
            }
            self.families.push(CollectedFamily { family, version: self.version });
        }
        self.series = series;
    }

    pub(super) fn series(&self) -> impl Iterator<Item = FamilySeries<'_>> {
        self.families.iter().map(|collected| collected.family.series())
    }

    /// Passes the families to an encoder of `format`. Those that have not changed since the last time are not encoded again.
    pub(super) fn encode(&self, format: Format, encoder: &mut dyn Encoder) -> io::Result<()> {
        self.fragments.encode(format, &self.families, encoder)
    }

    /// Passes the families to an encoder, for a part in which most families change each time.
    pub(super) fn encode_all(&self, encoder: &mut dyn Encoder) -> io::Result<()> {
        self.series().try_for_each(|series| encoder.family(Presentation::exact(""), series))
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
        subject.render(self.render, &subject.selected, &mut Families::Describe(&mut encoder))
    }
}
