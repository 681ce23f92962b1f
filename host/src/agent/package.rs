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
    kernel::{self, KernelTypes, LoadError, Loaded, ObjectError, ObjectFile},
    limits,
    lookup::{Lookups, Question},
    package::{Package, PackageError},
    plugin::{ComponentError, Context, Engine, Plugin, PluginError, PluginLimits, sample_names},
    series::{
        Table, TableLimits,
        schema::{Schema, SourceShape},
    },
    snapshot::Snapshot,
    telemetry::{self, MapReport, PackageReport, ProgramReport, Stage, StageClock},
};

/// A package that is counted.
pub(super) struct Running {
    name: String,
    plugin: Plugin,
    table: Table,
    loaded: Option<Loaded>,
    /// For each view, the index of its map among `loaded.maps`.
    sources: Vec<usize>,
    reads: Vec<Read>,
    is_ready: bool,
    late_scrapes: u64,
    memory_limit_bytes: u64,
}

/// What became of a map's reads.
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
        let sources = object.as_ref().map(shapes).unwrap_or_default();
        let compiled = Arc::new(engine.compile(&package.component)?);
        let context = Context { sources: &sources, grants: &package.grants };
        let limits = PluginLimits { memory_bytes: package.limits.memory_bytes, decode: package.limits.decode };
        let plugin = Plugin::describe(&package.name, compiled, &package.config, limits, &context)?;
        let schema = plugin.schema().clone();
        let names = names(&package, &schema, taken)?;
        let (maps, sources) = maps_of(&schema);
        let loaded = match (&object, &package.bpf) {
            (Some(object), Some(bpf)) => Some(kernel::load(object, bpf, &maps, types)?),
            _ => None,
        };
        taken.extend(names);
        let table_limits =
            TableLimits { series: package.limits.series, label_bytes: limits::LABEL_BYTES, ..TableLimits::default() };
        Ok(Self {
            name: package.name,
            plugin,
            reads: vec![Read::default(); maps.len()],
            table: Table::new(schema.clone(), table_limits),
            loaded,
            sources,
            is_ready: false,
            late_scrapes: 0,
            memory_limit_bytes: package.limits.memory_bytes,
        })
    }

    /// One line for the log.
    pub(super) fn announce(&self, took: Duration) {
        let names = |names: Vec<&str>| names.join(" ");
        let loaded = self.loaded.as_ref();
        let programs = loaded.map_or_else(Vec::new, |loaded| loaded.programs.iter().map(String::as_str).collect());
        let maps = loaded.map_or_else(Vec::new, |loaded| loaded.maps.iter().map(|map| map.name.as_str()).collect());
        let families = self.table.schema().families.iter().map(|family| family.name.as_str()).collect();
        info!(
            package = self.name,
            programs = names(programs),
            maps = names(maps),
            families = names(families),
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "package runs"
        );
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

    /// Each map and what it held when it was last read.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = (&str, &Snapshot)> {
        self.loaded.iter().flat_map(|loaded| &loaded.maps).map(|map| (map.name.as_str(), map.snapshot()))
    }

    /// What its identities are looked up for.
    pub(super) fn questions(&mut self) -> Vec<Question> {
        (0..self.sources.len()).flat_map(|view| label::questions(&mut self.table, view)).collect()
    }

    /// Reads every map; false: the time ran out.
    fn read(&mut self, until: Instant) -> bool {
        let Some(loaded) = &mut self.loaded else { return true };
        let mut is_ready = true;
        for (map, read) in loaded.maps.iter_mut().zip(&mut self.reads) {
            let started = Instant::now();
            if let Err(error) = map.read(until) {
                is_ready &= error.kind() != io::ErrorKind::TimedOut;
                read.errors += 1;
                if read.errors.is_power_of_two() {
                    warn!(package = self.name, map = map.name, errors = read.errors, "map was not read whole: {error}");
                }
            }
            read.time = started.elapsed();
        }
        self.late_scrapes += u64::from(!is_ready);
        is_ready
    }

    fn count<E: std::fmt::Display>(
        &mut self,
        view: usize,
        count: impl FnOnce(&mut Table, usize, &Snapshot) -> Result<(), E>,
    ) {
        let Some(loaded) = &self.loaded else { return };
        let map = &loaded.maps[self.sources[view]];
        if let Err(misfit) = count(&mut self.table, view, map.snapshot()) {
            warn!(package = self.name, map = map.name, "{misfit}");
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
            programs: self.loaded.as_ref().map(programs).unwrap_or_default(),
            maps: self.maps(),
        }
    }

    fn maps(&self) -> Vec<MapReport> {
        let maps = self.loaded.iter().flat_map(|loaded| &loaded.maps);
        let report = |(map, read): (&kernel::MapReader, &Read)| MapReport {
            name: map.name.clone(),
            entries: map.snapshot().len as u64,
            max_entries: u64::from(map.shape.max_entries),
            read_seconds: read.time.as_secs_f64(),
            read_errors: read.errors,
        };
        maps.zip(&self.reads).map(report).collect()
    }
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

pub(super) fn shapes(object: &ObjectFile) -> BTreeMap<String, SourceShape> {
    let maps = object.maps.iter().filter(|(name, _)| !name.starts_with('.'));
    maps.map(|(name, map)| {
        let (key_size, value_size) = (map.key_size as usize, map.value_size as usize);
        let shape = if map.is_per_cpu() {
            SourceShape::PerCpuTable { key_size, value_size }
        } else {
            SourceShape::Table { key_size, value_size }
        };
        (name.clone(), shape)
    })
    .collect()
}

/// The maps that the views read, each once, and each view's index among them.
fn maps_of(schema: &Schema) -> (Vec<&str>, Vec<usize>) {
    let mut maps: Vec<&str> = Vec::new();
    let mut sources = Vec::new();
    for view in &schema.views {
        let found = maps.iter().position(|map| *map == view.source);
        sources.push(found.unwrap_or(maps.len()));
        if found.is_none() {
            maps.push(&view.source);
        }
    }
    (maps, sources)
}

/// The package's names, if nobody has them yet.
pub(super) fn names(package: &Package, schema: &Schema, taken: &Taken) -> Result<Vec<(String, String)>, RunError> {
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
