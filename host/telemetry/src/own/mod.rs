//! The host's own metrics: registered with `prometheus-client`, exposed through the same model and encoders as plugins' families.
//!
//! The agent reports plain numbers once a scrape ([`Report`]); here they get names, help and labels. The registries are read through
//! `prometheus-client`'s structured encoding; its text is never parsed, and is only the oracle of the tests. The label `plugin` is a
//! package's name, as everywhere in the host's metrics.
//!
//! Most families do not change from one scrape to the next. Those without a [`Volatile`] field are collected and encoded again only
//! when the report has changed.

mod drop_ins;
mod families;
mod host;
mod kernel;
mod model;
mod part;
mod plugins;
mod report;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, io, sync::LazyLock};

use ebhost_metrics::{Encoder, FamilySeries, Format, Presentation};
use part::{PackagePart, Part, SharedSubject};
pub use report::{BuildInfo, EventsReport, MapReport, PackageReport, PerfReport, ProgramReport, Report, Volatile};

/// The host's own metrics as of the last report.
#[derive(Debug)]
pub struct OwnMetrics {
    subject: SharedSubject,
    host: Part,
    plugins: PackagePart,
    /// Families that have many series and seldom change.
    programs: PackagePart,
    volatile: Part,
}

impl OwnMetrics {
    pub fn new() -> Self {
        let subject = SharedSubject::default();
        let host = Part::new(&subject)
            .register(Some("ebhost"), |families, report, _| host::stable(families, report))
            .register(Some("ebpf_exporter"), |families, report, _| drop_ins::build_info(families, report));
        let plugins = Part::new(&subject)
            .register(Some("ebhost"), |families, report, packages| {
                plugins::plugins(families, packages)?;
                plugins::lives(families, report, packages)?;
                kernel::maps(families, packages)?;
                kernel::names(families, packages)?;
                kernel::events(families, packages)
            })
            .register(Some("ebpf_exporter"), |families, _, packages| drop_ins::configurations(families, packages));
        let programs = Part::new(&subject)
            .register(Some("ebhost"), |families, _, packages| {
                kernel::programs(families, packages)?;
                kernel::perf(families, packages)
            })
            .register(Some("ebpf_exporter"), |families, _, packages| drop_ins::programs(families, packages));
        let volatile = Part::new(&subject)
            .register(Some("ebhost"), |families, report, packages| {
                host::volatile(families, report)?;
                kernel::reads(families, packages)
            })
            // Client libraries give these names without a prefix.
            .register(None, |families, report, _| host::process(families, &report.process));
        let programs_are_same = |one: &PackageReport, other: &PackageReport| {
            (&one.name, one.is_drop_in, &one.programs, &one.perf)
                == (&other.name, other.is_drop_in, &other.programs, &other.perf)
        };
        Self {
            subject,
            host,
            plugins: PackagePart::new(plugins, |one, other| one == other),
            programs: PackagePart::new(programs, programs_are_same),
            volatile,
        }
    }

    /// Takes the report of a scrape.
    pub fn update(&mut self, report: Report) {
        let named = report.named_packages();
        let mut subject = self.subject.lock();
        let is_changed = subject.report != report || self.host.series().next().is_none();
        subject.report = report;
        drop(subject);
        if is_changed {
            self.host.update();
            self.plugins.update(&named);
            self.programs.update(&named);
        }
        self.subject.lock().selected = named;
        self.volatile.update();
    }

    /// The families as of the last report; some may be without series.
    pub fn families(&self) -> impl Iterator<Item = FamilySeries<'_>> {
        [&self.host, &self.plugins.part, &self.programs.part, &self.volatile].into_iter().flat_map(Part::series)
    }

    /// Encodes the families; `encoder` is of `format`. Families that have not changed since the last time are not encoded again.
    pub fn encode(&self, format: Format, encoder: &mut dyn Encoder) -> io::Result<()> {
        for part in [&self.host, &self.plugins.part, &self.programs.part] {
            part.encode(format, encoder)?;
        }
        self.volatile.series().try_for_each(|series| encoder.family(Presentation::exact(""), series))
    }

    /// The names of all samples that there can be, in any exposition format.
    fn sample_names(&self) -> HashSet<String> {
        let parts = [&self.host, &self.plugins.part, &self.programs.part, &self.volatile];
        let families = parts.into_iter().flat_map(Part::collect);
        let families = families.filter_map(|family| model::family(&[&family]));
        families.flat_map(|family| family.family().sample_names()).collect()
    }
}

impl Default for OwnMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a sample name is one of the host's own families', in any exposition format. The registries are asked for it, so that no
/// family can be forgotten.
pub fn is_own(sample: &str) -> bool {
    static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| OwnMetrics::new().sample_names());
    NAMES.contains(sample)
}
