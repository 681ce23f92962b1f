//! A package before any of it is in the kernel: its object's maps, and the views that its component declares of them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{super::builtin, table_limits};
use ebhost_kernel as kernel;
use ebhost_kernel::{ObjectError, ObjectFile, Wanted};
use ebhost_metrics::{Kind, ServedBuckets};
use ebhost_package::{Compat, Diagnostic, Package, WantedBounds};
use ebhost_plugin_host::{
    CallError, CompiledComponent, ComponentError, Engine, ManifestContext, Pace, Plugin, PluginError, PluginLimits,
    SpanSchema,
};
use ebhost_series::{
    SchemaTooLarge,
    schema::{Schema, SourceShape},
    served,
};
use tracing::warn;

/// Why a package cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error(transparent)]
    TooLarge(#[from] SchemaTooLarge),
    /// Bounds that the operator wants, and a histogram cannot have.
    #[error("{0}")]
    Bounds(Diagnostic),
}

/// The purpose of describing a component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions<'a> {
    pub(crate) pace: Pace,
    /// The machine whose maps are decoded: `x86_64`.
    pub(crate) architecture: &'a str,
}

impl Conditions<'_> {
    /// Scrapes of this machine.
    pub(crate) const HERE: Self = Self { pace: Pace::Scrape, architecture: std::env::consts::ARCH };
}

/// A package whose component is compiled and has described itself. None of it is in the kernel yet.
pub(crate) struct Described {
    pub(crate) package: Package,
    pub(super) object: Option<ObjectFile>,
    pub(super) plugin: Plugin,
    pub(super) compile_time: Duration,
    /// By family: the buckets that the operator chose to expose.
    pub(super) served: Vec<Option<ServedBuckets>>,
}

impl Described {
    /// Compiles and describes a package, so that every mistake that can be found without privileges is found first.
    pub(crate) fn new(package: Package, engine: &Engine) -> Result<Self, DescribeError> {
        let (object, plugin, compile_time) = examine(&package, engine, Conditions::HERE)?;
        let served = served_buckets(&package, plugin.schema())?;
        Ok(Self { package, object, plugin, compile_time, served })
    }

    /// Reads no buffer for spans: there is no receiver to send them to. Returns a warning, if it makes any.
    pub(crate) fn leave_spans_out(&mut self) -> Option<Diagnostic> {
        let sources = self.plugin.spans().sources.len();
        self.plugin.leave_spans_out();
        (sources > 0).then(|| self.package.warning_of_spans_without_receiver(sources))
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        self.plugin.schema()
    }
}

/// Parses the object, compiles and describes the component, and checks that its series fit the package's limits. The time is that of
/// compiling.
pub(crate) fn examine(
    package: &Package,
    engine: &Engine,
    conditions: Conditions<'_>,
) -> Result<(Option<ObjectFile>, Plugin, Duration), DescribeError> {
    let object = package.bpf.as_ref().map(ObjectFile::parse).transpose()?;
    // Drop-ins are loaded as libbpf loads them, which takes any object.
    if let Some(object) = object.as_ref().filter(|_| package.compat == Compat::Native) {
        object.check_license()?;
    }
    let started = Instant::now();
    let compiled = engine.compile(&package.component)?;
    let compile_time = started.elapsed();
    let plugin = describe(package, object.as_ref(), compiled, conditions)?;
    table_limits(package.limits).check(plugin.schema())?;
    Ok((object, plugin, compile_time))
}

/// Describes a compiled component, and checks its manifest against its package's sources and grants.
pub(crate) fn describe(
    package: &Package,
    object: Option<&ObjectFile>,
    compiled: Arc<CompiledComponent>,
    conditions: Conditions<'_>,
) -> Result<Plugin, PluginError> {
    let sources = shapes(object, package);
    let context = ManifestContext { sources: &sources, grants: &package.grants, compat: package.compat };
    let Conditions { pace, architecture } = conditions;
    let limits = PluginLimits { memory_bytes: package.limits.memory_bytes, decode: package.limits.decode, pace };
    if !package.is_builtin() {
        return Plugin::describe(&package.name, compiled, &package.config, limits, &context);
    }
    let config = builtin::config(package, &sources, architecture);
    let described = Plugin::describe(&package.name, compiled, &config, limits, &context);
    described.map_err(|error| match error {
        PluginError::Describe { error: CallError::ConfigRefused(why), .. } => {
            PluginError::Config(package.mistakes(&why))
        }
        other => other,
    })
}

/// By family: the buckets that the operator chose to expose, if any were chosen for it.
fn served_buckets(package: &Package, schema: &Schema) -> Result<Vec<Option<ServedBuckets>>, DescribeError> {
    let histograms = schema.families.iter().filter(|family| matches!(family.kind, Kind::Histogram(_)));
    let names = histograms.map(|family| (family.name.as_str(), family.unit.as_str()));
    package.bounds.check_keys(names).map_err(DescribeError::Bounds)?;
    let served = schema.families.iter().enumerate().map(|(index, family)| {
        let (name, unit) = (family.name.as_str(), family.unit.as_str());
        let ends = served::ends(schema, index);
        let choose = |wanted: &WantedBounds, bounds: &[f64]| {
            served::choose(&ends, bounds.iter().copied()).map_err(|fault| not_an_end(name, wanted, &fault))
        };
        if let Some(wanted) = package.bounds.own(name, unit) {
            return choose(wanted, wanted.bounds()).map(Some).map_err(DescribeError::Bounds);
        }
        let Some(wanted) = package.bounds.common(name, unit) else { return Ok(None) };
        let (Some(first), Some(last)) = (ends.first(), ends.last()) else { return Ok(None) };
        // A list for all packages may reach beyond the buckets of some.
        let within: Vec<_> = wanted.bounds().iter().copied().filter(|bound| bound >= first && bound <= last).collect();
        let is_meant = within.iter().any(|bound| served::choose(&ends, [*bound]).is_ok());
        match choose(wanted, &within) {
            Ok(_) if within.is_empty() => Ok(None),
            Ok(served) => Ok(Some(served)),
            Err(fault) if is_meant => Err(DescribeError::Bounds(fault)),
            Err(fault) => {
                warn!(
                    package = package.name,
                    "`{name}` keeps its own bounds, for none of those in the settings is among them: {fault}"
                );
                Ok(None)
            }
        }
    });
    served.collect()
}

fn not_an_end(family: &str, wanted: &WantedBounds, fault: &served::NotAnEnd) -> Diagnostic {
    let near = [fault.below, fault.above].into_iter().flatten().map(|end| end.to_string());
    let near = near.collect::<Vec<_>>().join(" or ");
    wanted.fault(format!("found the bound {} of `{family}`, expected ends of its buckets: try {near}", fault.found))
}

fn shapes(object: Option<&ObjectFile>, package: &Package) -> BTreeMap<String, SourceShape> {
    let maps = object.into_iter().flat_map(|object| &object.maps).filter(|(name, _)| !name.starts_with('.'));
    let maps = maps.map(|(name, map)| {
        let (key_size, value_size) = (map.key_size as usize, map.value_size as usize);
        let shape = if map.is_events() {
            SourceShape::Events { know_cpu: map.is_perf_event_array() }
        } else if map.is_per_cpu() {
            SourceShape::PerCpuTable { key_size, value_size }
        } else {
            SourceShape::Table { key_size, value_size }
        };
        (name.clone(), shape)
    });
    let perf = package.perf.iter().map(|(name, perf)| {
        let value_size = kernel::PerfReader::value_size(perf.events.len());
        (name.clone(), SourceShape::Table { key_size: 4, value_size })
    });
    maps.chain(perf).collect()
}

/// The sources that the views and the spans read, each listed once, and each view's index among them.
pub(super) fn sources_of<'a>(schema: &'a Schema, spans: &'a SpanSchema) -> (Vec<Wanted<'a>>, Vec<usize>) {
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    let mut sources = Vec::new();
    for view in &schema.views {
        let at = wanted.iter().position(|wanted| wanted.name == view.source).unwrap_or_else(|| {
            wanted.push(Wanted::by_views(&view.source, Vec::new()));
            wanted.len() - 1
        });
        sources.push(at);
        if !wanted[at].value_sizes.contains(&view.value_size) {
            wanted[at].value_sizes.push(view.value_size);
        }
    }
    for source in &spans.sources {
        match wanted.iter_mut().find(|wanted| wanted.name == source.buffer) {
            Some(wanted) => wanted.for_spans = true,
            None => wanted.push(Wanted { for_spans: true, ..Wanted::by_views(&source.buffer, Vec::new()) }),
        }
    }
    (wanted, sources)
}
