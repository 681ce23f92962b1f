//! Ring buffers and perf event arrays, from a program that writes a known number of events to the series: none is lost or
//! counted twice, and what the kernel dropped is told.
//!
//! It needs root and clang-19, and is skipped by name without them: it compiles its program.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use ebhost_kernel as kernel;
use ebhost_kernel::{KernelContext, Loaded, ObjectFile, PerfReader, Source, Wanted};
use ebhost_package as package;
use ebhost_package::Artefact;
use ebhost_series::{
    Answer, Labels, Table, TableLimits,
    schema::{Family, Feed, Field, Kind, LabelSource, Part, Schema, Value, View},
};

/// Each getppid(2) of one process is an event of 16 bytes, of a class from 0 to 3, in both buffers.
const SOURCE: &str = r#"
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
char LICENSE[] SEC("license") = "GPL";
const volatile u32 targ_process = 0;
struct { int (*type)[27]; int (*max_entries)[262144]; } ring SEC(".maps");
struct { int (*type)[4]; int (*max_entries)[0]; u32 *key; u32 *value; } array SEC(".maps");
struct event { u64 class; u64 unused; };
static u64 (*pid_tgid)(void) = (void *)14;
static long (*output)(void *, void *, u64, void *, u64) = (void *)25;
static long (*ring_output)(void *, void *, u64, u64) = (void *)130;
static u64 (*now)(void) = (void *)5;
SEC("perf_event/type=1,config=2,sample_period=1")
int fault(void *ctx)
{
    struct event event = { .class = now() & 3 };
    if (pid_tgid() >> 32 != targ_process)
        return 0;
    ring_output(&ring, &event, sizeof(event), 0);
    output(ctx, &array, 0xffffffff, &event, sizeof(event));
    return 0;
}
"#;

fn compiled() -> Option<PathBuf> {
    let is_there = |tool: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()))
    };
    if !rustix::process::geteuid().is_root() || !is_there("clang-19") {
        let said = "skipped: events need root and clang-19";
        // As the end-to-end tests do: in CI a test that is skipped fails.
        assert!(
            std::env::var_os("EBHOST_TESTS_SKIP").is_none_or(|skip| skip != "no"),
            "{said}, and EBHOST_TESTS_SKIP=no"
        );
        // Not eprintln, whose output is hidden when a test passes.
        let _ = writeln!(std::io::stderr(), "{said}");
        return None;
    }
    let object = std::env::temp_dir().join(format!("ebhost-events-{}.o", std::process::id()));
    let source = object.with_extension("c");
    fs::write(&source, SOURCE).unwrap();
    let done =
        Command::new("clang-19").args(["-target", "bpf", "-g", "-O2", "-c", "-o"]).arg(&object).arg(&source).status();
    assert!(done.unwrap().success());
    fs::remove_file(source).unwrap();
    Some(object)
}

fn load(object: &Path) -> Loaded {
    let artefact = || Artefact::new(object.to_owned(), fs::read(object).unwrap());
    let own = package::GlobalValue::Unsigned(u64::from(std::process::id()));
    let globals = BTreeMap::from([("targ_process".to_owned(), own)]);
    let bpf = package::Bpf { globals, ..package::Bpf::of(artefact()) };
    let file = ObjectFile::parse(&bpf).unwrap();
    assert!(file.maps["ring"].is_events() && file.maps["array"].is_perf_event_array());
    let wanted = ["ring", "array"].map(|name| Wanted::by_views(name, vec![8, 24]));
    kernel::load(Some((&file, &bpf)), &BTreeMap::new(), &wanted, u64::MAX, &KernelContext::new()).unwrap()
}

/// One counter of events by class.
fn table() -> Table {
    let family = Family {
        name: "events_total".into(),
        help: String::new(),
        unit: String::new(),
        labels: vec!["class".into()],
        kind: Kind::Counter,
        times: 1.0,
        per: 1.0,
    };
    let view = View {
        source: "ring".into(),
        key_size: 0,
        value_size: 8,
        identity: vec![Field { part: Part::Value, offset: 0, length: 8 }],
        lookups: Vec::new(),
        columns: 1,
        feeds: vec![Feed { family: 0, labels: vec![LabelSource::Column(0)], value: Value::One }],
    };
    Table::new(Arc::new(Schema { families: vec![family], views: vec![view] }), TableLimits::default())
}

fn count(table: &mut Table, source: &Source) {
    let snapshot = source.snapshot(8).unwrap();
    let mut scrape = table.scrape(0.0);
    scrape.observe(0, snapshot).unwrap();
    let mut labelling = scrape.label();
    for id in labelling.unlabelled(0).to_vec() {
        let class = labelling.identity_bytes(0, id)[0].to_string();
        labelling.answer(0, id, Answer::Series { labels: Labels::Named(&[&class]), bucket: None });
    }
    let mut settling = labelling.settle();
    settling.count(0, snapshot).unwrap();
    settling.finish();
}

fn counted(table: &Table) -> u64 {
    table.families().flat_map(|family| family.iter()).map(|series| series.cells[0]).sum()
}

/// The kernel's own count of our faults.
fn faults() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').map(str::to_owned).collect();
    fields[7].parse::<u64>().unwrap() + fields[9].parse::<u64>().unwrap()
}

#[test]
fn every_event_is_counted_once() {
    let Some(object) = compiled() else { return };
    let mut loaded = load(&object);
    let (mut ring, mut array) = (table(), table());
    let kernel_before = faults();
    for round in 0..3 {
        // So far apart that huge pages make no fault of two, and so much that malloc has to ask for it.
        let mut fresh = vec![0u8; 64 << 22];
        fresh.iter_mut().step_by(1 << 22).for_each(|byte| *byte = std::hint::black_box(round));
        drop(std::hint::black_box(fresh));
        for (source, table) in loaded.sources.iter_mut().zip([&mut ring, &mut array]) {
            source.read(Instant::now() + Duration::from_secs(5)).unwrap();
            assert_eq!(source.snapshot(24).unwrap().len, 0, "an event of 16 bytes is not of a view of 24");
            count(table, source);
        }
    }
    // The ring is read first: what faults in between is in the array alone. What faults last is in neither.
    let (in_ring, in_array, kernel) = (counted(&ring), counted(&array), faults() - kernel_before);
    let all = format!("{in_ring} in the ring, {in_array} in the array, {kernel} faults");
    assert!(in_ring >= 192 && kernel >= 192, "{all}");
    assert!(in_ring <= in_array && in_array - in_ring < 64 && kernel.abs_diff(in_ring) < 64, "{all}");
    for source in &loaded.sources {
        let Source::Events(events) = source else { panic!("a buffer of events") };
        assert_eq!(events.tally().1, 0, "nothing was lost");
    }
    assert!(loaded.perf().flat_map(PerfReader::states).any(|event| event.event == "software/page-faults"));
    fs::remove_file(object).unwrap();
}
