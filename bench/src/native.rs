//! The same scrape within this process, once with the sandboxed component and once with the same crate compiled natively.
//!
//! Snapshot, table and writer are the host's in both; only the source of the labels differs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ebhost_limits as limits;
use ebhost_metrics::{Created, Format, Presentation, encoder};
use ebhost_package::Package;
use ebhost_plugin::testing::{Batch, Harness};
use ebhost_plugin_host::{DecodeRequest, Engine, ManifestContext, Pace, Plugin, PluginLimits, Progress, Row};
use ebhost_series::{
    Answer, IdentityId, Labels, Table, TableLimits, Values,
    schema::{Schema, SourceShape},
};
use ebhost_snapshot::{Keys, Snapshot};
use ebhost_tests::{Entries, workspace};
use maps::Maps;

use crate::{host::timed, report::tenth};

const KEY: usize = 16;
const CONFIG: &str = r#"{"read":["hash"]}"#;

/// Both variants, each with a table of its own.
pub(crate) struct Pair {
    sandboxed: Scrape<Sandboxed>,
    native: Scrape<Native>,
}

impl Pair {
    pub(crate) fn new(series: usize) -> Self {
        let sandboxed = Sandboxed::new();
        let schema = sandboxed.0.schema().clone();
        let native = Native(Harness::new(CONFIG).expect("the package describes itself"));
        Self { sandboxed: Scrape::new(&schema, sandboxed, series), native: Scrape::new(&schema, native, series) }
    }

    /// Scrapes the same entries with each variant, without reading the map; returns the CPU times. The variants take turns in being first.
    pub(crate) fn scrape(&mut self, entries: &Entries, round: usize) -> (Duration, Duration) {
        let snapshot = snapshot(entries);
        if round.is_multiple_of(2) {
            let sandboxed = timed(|| self.sandboxed.scrape(&snapshot));
            (sandboxed, timed(|| self.native.scrape(&snapshot)))
        } else {
            let native = timed(|| self.native.scrape(&snapshot));
            (timed(|| self.sandboxed.scrape(&snapshot)), native)
        }
    }
}

/// Labels batches of identities.
trait Decoder {
    fn label(&mut self, request: DecodeRequest, take: &mut dyn FnMut(usize, Labels<'_>));
}

struct Sandboxed(Plugin);

impl Sandboxed {
    fn new() -> Self {
        let file = workspace().join("bench/packages/maps/plugin.yaml");
        let package = Package::read(&file, &Default::default()).unwrap_or_else(|error| panic!("{error}"));
        let engine = Engine::new(None, None).expect("an engine");
        let compiled = engine.compile(&package.component).unwrap_or_else(|error| panic!("{error}"));
        let shape = SourceShape::Table { key_size: KEY, value_size: 8 };
        let sources = BTreeMap::from([("hash".to_owned(), shape)]);
        let limits = PluginLimits {
            memory_bytes: package.limits.memory_bytes,
            decode: package.limits.decode,
            pace: Pace::Scrape,
        };
        let context = ManifestContext { sources: &sources, grants: &[], compat: package.compat };
        Self(Plugin::describe("maps", compiled, CONFIG, limits, &context).unwrap_or_else(|error| panic!("{error}")))
    }
}

impl Decoder for Sandboxed {
    fn label(&mut self, request: DecodeRequest, take: &mut dyn FnMut(usize, Labels<'_>)) {
        let until = Instant::now() + Duration::from_secs(10);
        assert!(self.0.begin_scrape(Instant::now(), until), "the package has no faults");
        let progress = self.0.decode(&request, until, &mut |first, answers| {
            let answers = answers.expect("the package has no faults");
            for entry in 0..answers.count() {
                let Row::Labels { columns, .. } = answers.row(entry) else { panic!("it labels every key") };
                take(first + entry, Labels::Listed(answers.values(), columns));
            }
        });
        assert_eq!(progress, Progress::Done, "asked in time");
    }
}

struct Native(Harness<Maps>);

impl Decoder for Native {
    fn label(&mut self, request: DecodeRequest, take: &mut dyn FnMut(usize, Labels<'_>)) {
        let batch = Batch {
            view: request.view as u32,
            count: request.count as u32,
            identities: request.identities,
            found: request.found,
            names: request.names,
        };
        let rows = self.0.decode_batch(&batch);
        let values: Values = rows.dictionary.into_iter().collect();
        for (entry, columns) in rows.labels.chunks_exact(3).enumerate() {
            take(entry, Labels::Listed(&values, columns));
        }
    }
}

struct Scrape<D> {
    table: Table,
    decoder: D,
}

impl<D: Decoder> Scrape<D> {
    fn new(schema: &Arc<Schema>, decoder: D, series: usize) -> Self {
        let limits = TableLimits { series, label_bytes: limits::LABEL_BYTES, ..TableLimits::default() };
        Self { table: Table::new(schema.clone(), limits), decoder }
    }

    fn scrape(&mut self, snapshot: &Snapshot) {
        let mut scrape = self.table.scrape(0.0);
        scrape.observe(0, snapshot).expect("rows fit their schema");
        let mut labelling = scrape.label();
        let unlabelled: Vec<IdentityId> = labelling.unlabelled(0).to_vec();
        for ids in unlabelled.chunks(limits::BATCH_ENTRIES) {
            let mut request = DecodeRequest { view: 0, count: ids.len(), ..DecodeRequest::default() };
            for id in ids {
                request.identities.extend_from_slice(labelling.identity_bytes(0, *id));
            }
            self.decoder.label(request, &mut |entry, labels| {
                labelling.answer(0, ids[entry], Answer::Series { labels, bucket: None });
            });
        }
        let mut settling = labelling.settle();
        settling.count(0, snapshot).expect("rows fit their schema");
        settling.finish();
        let mut nowhere = io::sink();
        let mut encoder = encoder(Format::Text004, Created::LeftOut, &mut nowhere);
        let mut families = self.table.families();
        let encoded = families.try_for_each(|series| encoder.family(Presentation::exact("ebhost"), series));
        encoded.and_then(|()| encoder.finish()).expect("a sink takes everything");
    }
}

/// The CPU time of counting and printing the entries of a per-CPU map, as a host with so many possible CPUs has it, each with a series of its own; the
/// tenth part of the times is below. Its read takes more, too, in the kernel.
pub(crate) fn with_cpus(cpus: usize, entries: usize) -> Duration {
    let schema = Sandboxed::new().0.schema().clone();
    let native = Native(Harness::new(CONFIG).expect("the package describes itself"));
    let mut scrape = Scrape::new(&schema, native, entries);
    let keys = (0..entries as u64).flat_map(ebhost_tests::key).collect();
    let mut snapshot = Snapshot {
        keys: Keys::Bytes { size: KEY, bytes: keys },
        values: vec![0; entries * cpus * 8],
        value_stride: 8,
        cpus,
        len: entries,
        complete: true,
        ..Snapshot::default()
    };
    let times: Vec<Duration> = (0..41u8)
        .map(|round| {
            snapshot.values.iter_mut().step_by(8).for_each(|byte| *byte = round);
            timed(|| scrape.scrape(&snapshot))
        })
        .collect();
    tenth(times.into_iter().skip(3))
}

fn snapshot(entries: &Entries) -> Snapshot {
    Snapshot {
        keys: Keys::Bytes { size: KEY, bytes: entries.keys[..entries.len * KEY].to_vec() },
        values: entries.values[..entries.len * 8].to_vec(),
        value_stride: 8,
        cpus: 1,
        len: entries.len,
        complete: true,
        ..Snapshot::default()
    }
}

/// A description of the machine, for later readers of the table.
pub(crate) fn machine() -> String {
    let first = |file: &str, name: &str| {
        let text = fs::read_to_string(Path::new(file)).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())).unwrap_or_default()
    };
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, {cpus} CPUs, {} of memory, Linux {}; load average at the start {}",
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        kernel.trim(),
        load.split(' ').take(1).collect::<String>()
    )
}
