//! Tables of counts.h by configuration: manifests, rows and mistakes.

use builtin::{Builtin, contract::*};
use ebhost_plugin::exported::{Columns, Decoder};
use ebhost_plugin::testing::bank_identity;
use serde_json::{Value as Json, json};

/// `LATENCIES(waits, u64)`, `COUNTS(things, struct { u64 cgroup; u32 kind; u32 pad; }, 3)`, `LINEAR(depths, u32, 0, 4, 3)`, a hash, and a perf source.
fn maps() -> Json {
    let map = |key_size: u32, value_size: u32| json!({"kind": "table", "key_size": key_size, "value_size": value_size});
    let stats = || map(4, 8);
    json!({
        "waits": map(4, 8 + 8 + 8 * 30), "waits_spill": map(8, 8 + 8 + 8 * 30), "waits_stats": stats(),
        "waits_n": map(4, 8 + 8 + 8 * 243), "waits_n_spill": map(8, 8 + 8 + 8 * 243), "waits_n_stats": stats(),
        "things": map(4, 8 + 16 + 8 * 3), "things_spill": map(16, 8 + 16 + 8 * 3), "things_stats": stats(),
        "depths": map(4, 8 + 8 + 8 * 5), "depths_spill": map(4, 8 + 8 + 8 * 5), "depths_stats": stats(),
        "hash": map(8, 16), "cycles": map(4, 8 * 2 + 16),
    })
}

fn described(config: &Json) -> Result<Manifest, String> {
    let mut config = config.clone();
    config["host"] = json!({
        "package": "a-package", "architecture": "x86_64", "is_ebpf_exporter": false, "syscall_names": "kernel", "maps": maps(),
    });
    Builtin::describe(&config.to_string())
}

fn waits(histograms: &str, cgroup: &str) -> Json {
    json!({"tables": [{
        "table": "waits", "kind": "durations", "histograms": histograms, "key": [{"cgroup": cgroup}],
        "families": [{"name": "wait_seconds", "help": "Time to wait."}],
    }]})
}

fn things() -> Json {
    json!({"tables": [{
        "table": "things", "kind": "counts",
        "key": [
            {"cgroup": "unit"},
            {"name": "kind", "size": 4, "decoders": [{"name": "uint"}, {"name": "static_map", "static_map": {"0": "a", "1": "b"}}]},
            {"size": 4},
        ],
        "families": [
            {"name": "things_total", "help": "Things.", "series": [
                {"number": 0, "fixed": {"way": "in"}}, {"number": 1, "fixed": {"way": "out"}},
            ]},
            {"name": "thing_seconds_total", "help": "Time.", "number": 2, "unit": "seconds", "per": 1e9, "labels": ["kind"]},
        ],
    }]})
}

/// The result for one entry of a view, by the index of the view.
fn row(manifest: &Manifest, view: usize, identity: &[u8], names: &[Option<&str>]) -> Result<Vec<String>, Reason> {
    let batch = Batch {
        view: view as u32,
        count: 1,
        identities: identity.to_vec(),
        found: (0..names.len() as u32).collect(),
        names: names.iter().map(|name| name.map(str::to_owned)).collect(),
    };
    let fields: u32 = manifest.views[view].identity.iter().map(|field| field.length).sum();
    assert_eq!((fields as usize, manifest.views[view].lookups.len()), (identity.len(), names.len()));
    let mut answer = Columns::new();
    answer.clear_for(&batch);
    Builtin::decode(&batch, &mut answer);
    let rows = answer.rows();
    assert_eq!(rows.labels.len(), manifest.views[view].columns as usize);
    if let Some(refusal) = rows.refused.first() {
        assert_eq!((rows.refused.len(), refusal.entry), (1, 0));
        return Err(refusal.why.clone());
    }
    Ok(rows.labels.iter().map(|index| rows.dictionary[*index as usize].clone()).collect())
}

fn labels(values: &[&str]) -> Result<Vec<String>, Reason> {
    Ok(values.iter().map(|value| (*value).to_owned()).collect())
}

fn field(part: Part, offset: u32, length: u32) -> Field {
    Field { part, offset, length }
}

fn number(offset: u32) -> Number {
    Number { offset, size: 8, is_signed: false }
}

#[test]
fn a_latency_table_is_read_as_the_sdk_reads_it() {
    let manifest = described(&waits("classic", "cgroup")).expect("good");
    let names: Vec<_> = manifest.families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names, ["wait_seconds", "a_package_spilled_total", "a_package_spill_entries", "a_package_lost_total"]);
    let family = &manifest.families[0];
    assert_eq!((family.unit.as_str(), family.per, &family.labels), ("seconds", 1e9, &vec!["cgroup".to_owned()]));
    let Kind::Histogram(bounds) = &family.kind else { panic!("{:?}", family.kind) };
    assert_eq!((bounds.len(), bounds[0], bounds[27]), (28, 1e-6, 134.217728));

    let [banks, shared, spilled, entries, lost] = &manifest.views[..] else { panic!("{:?}", manifest.views) };
    assert_eq!((banks.source.as_str(), banks.key_size, banks.value_size), ("waits", 4, 256));
    assert_eq!(banks.identity, [field(Part::Value, 4, 4), field(Part::Value, 8, 8)]);
    assert_eq!((banks.lookups[0].table.as_str(), banks.lookups[0].field), ("live-cgroup", 1));
    let slots = Slots { offset: 24, size: 8, sum: Some(number(16)) };
    assert_eq!(banks.series[0].value, Value::Slots(slots));
    assert_eq!((shared.source.as_str(), shared.key_size, shared.value_size), ("waits_spill", 8, 256));
    assert_eq!(shared.identity, [field(Part::Key, 0, 8)]);
    assert_eq!(
        (&spilled.source, &lost.source, lost.columns),
        (&"waits_stats".to_owned(), &"waits_stats".to_owned(), 1)
    );
    let families = [spilled, entries, lost].map(|view| view.series[0].family);
    assert_eq!((families, entries.columns), ([1, 2, 3], 0));
}

/// The same as in the SDK's own test of a package written in Rust.
#[test]
fn banks_and_shared_entries_have_the_labels_of_their_cgroup() {
    let manifest = described(&waits("classic", "cgroup")).expect("good");
    let key = 4711u64.to_le_bytes();
    let bank = bank_identity(&key);
    assert_eq!(row(&manifest, 0, &bank, &[Some("/user.slice")]), labels(&["/user.slice"]));
    assert_eq!(row(&manifest, 1, &key, &[Some("/user.slice")]), labels(&["/user.slice"]));
    assert_eq!(row(&manifest, 1, &key, &[None]), Err(Reason::Skip), "its counts wait");
    assert_eq!(row(&manifest, 0, &bank, &[Some("")]), Err(Reason::Skip), "the cgroup is gone");
    let mut partial = bank;
    partial[4] ^= 1;
    assert_eq!(row(&manifest, 0, &partial, &[Some("/")]), Err(Reason::Skip));
    assert_eq!(row(&manifest, 0, &[0; 12], &[Some("/")]), Err(Reason::Skip), "a bank without an owner");
    let skip = || Err(Reason::Skip);
    for (stat, spilled, entries, lost) in [
        (0u32, labels(&[]), skip(), skip()),
        (1, skip(), skip(), labels(&["spill_full"])),
        (2, skip(), skip(), labels(&["spill_busy"])),
        (3, skip(), labels(&[]), skip()),
    ] {
        assert_eq!(row(&manifest, 2, &stat.to_le_bytes(), &[]), spilled);
        assert_eq!(row(&manifest, 3, &stat.to_le_bytes(), &[]), entries);
        assert_eq!(row(&manifest, 4, &stat.to_le_bytes(), &[]), lost);
    }
}

#[test]
fn entries_have_the_labels_of_their_cgroups_container_until_the_cgroup_is_gone() {
    let manifest = described(&waits("classic", "container")).expect("good");
    assert_eq!(manifest.families[0].labels, ["namespace", "pod", "container"]);
    let shared = &manifest.views[1];
    assert_eq!(shared.identity, [field(Part::Key, 0, 8)], "one field for all of them");
    let tables: Vec<_> = shared.lookups.iter().map(|lookup| (lookup.table.as_str(), lookup.field)).collect();
    let live = ("live-cgroup", 0);
    assert_eq!(tables, [live, ("pod-namespace", 0), live, ("pod", 0), live, ("container", 0)]);
    let key = 4711u64.to_le_bytes();
    let named = |path, container| [path, Some("prod"), path, Some("shop-7d9c"), path, container];
    let served = labels(&["prod", "shop-7d9c", "web"]);
    assert_eq!(row(&manifest, 1, &key, &named(Some("/kubepods/x"), Some("web"))), served);
    assert_eq!(row(&manifest, 0, &bank_identity(&key), &named(Some("/kubepods/x"), Some("web"))), served);
    assert_eq!(row(&manifest, 1, &key, &named(Some("/kubepods/x"), None)), Err(Reason::Skip), "its counts wait");
    assert_eq!(row(&manifest, 1, &key, &named(Some(""), Some("web"))), Err(Reason::Skip), "the cgroup is gone");
    let outside = [Some("/a"), Some(""), Some("/a"), Some(""), Some("/a"), Some("")];
    assert_eq!(row(&manifest, 1, &key, &outside), labels(&["", "", ""]));
}

#[test]
fn an_option_chooses_native_buckets_and_leaves_the_cgroup_out() {
    let manifest = described(&waits("native", "off")).expect("good");
    let (family, view) = (&manifest.families[0], &manifest.views[0]);
    assert!(family.labels.is_empty() && view.lookups.is_empty() && view.columns == 0);
    assert_eq!((view.source.as_str(), &view.identity), ("waits_n", &vec![field(Part::Value, 4, 12)]));
    let slots = NativeSlots { offset: 24, schema: 3, first: -159, count: 240, sum: Some(number(16)) };
    assert_eq!(view.series[0].value, Value::NativeSlots(slots));
    assert_eq!(row(&manifest, 0, &bank_identity(&[0; 8]), &[]), labels(&[]));
}

#[test]
fn numbers_of_a_table_are_series_with_labels_of_their_own() {
    let manifest = described(&things()).expect("good");
    assert_eq!(manifest.families[0].labels, ["unit", "kind", "way"]);
    assert_eq!((&manifest.families[1].labels, manifest.families[1].per), (&vec!["kind".to_owned()], 1e9));
    let view = &manifest.views[0];
    assert_eq!(view.identity, [field(Part::Value, 4, 4), field(Part::Value, 8, 8), field(Part::Value, 16, 8)]);
    let series: Vec<_> =
        view.series.iter().map(|series| (series.family, series.labels.clone(), series.value)).collect();
    let way = |way: &str| vec![Label::Column(0), Label::Column(1), Label::Fixed(way.to_owned())];
    assert_eq!(
        series,
        [
            (0, way("in"), Value::Number(number(24))),
            (0, way("out"), Value::Number(number(32))),
            (1, vec![Label::Column(1)], Value::Number(number(40))),
        ]
    );
    let key = [&7u64.to_le_bytes()[..], &1u32.to_le_bytes(), &[0; 4]].concat();
    let names = [Some("/system.slice/a.service/b"), Some("a.service")];
    assert_eq!(row(&manifest, 0, &bank_identity(&key), &names), labels(&["a.service", "b"]));
    assert_eq!(row(&manifest, 1, &key, &names), labels(&["a.service", "b"]));
}

#[test]
fn a_label_that_is_not_kept_is_added_up_by_the_host() {
    let mut config = things();
    config["tables"][0]["key"][1]["keep"] = json!(false);
    config["tables"][0]["families"] = json!([{"name": "things_total", "number": 0}]);
    let manifest = described(&config).expect("good");
    assert_eq!(manifest.families[0].labels, ["unit"]);
    let key = [&7u64.to_le_bytes()[..], &99u32.to_le_bytes(), &[0; 4]].concat();
    assert_eq!(row(&manifest, 1, &key, &[Some("/"), Some("-.slice")]), labels(&["-.slice"]));
}

#[test]
fn bounds_are_scaled_with_their_family() {
    let config = json!({"prefix": "queues", "tables": [{
        "table": "depths", "kind": "linear", "first": 0, "step": 4, "bounds": 3,
        "key": [{"name": "cpu", "size": 4, "decoders": [{"name": "uint"}]}],
        "families": [{"name": "depth_bytes", "unit": "bytes", "times": 512}],
    }]});
    let manifest = described(&config).expect("good");
    assert_eq!(manifest.families[0].kind, Kind::Histogram(vec![0.0, 2048.0, 4096.0]));
    assert_eq!(manifest.families[1].name, "queues_spilled_total");
    assert_eq!(row(&manifest, 0, &bank_identity(&3u32.to_le_bytes()), &[]), labels(&["3"]));
}

#[test]
fn ordinary_maps_and_perf_sources_have_arrays_of_numbers() {
    let cpu = json!([{"name": "cpu", "size": 4, "decoders": [{"name": "uint"}]}]);
    let config = json!({"tables": [
        {"table": "cycles", "kind": "plain", "key": cpu, "families": [
            {"name": "cycles_total", "number": 0}, {"name": "instructions_total", "number": 1},
        ]},
        {"table": "hash", "kind": "plain", "key": [{"size": 8}], "families": [
            {"name": "size", "type": "gauge", "fold": "max", "number": 1},
        ]},
    ]});
    let manifest = described(&config).expect("good");
    assert_eq!((manifest.families.len(), manifest.views.len()), (3, 2));
    assert_eq!((manifest.views[0].value_size, manifest.views[1].value_size), (32, 16));
    assert_eq!(manifest.families[2].kind, Kind::Gauge(Fold::Max));
    assert_eq!(row(&manifest, 0, &1u32.to_le_bytes(), &[]), labels(&["1"]));
    assert_eq!(row(&manifest, 1, &1u64.to_le_bytes(), &[]), labels(&[]));
}

#[test]
fn two_tables_may_feed_one_family() {
    let table = |name: &str, help: &str| {
        json!({"table": name, "kind": "counts", "key": [{"size": 16}], "families": [
            {"name": "things_total", "help": help, "number": 0, "fixed": {"way": name}},
        ]})
    };
    let both = described(&json!({"tables": [table("things", "Things."), table("things", "")]})).expect("good");
    assert_eq!((both.families.len(), both.views.len()), (4, 10));
    assert_eq!(both.families[0].help, "Things.");
    let mistake = described(&json!({"tables": [table("things", "Things."), table("things", "Others.")]})).unwrap_err();
    assert!(mistake.contains("config.tables[1].families[0]: found the family `things_total` again"), "{mistake}");
}

#[test]
fn mistakes_have_their_places() {
    for (path, value, expected) in [
        ("/table", json!("thing"), ".table: found no map `thing` in the BPF object"),
        ("/kind", json!("count"), ".kind: found `count`, expected counts, latencies, native_latencies, durations,"),
        (
            "/kind",
            json!("latencies"),
            ": found `things` with 3 numbers in a value, expected 30: the sum and 29 slots of this kind",
        ),
        ("/first", json!(1), ".first: found the key `first`, expected one of table, kind, key, families"),
        ("/key/0/cgroup", json!("path"), ".key[0].cgroup: found `path`, expected off, cgroup, unit or container"),
        ("/key/0/size", json!(8), ".key[0].size: found a key beside `cgroup`"),
        ("/key/1/size", json!(8), ".key: found 20 bytes of sizes and paddings, expected 16"),
        ("/key/2/size", json!(8), ".key: found 20 bytes of sizes and paddings, expected 16, as the table's key has"),
        ("/key/2/decoders", json!([]), ".key[2].decoders: found a part without a name"),
        ("/key/1/decoders/0/name", json!("unit"), "found the decoder `unit`, expected one of cgroup, dname"),
        ("/families", json!([]), ": found no families, expected one or more"),
        ("/families/0/name", json!("things-total"), ".families[0].name: found `things-total`"),
        ("/families/1/number", json!(3), ".families[1].number: found `3`, expected a whole number from 0 to 2"),
        (
            "/families/1/labels/0",
            json!("knd"),
            ".families[1].labels[0]: found `knd`, expected one of the key's labels: unit, kind",
        ),
        ("/families/0/series/1/fixed/way", json!("in"), ".families[0].series[1]: found the labels of another series"),
        ("/families/0/series/1/fixed", json!({"kind": "x"}), ".families[0].series[1]: found other labels"),
        ("/families/0/type", json!("gauge"), ".families[0].type: found the key `type`, expected one of name, help"),
    ] {
        let mut config = things();
        let (parent, key) = path.rsplit_once('/').expect("a path");
        let place = config["tables"][0].pointer_mut(parent).expect("its parent");
        match key.parse::<usize>() {
            Ok(index) => place[index] = value,
            Err(_) => place[key] = value,
        }
        let mistakes = described(&config).expect_err(path);
        assert!(mistakes.starts_with("config.tables[0]") && mistakes.contains(expected), "{path}: {mistakes}");
    }
}
