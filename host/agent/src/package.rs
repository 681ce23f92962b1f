//! One package on its way through the stages: read → compiled and described → loaded and attached → counted.

mod departed;
mod describe;
mod exchange;
mod losses;
mod report;
mod spans;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tracing::{info, warn};

pub use self::describe::DescribeError;
use self::{departed::Deletion, describe::sources_of, losses::Losses, spans::SpanEvents};
pub(super) use self::{
    describe::{Conditions, Described, describe, examine},
    exchange::Exchange,
};
use super::{
    label::{self, GuestBudget},
    refusals::Refusals,
    reload::NameError,
    single::SourceContents,
};
use ebhost_kernel as kernel;
use ebhost_kernel::{KernelContext, LoadError, Loaded, Source, UnreadMaps};
use ebhost_limits as limits;
use ebhost_lookup::{LookupTable, Lookups, Question, QuestionSet};
use ebhost_package::{Compat, CpuShare, Limits, PackageError, TrustError};
use ebhost_plugin_host::Plugin;
use ebhost_series::{Decrease, Observed, ShapeMismatch, Table, TableLimits, schema::Schema};
use ebhost_snapshot::Snapshot;
use ebhost_telemetry::{Stage, StageClock, StageTimes, unix_seconds};

/// A package that is counted.
pub(super) struct Running {
    /// Its `plugin.yaml`, which it is known by.
    pub(super) file: PathBuf,
    pub(super) name: String,
    pub(super) compat: Compat,
    version: String,
    /// In hex, as it is shown.
    digest: String,
    plugin: Plugin,
    table: Table,
    /// The scrape whose snapshots were counted and whose identities are not labelled yet.
    observed: Option<Observed>,
    refusals: Refusals,
    loaded: Loaded,
    /// For each view, the index of its source among `loaded.sources`.
    sources: Vec<usize>,
    reads: Vec<Read>,
    is_ready: bool,
    /// Whether the last scrape left rows out for lack of memory.
    leaves_rows_out: bool,
    /// Label sets that earlier versions folded because of the bytes of an answer; `None` once the log has said that this one does, too.
    folded_before: Option<u64>,
    /// How long the last reading and counting took; the longest time there is before the first.
    observe_time: Duration,
    /// Views that the present scrape has counted.
    views_observed: usize,
    late_scrapes: u64,
    /// CPU time of scrapes for this package.
    cpu: StageTimes,
    losses: Losses,
    span_events: SpanEvents,
    deletion: Deletion,
    /// The memory of each map, as it was looked at last: asking the kernel costs more than a scrape of a small package.
    map_memory: Vec<(String, u64)>,
    limits: Limits,
    compile_time: Duration,
    /// Whether it is the version that its files are now.
    pub(super) is_current: bool,
    /// When the maps were read last, or created, in seconds since 1970.
    read_at: f64,
}

/// The durations of a source's reads, and its failed reads.
#[derive(Debug, Clone, Default)]
struct Read {
    /// The last one.
    time: Duration,
    all: Duration,
    errors: u64,
}

/// The reason why a package does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Describe(#[from] DescribeError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Name(#[from] NameError),
}

/// An empty table for the series and the exemplars of a package.
fn table_with_exemplars(plugin: &Plugin, package: Limits, compat: Compat) -> Table {
    let mut table = table(plugin.schema().clone(), package, compat);
    table.record_exemplars(&plugin.spans().exemplars, limits::EXEMPLARS);
    table
}

/// An empty table for the series of a package. ebpf_exporter shows what programs wrote, whether it grew or fell.
pub(super) fn table(schema: Arc<Schema>, limits: Limits, compat: Compat) -> Table {
    let decrease = match compat {
        Compat::Native => Decrease::Reset,
        Compat::EbpfExporter => Decrease::Set,
    };
    Table::new(schema, table_limits(limits)).with_decrease(decrease)
}

impl Running {
    /// Loads and attaches a package.
    pub(super) fn start(described: Described, types: &KernelContext) -> Result<Self, RunError> {
        let Described { package, object, plugin, compile_time, served } = described;
        let schema = plugin.schema().clone();
        let spans = plugin.spans().clone();
        let (wanted, sources) = sources_of(&schema, &spans);
        let memory = package.limits.kernel_memory_bytes;
        let loaded = kernel::load(object.as_ref().zip(package.bpf.as_ref()), &package.perf, &wanted, memory, types)?;
        let mut table = table_with_exemplars(&plugin, package.limits, package.compat);
        table.serve(served);
        Ok(Self {
            table,
            refusals: Refusals::of(&package.name),
            file: package.file,
            name: package.name,
            compat: package.compat,
            version: package.version,
            digest: package.component.digest.to_string(),
            plugin,
            reads: vec![Read::default(); wanted.len()],
            observed: None,
            map_memory: loaded.map_memory(),
            loaded,
            sources,
            is_ready: false,
            leaves_rows_out: false,
            folded_before: Some(0),
            observe_time: Duration::MAX,
            views_observed: 0,
            late_scrapes: 0,
            cpu: StageTimes::default(),
            losses: Losses::default(),
            span_events: SpanEvents::of(&spans),
            deletion: Deletion::of(package.bpf.as_ref().map_or(&[], |bpf| &bpf.delete_departed)),
            limits: package.limits,
            compile_time,
            is_current: true,
            read_at: now(),
        })
    }

    /// Continues with another component. Programs and maps stay, and every counter continues.
    pub(super) fn exchange(&mut self, exchange: Exchange) {
        let Exchange { described: Described { package, mut plugin, compile_time, served, .. }, opened } = exchange;
        let schema = plugin.schema().clone();
        let limits = table_limits(package.limits);
        let spans = plugin.spans().clone();
        let has_other_spans = spans != *self.plugin.spans();
        let updated = self.table.update(schema.clone(), limits);
        if updated.is_err() || has_other_spans {
            let (wanted, sources) = sources_of(&schema, &spans);
            self.loaded.choose(opened, &wanted);
            self.reads = vec![Read::default(); wanted.len()];
            self.sources = sources;
            self.span_events.set_sources(spans.sources.len());
        }
        if updated.is_ok() {
            self.table.record_exemplars(&spans.exemplars, limits::EXEMPLARS);
        } else {
            let table = table_with_exemplars(&plugin, package.limits, self.compat);
            let previous = std::mem::replace(&mut self.table, table);
            self.table.inherit(previous);
        }
        self.table.serve(served);
        plugin.inherit_counters(&self.plugin);
        self.plugin = plugin;
        self.file = package.file;
        (self.name, self.version, self.digest) = (package.name, package.version, package.component.digest.to_string());
        (self.limits, self.compile_time, self.is_current) = (package.limits, compile_time, true);
        self.folded_before = Some(self.table.stats().folded_for_exposition);
    }

    /// Drops the guest's instance if it was not needed for a while. Returns whether there was one.
    pub(super) fn rest(&mut self, now: Instant) -> bool {
        self.plugin.rest(now)
    }

    /// Asks the kernel how much memory the maps take.
    pub(super) fn look_at_memory(&mut self) {
        self.map_memory = self.loaded.map_memory();
    }

    pub(super) fn programs(&self) -> impl Iterator<Item = &kernel::Program> {
        self.loaded.programs.iter()
    }

    /// The CPU time that its programs may take, if its limits say so.
    pub(super) fn kernel_cpu_limit(&self) -> Option<CpuShare> {
        self.limits.kernel_cpu
    }

    /// Its maps that have no reader so far, for [`Exchange::prepare`].
    pub(super) fn unread_maps(&self) -> UnreadMaps {
        self.loaded.unread_maps()
    }

    /// Continues the host's own counters of the previous version, of which nothing else is left: its programs and maps are gone, so its
    /// series begin at 0.
    pub(super) fn inherit_counters(&mut self, previous: &Self) {
        self.plugin.inherit_counters(&previous.plugin);
        self.table.inherit_tallies(&previous.table);
        self.late_scrapes += previous.late_scrapes;
        self.cpu.inherit(&previous.cpu);
        self.losses.inherit(&previous.losses);
        self.span_events.inherit(&previous.span_events);
        for (source, read) in self.loaded.sources.iter().zip(&mut self.reads) {
            let before =
                previous.loaded.sources.iter().zip(&previous.reads).find(|(before, _)| before.name() == source.name());
            if let Some((_, before)) = before {
                read.errors += before.errors;
                read.all += before.all;
            }
        }
    }

    /// One line for the log, and one for each perf event that does not count.
    pub(super) fn announce(&mut self, took: Duration) {
        let names = |names: Vec<&str>| names.join(" ");
        let attached = self.loaded.programs.iter().filter(|program| program.left_out.is_none());
        let programs = attached.map(|program| program.name.as_str()).collect();
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
        for program in &self.loaded.programs {
            if let Some(left_out) = &program.left_out {
                warn!(package = self.name, program = program.name, "program is left out: {}", left_out.fault);
            }
        }
        if !self.loaded.missing_symbols.is_empty() {
            let symbols = self.loaded.missing_symbols.join(" ");
            warn!(
                package = self.name,
                symbols, "kernel symbols of `kaddrs` are not in /proc/kallsyms: their globals are 0"
            );
        }
        self.say_perf_news();
    }

    /// Whether it has programs, and every one of them is left out.
    pub(super) fn attaches_nothing(&self) -> bool {
        let programs = &self.loaded.programs;
        !programs.is_empty() && programs.iter().all(|program| program.left_out.is_some())
    }

    fn say_perf_news(&mut self) {
        for line in self.loaded.perf_news() {
            warn!(package = self.name, "{line}");
        }
    }

    /// How long [`observe`](Self::observe) took last. A package without a first reading counts as the slowest.
    pub(super) fn observe_time(&self) -> Duration {
        self.observe_time
    }

    /// Reads the maps and counts the entries that have labels, as many as can be read `until` then. No guest runs.
    pub(super) fn observe(&mut self, renamed: &QuestionSet, until: Instant, clock: &mut StageClock) {
        let started = Instant::now();
        // Entries that are new now counted from 0 since the last read.
        let since = std::mem::replace(&mut self.read_at, now());
        self.is_ready = self.read(until);
        self.cpu.add(Stage::Read, clock.lap(Stage::Read));
        let failed_before = self.refusals.take_due(Instant::now());
        for view in 0..self.sources.len() {
            label::request_changed(&mut self.table, view, renamed);
            if let Some(failed) = failed_before.get(&view) {
                self.table.request_again(view, |identity| failed.contains(identity));
            }
        }
        let schema = self.table.schema().clone();
        self.table.note_reading(self.read_at);
        let mut scrape = self.table.scrape(since);
        self.views_observed = 0;
        for view in view_snapshots(&schema, &self.loaded, &self.sources) {
            // A manifest may have hundreds of views of one large map. What is not counted now is counted next time.
            if self.views_observed > 0 && Instant::now() >= until {
                self.late_scrapes += u64::from(self.is_ready);
                self.is_ready = false;
                break;
            }
            warn_of_mismatch(&self.name, view, scrape.observe(view.index, view.snapshot));
            self.views_observed += 1;
        }
        self.observed = Some(scrape.pause());
        self.observe_time = started.elapsed();
        self.warn_of_rows_left_out();
        self.cpu.add(Stage::Count, clock.lap(Stage::Count));
    }

    /// Labels new identities, spending at most `guest_time` in the guest, then counts them. No guest is started after `restart_until`.
    /// Does nothing unless [`observe`](Self::observe) came before.
    pub(super) fn label(
        &mut self,
        lookups: &mut Lookups,
        guest_time: Duration,
        restart_until: Instant,
        clock: &mut StageClock,
    ) {
        let schema = self.table.schema().clone();
        let Some(mut labelling) = self.observed.take().and_then(|observed| self.table.resume(observed)) else { return };
        let budget = GuestBudget { guest_end: self.plugin.tally().guest_time + guest_time, until: restart_until };
        if self.plugin.begin_scrape(Instant::now(), restart_until) {
            for view in 0..self.sources.len() {
                label::label(&mut self.plugin, &mut labelling, view, lookups, &mut self.refusals, budget);
            }
        }
        self.cpu.add(Stage::Label, clock.lap(Stage::Label));
        let mut settling = labelling.settle();
        for view in view_snapshots(&schema, &self.loaded, &self.sources).take(self.views_observed) {
            warn_of_mismatch(&self.name, view, settling.count(view.index, view.snapshot));
        }
        settling.finish();
        self.warn_of_folding();
        self.count_losses();
        self.cpu.add(Stage::Count, clock.lap(Stage::Count));
    }

    /// Its series, if the last collection read every map in time.
    pub(super) fn ready_table(&self) -> Option<&Table> {
        self.is_ready.then_some(&self.table)
    }

    /// Each source and what it held when it was last read.
    pub(super) fn contents(&self) -> impl Iterator<Item = (&str, SourceContents<'_>)> {
        self.loaded.sources.iter().map(|source| {
            let contents = match source {
                Source::Map(map) => SourceContents::Table(map.snapshot()),
                Source::Perf(perf) => SourceContents::Table(perf.snapshot()),
                Source::Events(reader) => SourceContents::Events(reader.events().collect()),
            };
            (source.name(), contents)
        })
    }

    /// The lookup tables that its views use.
    pub(super) fn lookup_tables(&self) -> impl Iterator<Item = LookupTable> {
        label::tables(self.table.schema()).chain(self.span_lookup_tables())
    }

    /// The lookups that its identities need.
    pub(super) fn questions(&self) -> Vec<Question> {
        (0..self.sources.len()).flat_map(|view| label::questions(&self.table, view)).collect()
    }

    /// Reads every source. Returns whether that was done in time.
    fn read(&mut self, until: Instant) -> bool {
        let mut is_ready = true;
        for line in self.loaded.run_iterators() {
            warn!(package = self.name, "{line}");
        }
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
            read.all += read.time;
        }
        for other in &mut self.loaded.others {
            // No row of it is shown; what cannot be opened is among its states.
            let _ = other.read();
        }
        self.say_perf_news();
        self.late_scrapes += u64::from(!is_ready);
        is_ready
    }

    fn warn_of_folding(&mut self) {
        let stats = self.table.stats();
        if self.folded_before.is_some_and(|before| stats.folded_for_exposition > before) {
            let (found, expected) = (stats.exposition_bytes, stats.exposition_limit_bytes);
            warn!(
                package = self.name,
                "label sets are folded into `other`: the series take up to {found} bytes of an answer, expected at most {expected}; try fewer \
                 or shorter labels, fewer bounds, or a higher `limits.series`, which allows more"
            );
            self.folded_before = None;
        }
    }

    fn warn_of_rows_left_out(&mut self) {
        let stats = self.table.stats();
        let rows = stats.rows_left_out;
        if rows > 0 && !self.leaves_rows_out {
            let (found, expected) = (stats.memory_bytes, stats.memory_limit_bytes);
            warn!(
                package = self.name,
                rows,
                "entries are left out: they take {found} bytes, expected at most {expected}; try fewer views of large maps, smaller maps, or a \
                 higher `limits.series`, which allows more"
            );
        }
        self.leaves_rows_out = rows > 0;
    }
}

/// One view and the snapshot of its source.
#[derive(Clone, Copy)]
struct ViewSnapshot<'a> {
    index: usize,
    source: &'a str,
    snapshot: &'a Snapshot,
}

/// The views of a package whose sources have a snapshot; `sources` gives each view's index among the loaded sources.
fn view_snapshots<'a>(
    schema: &'a Schema,
    loaded: &'a Loaded,
    sources: &'a [usize],
) -> impl Iterator<Item = ViewSnapshot<'a>> {
    schema.views.iter().zip(sources).enumerate().filter_map(|(index, (view, source))| {
        let source = &loaded.sources[*source];
        Some(ViewSnapshot { index, source: source.name(), snapshot: source.snapshot(view.value_size)? })
    })
}

fn warn_of_mismatch(package: &str, view: ViewSnapshot<'_>, counted: Result<(), ShapeMismatch>) {
    if let Err(mismatch) = counted {
        warn!(package, source = view.source, "{mismatch}");
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    unix_seconds(SystemTime::now())
}

/// The name of a package's folder, or of a drop-in's file, which stands for a package that could not be read.
pub(super) fn folder_name(file: &Path) -> String {
    if !file.ends_with("plugin.yaml") {
        return file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    }
    let folder = file.parent().and_then(Path::file_name);
    folder.map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The limits of a package's table.
pub(super) fn table_limits(package: Limits) -> TableLimits {
    TableLimits {
        series: package.series,
        label_bytes: limits::LABEL_BYTES,
        event_entries: limits::EVENT_IDENTITIES,
        event_time_to_live: limits::EVENT_TIME_TO_LIVE,
        memory_bytes: limits::SERIES_MEMORY_BYTES + package.series * limits::SERIES_MEMORY_BYTES_PER_SERIES,
        exposition_bytes: limits::EXPOSITION_BYTES + package.series * limits::EXPOSITION_BYTES_PER_SERIES,
        // A machine that does not say how many CPUs it has loads no package.
        cpus: kernel::possible_cpus().unwrap_or(1),
    }
}
