//! The component's answers to the host, natively: manifests, rows and mistakes for various configurations.

use builtin::{Builtin, contract::*, spans};
use ebhost_plugin::exported::{Columns, Decoder};
use serde_json::{Value as Json, json};

/// The maps that the tests' metrics read.
fn maps() -> Json {
    json!({
        "calls": {"kind": "table", "key_size": 24, "value_size": 8},
        "by_cpu": {"kind": "per_cpu_table", "key_size": 4, "value_size": 8},
        "all": {"kind": "table", "key_size": 4, "value_size": 8},
        "latency": {"kind": "table", "key_size": 12, "value_size": 8},
        "drops": {"kind": "events", "key_size": 0, "value_size": 0},
        "spans": {"kind": "events", "key_size": 0, "value_size": 0},
        "wide": {"kind": "table", "key_size": 8, "value_size": 16},
    })
}

fn described(metrics: &Json) -> Result<Manifest, String> {
    Builtin::describe(&json!({"metrics": metrics, "host": host(true)}).to_string())
}

/// Keys that the host adds to the configuration.
fn host(is_ebpf_exporter: bool) -> Json {
    let names = "kernel";
    json!({"package": "test", "architecture": "x86_64", "is_ebpf_exporter": is_ebpf_exporter, "syscall_names": names, "maps": maps()})
}

fn decoded(batch: &Batch) -> Rows {
    let mut answer = Columns::new();
    answer.clear_for(batch);
    Builtin::decode(batch, &mut answer);
    answer.rows()
}

fn refusal(metrics: &Json) -> String {
    described(metrics).expect_err("a bad configuration")
}

fn label(name: &str, size: u32, decoders: &[&str]) -> Json {
    let decoders: Vec<_> = decoders.iter().map(|name| json!({"name": name})).collect();
    json!({"name": name, "size": size, "decoders": decoders})
}

fn batch(identities: &[&[u8]], names: &[Option<&str>]) -> Batch {
    Batch {
        view: 0,
        count: identities.len() as u32,
        identities: identities.concat(),
        found: (0..names.len() as u32).collect(),
        names: names.iter().map(|name| name.map(str::to_owned)).collect(),
    }
}

/// The identity of an entry of the first view, by its key.
fn identity(manifest: &Manifest, key: &[u8]) -> Vec<u8> {
    let fields = &manifest.views[0].identity;
    fields.iter().flat_map(|field| &key[field.offset as usize..][..field.length as usize]).copied().collect()
}

/// The label values of each entry, or the reason why it has none.
fn rows(manifest: &Manifest, batch: &Batch) -> Vec<Result<Vec<String>, Reason>> {
    let (columns, count) = (manifest.views[0].columns as usize, batch.count as usize);
    let rows = decoded(batch);
    assert_eq!(rows.labels.len(), count * columns, "the columns have a value for every entry");
    let row = |entry: usize| {
        if let Some(refusal) = rows.refused.iter().find(|refusal| refusal.entry as usize == entry) {
            return Err(refusal.why.clone());
        }
        let indices = &rows.labels[entry * columns..][..columns];
        Ok(indices.iter().map(|index| rows.dictionary[*index as usize].clone()).collect())
    };
    (0..count).map(row).collect()
}

fn values(values: &[&str]) -> Result<Vec<String>, Reason> {
    Ok(values.iter().map(|value| (*value).to_owned()).collect())
}

#[test]
fn labels_follow_each_other_in_the_key_with_their_padding() {
    let mut kind = label("kind", 1, &["uint"]);
    kind["padding"] = json!(3);
    let metrics = json!({"counters": [{"name": "calls", "help": "Calls.", "labels": [
        kind, label("command", 16, &["string"]), label("flags", 4, &["hex"]),
    ]}]});
    let manifest = described(&metrics).expect("a good configuration");
    let view = &manifest.views[0];
    assert_eq!((view.source.as_str(), view.key_size, view.value_size, view.columns), ("calls", 24, 8, 3));
    let fields: Vec<_> = view.identity.iter().map(|field| (field.offset, field.length)).collect();
    assert_eq!(fields, [(0, 1), (4, 16), (20, 4)]);
    assert_eq!(view.series[0].value, Value::Number(Number { offset: 0, size: 8, is_signed: false }));
    assert_eq!(manifest.families[0].labels, ["kind", "command", "flags"]);

    let key = [&[7][..], b"bad \xff byte\0\0\0\0\0\0", &[1, 2, 3, 4]].concat();
    assert_eq!(rows(&manifest, &batch(&[&key], &[])), [values(&["7", "bad \u{fffd} byte", "01020304"])]);
}

#[test]
fn names_come_from_the_host_or_a_placeholder_is_used() {
    let metrics = |decoder: &str, size: u32| {
        let decoders: &[&str] = match decoder {
            "cgroup" | "pci_vendor" | "pci_device" | "pci_class" | "pci_subclass" => &["uint", decoder],
            _ => &[decoder],
        };
        let rest = label("rest", 24 - size, &["hex"]);
        json!({"counters": [{"name": "calls", "labels": [label("it", size, decoders), rest]}]})
    };
    for (decoder, size, table, bytes, unknown) in [
        ("ksym", 8, "kernel-symbol-exact", 0xffff_ffff_8100_0010, "unknown_addr:0xffffffff81000010"),
        ("kstack", 16, "kernel-stack", 0, "??"),
        ("majorminor", 4, "block-device-user", 0x0010_3701, "unknown:55:257"),
        ("ifname", 4, "network-interface", 77, "unknown:77"),
        ("cgroup", 8, "cgroup-folder", 4242, "unknown_cgroup_id:4242"),
        ("pci_vendor", 2, "pci-vendor", 0x8086, "missing pci.ids db"),
        ("pci_device", 4, "pci-device", 0x8086_1572, "missing pci.ids db"),
        ("pci_class", 1, "pci-class", 2, "missing pci.ids db"),
        ("pci_subclass", 2, "pci-subclass", 0x0207, "missing pci.ids db"),
    ] {
        let manifest = described(&metrics(decoder, size)).unwrap_or_else(|why| panic!("{decoder}: {why}"));
        let lookups = &manifest.views[0].lookups;
        let count = if decoder == "pci_subclass" { 2 } else { 1 };
        assert_eq!((lookups.len(), lookups[0].table.as_str(), lookups[0].field), (count, table, 0), "{decoder}");
        let mut key = [0; 24];
        key[..8].copy_from_slice(&u64::to_le_bytes(bytes));
        let identity = identity(&manifest, &key);
        for (found, expected) in [(Some("its name"), "its name"), (None, unknown)] {
            let row = rows(&manifest, &batch(&[&identity], &vec![found; count])).remove(0).expect("a row");
            assert_eq!(row[0], expected, "{decoder}");
        }
    }
}

/// Numbers below 0x1000 were padded, and a subclass of an unknown class was called an unknown subclass. The last three are those of
/// ebpf_exporter's own tests.
#[test]
fn a_number_that_is_not_in_the_database_reads_as_ebpf_exporter_writes_it() {
    for (decoder, size, bytes, found, unknown) in [
        ("pci_vendor", 2, 0x1af4u64, &[""][..], "unknown pci vendor: 0x1af4"),
        ("pci_vendor", 2, 0xab, &[""], "unknown pci vendor: 0xab"),
        ("pci_vendor", 2, 0x7, &[""], "unknown pci vendor: 0x07"),
        ("pci_device", 4, 0x0e11_0001, &[""], "unknown pci device: 0xe110001"),
        ("pci_device", 4, 0xab, &[""], "unknown pci device: 0x00ab"),
        ("pci_class", 1, 0x2, &[""], "unknown pci class: 0x02"),
        ("pci_subclass", 2, 0x0207, &["", "Network controller"], "unknown pci subclass: 0x07 (class 0x02)"),
        ("pci_subclass", 4, 0x01_0207, &["", "Network controller"], "unknown pci class: 0x102"),
        ("pci_subclass", 1, 0x07, &[""], "unknown pci subclass: 0x07 (class 0x00)"),
        ("pci_subclass", 4, 0xfd00, &["", ""], "unknown pci class: 0xfd"),
        ("pci_subclass", 4, 0x010b, &["", "Mass storage controller"], "unknown pci subclass: 0x0b (class 0x01)"),
        ("pci_subclass", 4, 3, &["", "Unclassified device"], "unknown pci subclass: 0x03 (class 0x00)"),
    ] {
        let labels = [label("it", size, &["uint", decoder]), label("rest", 24 - size, &["hex"])];
        let manifest = described(&json!({"counters": [{"name": "calls", "labels": labels}]})).expect("good");
        let key = [&bytes.to_le_bytes()[..], &[0; 16]].concat();
        let found: Vec<_> = found.iter().copied().map(Some).collect();
        let row = rows(&manifest, &batch(&[&identity(&manifest, &key)], &found)).remove(0).expect("a row");
        assert_eq!(row[0], unknown);
    }
}

/// Labels behind one that has two identity fields and two names.
#[test]
fn the_class_of_a_pci_subclass_is_no_label() {
    let labels = [
        label("subclass", 2, &["uint", "pci_subclass"]),
        label("device", 4, &["ifname"]),
        label("rest", 18, &["string"]),
    ];
    let manifest = described(&json!({"counters": [{"name": "calls", "labels": labels}]})).expect("good");
    let tables: Vec<_> = manifest.views[0].lookups.iter().map(|lookup| (lookup.table.as_str(), lookup.field)).collect();
    assert_eq!(tables, [("pci-subclass", 0), ("pci-class", 1), ("network-interface", 2)]);
    let key = [&[0x07, 0x02, 5, 0, 0, 0][..], b"rest\0\0\0\0\0\0\0\0\0\0\0\0\0\0"].concat();
    let identity = identity(&manifest, &key);
    assert_eq!((identity.len(), identity[2]), (25, 0x02));
    let found = [Some(""), Some("Network controller"), Some("eth0")];
    assert_eq!(
        rows(&manifest, &batch(&[&identity], &found)),
        [values(&["unknown pci subclass: 0x07 (class 0x02)", "eth0", "rest"])]
    );
    // A package with a plugin.yaml has granted no more than it names.
    let labels = [label("subclass", 2, &["uint", "pci_subclass"]), label("rest", 22, &["hex"])];
    let config = json!({"metrics": {"counters": [{"name": "calls", "labels": labels}]}, "host": host(false)});
    assert_eq!(Builtin::describe(&config.to_string()).expect("good").views[0].lookups.len(), 1);
}

/// `1.10` was `1.1`, `0x0800` was `2048`, and a value that was left out refused the file.
#[test]
fn static_maps_keep_the_text_that_is_written() {
    let mut it = label("it", 8, &["uint", "static_map"]);
    it["decoders"][1]["static_map"] =
        json!({"0": "False", "2": "0x0800", "3": "1.10", "4": "1e3", "5": "", "6": null, "7": 1, "8": true});
    let labels = [it, label("rest", 16, &["hex"])];
    let manifest = described(&json!({"counters": [{"name": "calls", "labels": labels}]})).expect("good");
    for (number, expected) in [
        (0, "False"),
        (2, "0x0800"),
        (3, "1.10"),
        (4, "1e3"),
        (5, ""),
        (6, ""),
        (7, "1"),
        (8, "true"),
        (9, "unknown:9"),
    ] {
        let key = [&u64::to_le_bytes(number)[..], &[0; 16]].concat();
        let row = rows(&manifest, &batch(&[&key], &[])).remove(0).expect("a row");
        assert_eq!(row[0], expected, "{number}");
    }
}

/// The host hands scalars over as they are written; `yes` refused the file.
#[test]
fn numbers_and_truths_may_be_written_as_in_yaml_1_1() {
    let mut it = label("it", 8, &["uint", "static_map"]);
    it["size"] = json!("0x8");
    it["decoders"][1]["static_map"] = json!({});
    it["decoders"][1]["allow_unknown"] = json!("yes");
    let mut rest = label("rest", 0, &["hex"]);
    (rest["size"], rest["padding"]) = (json!("1_0"), json!("06"));
    let labels = [it, rest];
    let manifest = described(&json!({"counters": [
        {"name": "calls", "labels": labels, "perf_event_array": "off"},
        {"name": "drops", "labels": [label("a", 8, &["uint"])], "perf_event_array": "On"},
    ]}));
    let manifest = manifest.expect("good");
    let key = [&9u64.to_le_bytes()[..], &[0; 16]].concat();
    assert_eq!(rows(&manifest, &batch(&[&identity(&manifest, &key)], &[])).remove(0).expect("a row")[0], "9");
    let bad = json!({"counters": [{"name": "calls", "labels": [label("a", 24, &["hex"])], "perf_event_array": "ja"}]});
    assert!(refusal(&bad).contains(".perf_event_array: found `ja`, expected true or false"));
}

/// A file with a mistake in each of its lines took a quarter of a minute to be refused.
#[test]
fn of_very_many_mistakes_the_first_are_described_and_the_others_counted() {
    let metrics: Vec<_> = (0..1_000).map(|index| json!({"name": format!("none{index}")})).collect();
    let why = refusal(&json!({"counters": metrics}));
    assert_eq!(why.split("; config").count(), 31);
    assert!(why.ends_with("; config: found 970 mistakes more, expected none"), "{}", &why[why.len() - 200..]);
}

#[test]
fn an_entry_that_does_not_match_is_left_out_and_affects_no_other_row() {
    let mut device = label("device", 8, &["string", "regexp", "static_map"]);
    device["decoders"][1]["regexps"] = json!(["^(sd[a-z])[0-9]*$"]);
    device["decoders"][2]["static_map"] = json!({"sda": "system", "sdb": 7});
    let labels = [device, label("error", 8, &["uint", "errno"]), label("name", 8, &["string", "uint"])];
    let manifest = described(&json!({"counters": [{"name": "calls", "labels": labels}]})).expect("good");
    let key = |device: &[u8; 8], error: u64, name: &[u8; 8]| [&device[..], &error.to_le_bytes(), name].concat();
    let keys = [
        key(b"sda1\0\0\0\0", 2, b"a\0\0\0\0\0\0\0"),
        key(b"vda\0\0\0\0\0", 2, b"a\0\0\0\0\0\0\0"),
        key(b"sdb\0\0\0\0\0", 2, b"abc\0\0\0\0\0"),
        key(b"sdc\0\0\0\0\0", 11, b"ab\0\0\0\0\0\0"),
        key(b"sdb\0\0\0\0\0", 999, b"\x07\0\0\0\0\0\0\0"),
    ];
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let why = "`uint` found `abc` (3 bytes), expected 1, 2, 4 or 8 bytes";
    assert_eq!(
        rows(&manifest, &batch(&keys, &[])),
        [
            values(&["system", "ENOENT", "97"]),
            Err(Reason::Skip),
            Err(Reason::Unknown(why.into())),
            values(&["unknown:sdc", "EAGAIN", "25185"]),
            values(&["7", "unknown:999", "7"]),
        ]
    );
}

#[test]
fn the_last_label_of_a_histogram_is_the_bucket() {
    let metrics = json!({"histograms": [{
        "name": "latency", "help": "Time.", "bucket_type": "exp2", "bucket_min": 0, "bucket_max": 3,
        "bucket_multiplier": 0.000001, "labels": [label("operation", 8, &["uint"]), label("bucket", 4, &["uint"])],
    }]});
    let manifest = described(&metrics).expect("good");
    let family = &manifest.families[0];
    assert_eq!((&family.labels, family.times, family.per), (&vec!["operation".to_owned()], 0.000001, 1.0));
    assert_eq!(family.kind, Kind::Histogram(vec![1e-6, 2e-6, 4e-6, 8e-6]));
    let keys: Vec<Vec<u8>> =
        [0u32, 3, 4, 5].map(|bucket| [&9u64.to_le_bytes()[..], &bucket.to_le_bytes()].concat()).into();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let rows = decoded(&batch(&keys, &[]));
    assert_eq!((rows.buckets, rows.dictionary), (vec![0, 3, 5, 4], vec!["9".to_owned()]));
    assert!(rows.refused.is_empty());
}

#[test]
fn without_labels_only_key_0_is_counted() {
    let manifest = described(&json!({"counters": [{"name": "all"}]})).expect("good");
    let keys: [&[u8]; 3] = [&[0; 4], &[1, 0, 0, 0], &[0, 0, 0, 1]];
    assert_eq!(rows(&manifest, &batch(&keys, &[])), [values(&[]), Err(Reason::Skip), Err(Reason::Skip)]);
}

#[test]
fn a_last_label_cpu_gives_each_cpu_a_series() {
    let metrics = json!({"counters": [{"name": "by_cpu", "labels": [label("cpu", 2, &["uint"])]}]});
    let manifest = described(&metrics).expect("good");
    assert_eq!((&manifest.families[0].labels, manifest.views[0].columns), (&vec!["cpu".to_owned()], 0));
    assert_eq!(manifest.views[0].series[0].labels, [Label::Cpu]);
    let labels = [label("queue", 4, &["uint"]), label("cpu", 2, &["uint"])];
    let manifest = described(&json!({"counters": [{"name": "by_cpu", "labels": labels}]})).expect("good");
    assert_eq!(manifest.views[0].series[0].labels, [Label::Column(0), Label::Cpu]);
    assert_eq!(rows(&manifest, &batch(&[&[3, 0, 0, 0]], &[])), [values(&["3"])]);
    let why = refusal(&json!({"counters": [{"name": "all", "labels": labels}]}));
    assert!(why.contains("found 6 bytes of sizes and paddings, expected 4, as the map's key has"), "{why}");
}

#[test]
fn events_count_one_each() {
    let labels = [label("why", 4, &["uint"]), label("device", 4, &["ifname"])];
    let metrics = json!({"counters": [
        {"name": "drops", "perf_event_array": true, "flush_interval": "30s", "labels": labels}
    ]});
    let view = described(&metrics).expect("good").views.remove(0);
    assert_eq!((view.key_size, view.value_size, &view.series[0].value), (0, 8, &Value::One));
    assert!(view.identity.iter().all(|field| field.part == Part::Value));
}

/// In ebhost's own packages a metric may have another name than its map.
#[test]
fn a_metric_of_a_native_package_may_name_its_map() {
    let labels = [label("id", 4, &["uint"])];
    let metrics = json!({"counters": [{"name": "calls_total", "map": "all", "labels": labels}]});
    let config = |is_ebpf_exporter: bool| {
        Builtin::describe(&json!({"metrics": metrics, "host": host(is_ebpf_exporter)}).to_string())
    };
    let manifest = config(false).expect("good");
    assert_eq!((manifest.families[0].name.as_str(), manifest.views[0].source.as_str()), ("calls_total", "all"));
    let why = config(true).unwrap_err();
    assert!(why.contains("config.metrics.counters[0].map: found the key `map`, expected one of name, "), "{why}");
}

/// All mistakes are found at load, at once.
#[test]
fn all_mistakes_are_reported_together_each_with_its_path() {
    let metrics = json!({
        "counters": [
            {"name": "calls", "lables": [], "labels": [
                label("a", 0, &["uint"]), label("b", 3, &["uint"]), label("c", 8, &["uint", "ksym"]),
                label("d", 4, &["strnig"]), {"name": "e", "size": 1},
            ]},
            {"name": "nowhere", "labels": [label("le", 4, &["uint"])]},
            {"name": "wide", "labels": [label("a", 8, &["uint"])]},
            {"name": "drops", "labels": [label("a", 8, &["uint"])], "flush_interval": "soon"},
        ],
        "histograms": [{"name": "latency", "bucket_type": "exp3", "labels": [label("bucket", 12, &["hex"])]}],
    });
    let why = refusal(&metrics);
    for expected in [
        "config.metrics.counters[0].lables: found the key `lables`, expected one of name, help, perf_event_array, ",
        "config.metrics.counters[0].labels[0].size: found `0`, expected a whole number from 1 to 4096",
        "config.metrics.counters[0].labels[1].decoders[0]: found `uint` of 3 bytes, expected a `size` of 1, 2, 4 or 8",
        "config.metrics.counters[0].labels[2].decoders[1]: found `ksym` after `uint`, expected `ksym` at first",
        "config.metrics.counters[0].labels[3].decoders[0].name: found the decoder `strnig`, expected one of cgroup, ",
        "config.metrics.counters[0].labels[4]: found no decoders, expected one or more of cgroup, ",
        "config.metrics.counters[1].name: found no map `nowhere` in the BPF object, expected the name of one of its maps: all, by_cpu, ",
        "config.metrics.counters[1].labels[0].name: found `le`, expected letters",
        "config.metrics.counters[2].name: found a table with values of 16 bytes, expected a map with values of 8 bytes",
        "config.metrics.counters[3].flush_interval: found that, expected a time such as `1h`",
        "config.metrics.counters[3].name: found an array of perf events, expected `perf_event_array: true`",
        "config.metrics.histograms[0].bucket_type: found `exp3`, expected exp2, exp2zero, linear or fixed",
    ] {
        assert!(why.contains(expected), "expected `{expected}` in:\n{}", why.replace("; ", "\n"));
    }
    assert_eq!(why.split("; config.").count(), 12, "{}", why.replace("; ", "\n"));
}

#[test]
fn a_lookup_after_other_decoders_is_a_mistake() {
    for (decoders, expected) in [
        (&["string", "cgroup"][..], "found `cgroup` after `string`, expected `uint` and then at once `cgroup`"),
        (&["cgroup"], "found `cgroup` at first, expected `uint` and then at once `cgroup`"),
        (&["uint", "static_map", "pci_vendor"], "found `pci_vendor` after `uint`, `static_map`"),
        (&["hex", "kstack"], "found `kstack` after `hex`, expected `kstack` at first"),
        (&["errno"], "found a decoder of numbers as text at first, expected `uint` before it"),
        (&["regexp"], "found no `regexps`, expected one"),
    ] {
        let mut it = label("it", 8, decoders);
        if decoders.contains(&"static_map") {
            it["decoders"][1]["static_map"] = json!({});
        }
        let why = refusal(&json!({"counters": [{"name": "calls", "labels": [it, label("rest", 16, &["hex"])]}]}));
        assert!(why.contains(expected), "{why}");
    }
    let mut it = label("it", 24, &["string", "regexp"]);
    for (pattern, expected) in [("(a", "expected a regular expression"), ("(a)(b)", "found 2 groups in `(a)(b)`")] {
        it["decoders"][1]["regexps"] = json!([pattern]);
        let why = refusal(&json!({"counters": [{"name": "calls", "labels": [it]}]}));
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn other_keys_of_ebpf_exporter_files_are_checked_too() {
    let config = json!({
        "metrics": {"counters": [{"name": "all"}]}, "host": host(true),
        "kaddrs": ["jiffies"], "cgroup_id_map": {"name": "ids", "type": "hesh", "regexps": ["("]},
        "tracing": {"spans": [{"ringbuf": "spans", "name": "s", "labels": [label("trace_id", 8, &["hex"])]}]},
        "name": "timers", "some": "key",
    });
    let why = Builtin::describe(&config.to_string()).unwrap_err();
    for expected in [
        "config.cgroup_id_map.type: found that type, expected hash or cgrp_storage",
        "config.cgroup_id_map.regexps[0]: found that, expected a regular expression",
        "config.tracing.spans[0].labels[0]: found `trace_id` of 8 bytes, expected 16 bytes",
    ] {
        assert!(why.contains(expected), "{why}");
    }
    let mut own = config;
    own["host"]["is_ebpf_exporter"] = json!(false);
    let why = Builtin::describe(&own.to_string()).unwrap_err();
    assert!(why.contains("config.tracing: found the key `tracing`, expected one of metrics"), "{why}");
}

/// Attributes of spans are not bound to Prometheus' names.
#[test]
fn spans_may_have_any_labels_and_a_file_may_have_spans_alone() {
    let labels = [label("cpu.orig", 4, &["uint"]), label("le", 4, &["uint"]), label("__x", 8, &["hex"])];
    let spans = json!({"spans": [{"ringbuf": "spans", "name": "s", "labels": labels}]});
    Builtin::describe(&json!({"tracing": spans, "host": host(true)}).to_string()).expect("a good configuration");
    let manifest = <Builtin as spans::Guest>::describe(String::new()).unwrap();
    assert_eq!((manifest.sources[0].buffer.as_str(), manifest.sources[0].min_size), ("spans", 16));
    for (ringbuf, found) in [("calls", "found `calls`, expected a ring buffer"), ("nowhere", "found `nowhere`")] {
        let spans = json!({"spans": [{"ringbuf": ringbuf, "labels": labels}]});
        let why = Builtin::describe(&json!({"tracing": spans, "host": host(true)}).to_string()).unwrap_err();
        assert!(why.contains(found), "{why}");
    }
    let twice = json!({"spans": [{"ringbuf": "spans", "labels": labels}, {"ringbuf": "spans", "labels": labels}]});
    let why = Builtin::describe(&json!({"tracing": twice, "host": host(true)}).to_string()).unwrap_err();
    assert!(why.contains("found the ring buffer `spans` a second time"), "{why}");
}

/// The answer for events of the first source, back to back.
fn spans_of(config: &Json, events: &[&[u8]], names: &[Option<&str>]) -> spans::Answer {
    Builtin::describe(&json!({"tracing": config, "host": host(true)}).to_string()).expect("a good configuration");
    <Builtin as spans::Guest>::decode(spans::Batch {
        source: 0,
        lengths: events.iter().map(|event| event.len() as u32).collect(),
        events: events.concat(),
        found: (0..names.len() as u32).collect(),
        names: names.iter().map(|name| name.map(str::to_owned)).collect(),
    })
}

#[test]
fn a_span_has_ids_times_and_attributes_of_its_labels() {
    let config = json!({"spans": [{"ringbuf": "spans", "name": "s", "service": "web", "labels": [
        label("trace_id", 16, &["hex"]), label("parent_span_id", 8, &["hex"]), label("span_id", 8, &["hex"]),
        label("span_monotonic_timestamp_ns", 8, &["uint"]), label("span_duration_ns", 8, &["uint"]),
        label("device", 4, &["majorminor"]), label("command", 4, &["string"]),
    ]}]});
    let mut event: Vec<u8> = (1..=32).collect();
    event.extend_from_slice(&1_000u64.to_le_bytes());
    event.extend_from_slice(&250u64.to_le_bytes());
    event.extend_from_slice(&[1, 0, 0, 0]);
    event.extend_from_slice(b"sh\0\0 and more than the labels have");
    let answer = spans_of(&config, &[&event], &[Some("sda")]);
    let attribute = |key: &str, value: &str| spans::Attribute { key: key.to_owned(), value: value.to_owned() };
    let expected = spans::Span {
        trace_id: spans::TraceId { high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10 },
        parent: 0x1112_1314_1516_1718,
        span_id: 0x191a_1b1c_1d1e_1f20,
        start: Some(1_000),
        duration: 250,
        name: "s".to_owned(),
        service: "web".to_owned(),
        attributes: vec![attribute("device", "sda"), attribute("command", "sh")],
    };
    assert_eq!((answer.spans, answer.unknown), (vec![expected], vec![]));
}

#[test]
fn a_span_without_special_labels_is_named_like_its_buffer_and_an_event_may_name_it() {
    let config = json!({"spans": [{"ringbuf": "spans", "labels": [label("pid", 4, &["uint"])]}]});
    let span = spans_of(&config, &[&[7, 0, 0, 0]], &[]).spans.remove(0);
    assert_eq!((span.name.as_str(), span.service.as_str()), ("spans", "ebpf_exporter"));
    assert_eq!(
        (span.trace_id, span.span_id, span.parent, span.start),
        (spans::TraceId { high: 0, low: 0 }, 0, 0, None)
    );
    let config = json!({"spans": [{"ringbuf": "spans", "name": "s", "labels": [label("span_name", 4, &["string"])]}]});
    assert_eq!(spans_of(&config, &[b"exec"], &[]).spans[0].name, "exec");
}

#[test]
fn an_event_that_is_not_understood_costs_itself_alone() {
    let mut pid = label("pid", 4, &["string", "regexp"]);
    pid["decoders"][1]["regexps"] = json!(["^[a-z]+$"]);
    let config = json!({"spans": [{"ringbuf": "spans", "labels": [pid, label("span_duration_ns", 8, &["string"])]}]});
    let answer = spans_of(&config, &[b"1234\x35\0\0\0\0\0\0\0", b"abcd\x35\0\0\0\0\0\0\0", b"abcdnumber\0\0"], &[]);
    assert_eq!(answer.spans.iter().map(|span| span.duration).collect::<Vec<_>>(), [5], "the first is skipped");
    assert_eq!(answer.unknown, ["`span_duration_ns` found `number`, expected a decimal number"]);
}
