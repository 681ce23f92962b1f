//! The host's own metrics: registered with `prometheus-client`, exposed through the same model and encoders as plugins' families.
//!
//! The agent reports plain numbers once a scrape ([`Report`]); here they get names, help and labels. The registries are read through
//! `prometheus-client`'s structured encoding; its text is never parsed, and is only the oracle of the tests. The label `plugin` is a
//! package's name, as everywhere in the host's metrics.
//!
//! Most families do not change from one scrape to the next, and those that do mostly have the same series with other numbers. So a
//! registry is read only when there are other series; numbers are refreshed in place, and a family is encoded again only when one of
//! its numbers changed.

#[cfg(test)]
mod docs_test;
mod drop_ins;
mod families;
mod fragments;
mod host;
mod kernel;
mod model;
mod part;
mod plugins;
mod rates;
mod refresh;
mod report;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, io, sync::LazyLock};

use ebhost_metrics::{Encoder, FamilySeries, Format};
use part::{Part, Runs, SharedSubject};
pub use rates::{History, PackageRates, ProgramRates, Rates};
pub use report::{
    BuildInfo, EventsReport, FailureReport, KernelCpuReport, MapReport, MapRoom, PERF_STATES, PackageReport,
    PerfReport, ProgramReport, Report, SpansReport, Volatile,
};

/// The host's own metrics as of the last report.
#[derive(Debug)]
pub struct OwnMetrics {
    subject: SharedSubject,
    host: Part,
    packages: Part,
    /// Families that change with every scrape.
    volatile: Part,
}

impl OwnMetrics {
    pub fn new() -> Self {
        let subject = SharedSubject::default();
        let host = Part::new(&subject, Runs::Once)
            .register(Some("ebhost"), |families, report, _| {
                host::stable(families, report)?;
                host::http(families, &report.http)?;
                host::otlp(families, report.otlp.as_ref())
            })
            .register(Some("ebpf_exporter"), |families, report, _| drop_ins::build_info(families, report));
        let packages = Part::new(&subject, Runs::ByPackage)
            .register(Some("ebhost"), |families, report, packages| {
                plugins::plugins(families, packages)?;
                plugins::lives(families, report, packages)?;
                kernel::maps(families, packages)?;
                kernel::names(families, packages)?;
                kernel::events(families, packages)?;
                plugins::spans(families, packages)?;
                kernel::programs(families, packages)?;
                kernel::budgets(families, packages)?;
                kernel::perf(families, packages)
            })
            .register(Some("ebpf_exporter"), |families, _, packages| {
                drop_ins::configurations(families, packages)?;
                drop_ins::programs(families, packages)
            });
        let volatile = Part::new(&subject, Runs::Once)
            // Client libraries give these names without a prefix.
            .register(None, |families, report, _| host::process(families, &report.process))
            .register(Some("ebhost"), |families, report, packages| {
                host::volatile(families, report)?;
                host::feed(families, &report.feed)?;
                plugins::cpu(families, packages)?;
                kernel::cost(families, packages)?;
                kernel::reads(families, packages)
            });
        Self { subject, host, packages, volatile }
    }

    /// Takes the report of a scrape.
    pub fn update(&mut self, report: Report) {
        let mut subject = self.subject.lock();
        let is_changed = subject.report != report || self.host.series().next().is_none();
        let named = if is_changed { report.named_packages() } else { std::mem::take(&mut subject.named) };
        let mut has_changed = Vec::new();
        if is_changed {
            let before = |at: usize| subject.named.get(at).and_then(|index| subject.report.packages.get(*index));
            has_changed.extend(named.iter().enumerate().map(|(at, index)| before(at) != report.packages.get(*index)));
        }
        (subject.report, subject.named) = (report, named);
        drop(subject);
        if is_changed {
            self.host.update(&has_changed);
            self.packages.update(&has_changed);
        }
        self.volatile.update(&has_changed);
    }

    /// The families as of the last report; some may be without series.
    pub fn families(&self) -> impl Iterator<Item = FamilySeries<'_>> {
        self.parts().into_iter().flat_map(Part::series)
    }

    /// Encodes the families; `encoder` is of `format`. Families that have not changed since the last time are not encoded again.
    pub fn encode(&self, format: Format, encoder: &mut dyn Encoder) -> io::Result<()> {
        self.host.encode(format, encoder)?;
        self.packages.encode(format, encoder)?;
        self.volatile.encode_all(encoder)
    }

    fn parts(&self) -> [&Part; 3] {
        [&self.host, &self.packages, &self.volatile]
    }

    /// The names of all samples that there can be, in any exposition format.
    fn sample_names(&self) -> HashSet<String> {
        let families = self.parts().into_iter().flat_map(Part::collect);
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
