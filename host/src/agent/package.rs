//! One package on its way through the stages: read → compiled and described → loaded and attached → counted.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::label;
use crate::{
    kernel::{self, KernelTypes, LoadError, Loaded, ObjectError, ObjectFile, Source, Wanted},
    limits,
    lookup::{Lookups, Question},
    package::{Package, PackageError},
    plugin::{ComponentError, Context, Engine, Plugin, PluginError, PluginLimits, sample_names},
    series::{
        Table, TableLimits,
        schema::{Schema, SourceShape},
    },
    telemetry::{self, EventsReport, MapReport, PackageReport, PerfReport, ProgramReport, Stage, StageClock},
};

/// A package that is counted.
pub(super) struct Running {
    name: String,
    plugin: Plugin,
    table: Table,
    loaded: Loaded,
    /// For each view, the index of its source among `loaded.sources`.
    sources: Vec<usize>,
    reads: Vec<Read>,
    is_ready: bool,
    late_scrapes: u64,
    memory_limit_bytes: u64,
}

/// What became of a source's reads.
#[derive(Debug, Clone, Default)]
struct Read {
    time: Duration,
    errors: u64,
}

/// Why a package does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{file}: the package name `{name}` is taken by another package; a name stands for one package")]
    SameName { file: String, name: String },
    #[error("{file}: its family `{family}` prints `{sample}`, a name that {by} has already; rename the family")]
    SameFamily { file: String, family: String, sample: String, by: String },
}

/// The names in use: of packages and of samples, with who has them.
pub(super) type Taken = BTreeMap<String, String>;

impl Running {
    /// Compiles, describes, loads and attaches a package, in this order: what needs no privilege is found wrong first.
    pub(super) fn load(
        package: Package,
        engine: &Engine,
        types: &KernelTypes,
        taken: &mut Taken,
    ) -> Result<Self, RunError> {
        let object = package.bpf.as_ref().map(|bpf| ObjectFile::parse(&bpf.object)).transpose()?;
        let sources = shapes(object.as_ref(), &package);
        let compiled = Arc::new(engine.compile(&package.component)?);
        let context = Context { sources: &sources, grants: &package.grants };
        let limits = PluginLimits { memory_bytes: package.limits.memory_bytes, decode: package.limits.decode };
        let plugin = Plugin::describe(&package.name, compiled, &package.config, limits, &context)?;
        let schema = plugin.schema().clone();
        let names = names(&package, &schema, taken)?;
        let (wanted, sources) = sources_of(&schema);
        let loaded = kernel::load(object.as_ref().zip(package.bpf.as_ref()), &package.perf, &wanted, types)?;
        taken.extend(names);
        let table_limits =
            TableLimits { series: package.limits.series, label_bytes: limits::LABEL_BYTES, ..TableLimits::default() };
        Ok(Self {
            name: package.name,
            plugin,
            reads: vec![Read::default(); wanted.len()],
            table: Table::new(schema.clone(), table_limits),
            loaded,
            sources,
            is_ready: false,
            late_scrapes: 0,
            memory_limit_bytes: package.limits.memory_bytes,
        })
    }

    /// One line for the log, and one for each perf event that does not count.
    pub(super) fn announce(&mut self, took: Duration) {
        let names = |names: Vec<&str>| names.join(" ");
        let programs = self.loaded.programs.iter().map(String::as_str).collect();
        let sources = self.loaded.sources.iter().map(Source::name).collect();
        let families = self.table.schema().families.iter().map(|family| family.name.as_str()).collect();
        info!(
            package = self.name,
            programs = names(programs),
            sources = names(sources),
            families = names(families),
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "package runs"
        );
        self.say_perf_news();
    }

    fn say_perf_news(&mut self) {
        for line in self.loaded.perf_news() {
            warn!(package = self.name, "{line}");
        }
    }

    /// Reads the maps, has what is new labelled, and counts; as much of it as can be done `until` then.
    pub(super) fn collect(
        &mut self,
        lookups: &mut Lookups,
        changed: &HashSet<Question>,
        until: Instant,
        clock: &mut StageClock,
    ) {
        self.table.begin();
        self.is_ready = self.read(until);
        clock.lap(Stage::Read);
        for view in 0..self.sources.len() {
            label::ask_again(&mut self.table, view, changed);
            self.count(view, Table::observe);
        }
        clock.lap(Stage::Count);
        let guest_until = until.min(Instant::now() + limits::GUEST_TIME_PER_SCRAPE);
        for view in 0..self.sources.len() {
            label::label(&mut self.plugin, &mut self.table, view, lookups, guest_until);
        }
        clock.lap(Stage::Label);
        for view in 0..self.sources.len() {
            self.count(view, Table::settle);
        }
        self.table.finish();
        clock.lap(Stage::Count);
    }

    /// Its series, if the last collection read every map in time.
    pub(super) fn ready_table(&self) -> Option<&Table> {
        self.is_ready.then_some(&self.table)
    }

    /// What its identities are looked up for.
    pub(super) fn questions(&mut self) -> Vec<Question> {
        (0..self.sources.len()).flat_map(|view| label::questions(&mut self.table, view)).collect()
    }

    /// Reads every source; false: the time ran out.
    fn read(&mut self, until: Instant) -> bool {
        let mut is_ready = true;
        for (source, read) in self.loaded.sources.iter_mut().zip(&mut self.reads) {
            let started = Instant::now();
            if let Err(error) = source.read(until) {
                is_ready &= error.kind() != io::ErrorKind::TimedOut;
                read.errors += 1;
                if read.errors.is_power_of_two() {
                    let (source, errors) = (source.name(), read.errors);
                    warn!(package = self.name, source, errors, "source was not read whole: {error}");
                }
            }
            read.time = started.elapsed();
        }
        for other in &mut self.loaded.others {
            // No row of it is shown; what cannot be opened is among its states.
            let _ = other.read();
        }
        self.say_perf_news();
        self.late_scrapes += u64::from(!is_ready);
        is_ready
    }

    fn count<E: std::fmt::Display>(
        &mut self,
        view: usize,
        count: impl FnOnce(&mut Table, usize, &crate::snapshot::Snapshot) -> Result<(), E>,
    ) {
        let source = &self.loaded.sources[self.sources[view]];
        let value_size = self.table.schema().views[view].value_size;
        let Some(snapshot) = source.snapshot(value_size) else { return };
        if let Err(misfit) = count(&mut self.table, view, snapshot) {
            warn!(package = self.name, source = source.name(), "{misfit}");
        }
    }

    pub(super) fn report(&self) -> PackageReport {
        let (stats, tally) = (self.table.stats(), self.plugin.tally());
        PackageReport {
            name: self.name.clone(),
            is_up: true,
            series: stats.series as u64,
            series_limit: stats.series_limit as u64,
            folded: stats.folded,
            entries: stats.entries as u64,
            unlabelled: stats.unseen as u64,
            refused: stats.refused,
            trimmed: stats.trimmed,
            asked: tally.asked,
            calls: tally.calls,
            guest_seconds: tally.guest_time.as_secs_f64(),
            instances: tally.instances,
            failures: tally.failures.iter().map(|(reason, count)| (*reason, *count)).collect(),
            set_aside: tally.set_aside,
            dropped_lines: tally.dropped_lines,
            late_scrapes: self.late_scrapes,
            memory_bytes: tally.memory_bytes as u64,
            memory_limit_bytes: self.memory_limit_bytes,
            programs: programs(&self.loaded),
            maps: self.maps(),
            perf: self.loaded.perf().flat_map(kernel::PerfReader::states).map(perf_report).collect(),
            events: self.loaded.sources.iter().filter_map(events_report).collect(),
            events_beyond_limit: stats.lost_events,
        }
    }

    fn maps(&self) -> Vec<MapReport> {
        let report = |(source, read): (&Source, &Read)| match source {
            Source::Map(map) => Some(MapReport {
                name: map.name.clone(),
                entries: map.snapshot().len as u64,
                max_entries: u64::from(map.shape.max_entries),
                read_seconds: read.time.as_secs_f64(),
                read_errors: read.errors,
            }),
            Source::Perf(_) | Source::Events(_) => None,
        };
        self.loaded.sources.iter().zip(&self.reads).filter_map(report).collect()
    }
}

fn perf_report(event: kernel::EventState<'_>) -> PerfReport {
    PerfReport {
        source: event.source.to_owned(),
        event: event.event.to_owned(),
        cpu: event.cpu,
        state: event.state.name(),
        reason: event.reason.map(str::to_owned),
    }
}

fn events_report(source: &Source) -> Option<EventsReport> {
    let Source::Events(reader) = source else { return None };
    let (read, lost) = reader.tally();
    Some(EventsReport { source: reader.name.clone(), read, lost })
}

/// The name of a package's folder, which stands for a package that could not be read.
pub(super) fn folder_name(file: &Path) -> String {
    let folder = file.parent().and_then(Path::file_name);
    folder.map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn programs(loaded: &Loaded) -> Vec<ProgramReport> {
    let report = |name: &String| {
        let statistics = loaded.run_statistics(name)?;
        Some(ProgramReport {
            name: name.clone(),
            run_seconds: Duration::from_nanos(statistics.run_time_ns).as_secs_f64(),
            runs: statistics.runs,
            recursion_misses: statistics.recursion_misses,
        })
    };
    loaded.programs.iter().filter_map(report).collect()
}

/// What every source of the package looks like: the object's maps and the perf sources.
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

/// The sources that the views read, each once, and each view's index among them.
fn sources_of(schema: &Schema) -> (Vec<Wanted<'_>>, Vec<usize>) {
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    let mut sources = Vec::new();
    for view in &schema.views {
        let at = wanted.iter().position(|wanted| wanted.name == view.source).unwrap_or_else(|| {
            wanted.push(Wanted { name: &view.source, value_sizes: Vec::new() });
            wanted.len() - 1
        });
        sources.push(at);
        if !wanted[at].value_sizes.contains(&view.value_size) {
            wanted[at].value_sizes.push(view.value_size);
        }
    }
    (wanted, sources)
}

/// The package's names, if nobody has them yet.
fn names(package: &Package, schema: &Schema, taken: &Taken) -> Result<Vec<(String, String)>, RunError> {
    let file = package.file.display().to_string();
    // No sample name has a space, so both kinds of name live in one map.
    let own_name = format!("package {}", package.name);
    if taken.contains_key(&own_name) {
        return Err(RunError::SameName { file, name: package.name.clone() });
    }
    let mut names = vec![(own_name, String::new())];
    for family in &schema.families {
        for sample in sample_names(family) {
            let by = match taken.get(&sample) {
                Some(other) => format!("package `{other}`"),
                None if telemetry::is_own(&sample) => "ebhost itself".to_owned(),
                None => {
                    names.push((sample, package.name.clone()));
                    continue;
                }
            };
            return Err(RunError::SameFamily { file, family: family.name.clone(), sample, by });
        }
    }
    Ok(names)
}
