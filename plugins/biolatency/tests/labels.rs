//! The plugin's answers to the host, natively: manifest, labels, refusals. And that its names match those of the BPF program.

use biolatency::Biolatency;
use ebhost_plugin::testing::{Harness, Kind, Reason, Row};

const BPF: &str = include_str!("../../../bpf/biolatency.bpf.c");

fn plugin(config: &str) -> Harness<Biolatency> {
    Harness::new(config).expect("a good configuration")
}

fn owner(device: u32, operation: u8, used: u8, flags: u16) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&device.to_le_bytes());
    bytes[4..6].copy_from_slice(&[operation, used]);
    bytes[6..].copy_from_slice(&flags.to_le_bytes());
    bytes
}

fn bank(config: &str, owner: [u8; 8], disk: Option<&str>) -> Row {
    let plugin = plugin(config);
    plugin.decode(plugin.view("banks"), &[(&owner, &[disk])]).remove(0)
}

fn labels(values: &[&str]) -> Row {
    Ok((values.iter().map(|value| (*value).to_owned()).collect(), None))
}

#[test]
fn bounds_are_powers_of_two_of_a_microsecond_in_seconds() {
    let plugin = plugin("{}");
    let family = plugin.family("bio_latency_seconds");
    let Kind::Histogram(bounds) = &family.kind else { panic!("found {:?}, expected a histogram", family.kind) };
    let ends = (bounds.len(), bounds[0], bounds[1], bounds[10], bounds[27]);
    assert_eq!(ends, (28, 1e-6, 2e-6, 0.001024, 134.217728));
    assert_eq!((family.unit.as_str(), family.times, family.per), ("seconds", 1.0, 1e9));
    assert_eq!(family.labels, ["device", "operation"]);
}

#[test]
fn native_buckets_have_classic_bounds_at_their_ends() {
    let plugin = plugin(r#"{"native": true}"#);
    let Kind::Histogram(bounds) = &plugin.family("bio_latency_seconds").kind else { panic!("expected a histogram") };
    assert_eq!((bounds.len(), bounds[0], bounds[20], bounds[27]), (28, 9.5367431640625e-7, 1.0, 128.0));
    let view = &plugin.manifest().views[plugin.view("native_banks") as usize];
    assert_eq!((view.key_size, view.value_size, view.columns), (4, 1960, 2));
    let slots = format!("{:?}", view.series[0].value);
    assert!(
        slots.contains("offset: 16, schema: 3, first: -159, count: 240") && slots.contains("offset: 8, size: 8"),
        "{slots}"
    );
    assert!(plugin.manifest().views.iter().all(|view| view.source != "banks"), "nothing is counted there");
    let row = plugin.decode(plugin.view("native_banks"), &[(&owner(8 << 20, 1, 1, 0), &[Some("sda")])]).remove(0);
    assert_eq!(row, labels(&["sda", "write"]));
}

#[test]
fn the_manifest_reads_the_maps_that_bpf_writes() {
    let plugin = plugin("{}");
    let view = &plugin.manifest().views[plugin.view("banks") as usize];
    assert_eq!((view.key_size, view.value_size, view.columns), (4, 256, 2));
    let fields: Vec<_> = view.identity.iter().map(|field| (field.offset, field.length)).collect();
    assert_eq!(fields, [(0, 4), (4, 4)]);
    assert_eq!((view.lookups[0].table.as_str(), view.lookups[0].field), ("block-device", 0));
    let slots = format!("{:?}", view.series[0].value);
    assert!(slots.contains("offset: 16, size: 8") && slots.contains("offset: 8, size: 8"), "{slots}");

    let lost = &plugin.manifest().views[plugin.view("lost") as usize];
    assert_eq!((lost.key_size, lost.value_size, lost.columns), (4, 8, 1));
}

#[test]
fn a_bank_is_labelled_with_its_disk_and_operation() {
    assert_eq!(bank("{}", owner(8 << 20, 0, 1, 0), Some("sda")), labels(&["sda", "read"]));
    assert_eq!(bank("{}", owner(8 << 20, 4, 1, 0), Some("sda")), labels(&["sda", "preflush"]));
    assert_eq!(bank("{}", owner(8 << 20, 200, 1, 0), Some("sda")), labels(&["sda", "op_200"]));
}

#[test]
fn empty_banks_and_disks_without_a_name_are_skipped() {
    assert_eq!(bank("{}", owner(0, 0, 0, 0), Some("ram0")), Err(Reason::Skip));
    assert_eq!(bank("{}", owner(8 << 20, 0, 1, 0), None), Err(Reason::Skip));
}

#[test]
fn only_chosen_disks_when_some_are_chosen() {
    let config = r#"{"disks": ["sda", "sdb"]}"#;
    assert_eq!(bank(config, owner(8 << 20, 1, 1, 0), Some("sdb")), labels(&["sdb", "write"]));
    assert_eq!(bank(config, owner(8 << 20, 1, 1, 0), Some("sdb1")), Err(Reason::Skip));
}

#[test]
fn flags_are_a_label_when_asked_for() {
    let config = r#"{"per_flag": true}"#;
    assert_eq!(plugin(config).family("bio_latency_seconds").labels, ["device", "operation", "flags"]);
    assert_eq!(bank(config, owner(1, 1, 1, 0b1), Some("sda")), labels(&["sda", "write", "Sync"]));
    assert_eq!(bank(config, owner(1, 0, 1, 0b1_0000), Some("sda")), labels(&["sda", "read", "ReadAhead"]));
    assert_eq!(bank(config, owner(1, 1, 1, 0b1011), Some("sda")), labels(&["sda", "write", "Sync-Metadata-FUA"]));
    assert_eq!(bank(config, owner(1, 1, 1, 0), Some("sda")), labels(&["sda", "write", "none"]));
    assert_eq!(bank(config, owner(1, 1, 1, 1 << 15), Some("sda")), labels(&["sda", "write", "flag_15"]));
}

#[test]
fn lost_requests_have_their_reason() {
    let plugin = plugin("{}");
    let reasons: [&[u8]; 3] = [&[0; 4], &[2, 0, 0, 0], &[9, 0, 0, 0]];
    let rows = plugin.decode(plugin.view("lost"), &reasons.map(|reason| (reason, &[] as &[_])));
    assert_eq!(rows, [labels(&["banks_full"]), labels(&["no_start"]), labels(&["reason_9"])]);
}

#[test]
fn a_misspelt_key_refuses_the_package_by_its_name() {
    let refusal = Harness::<Biolatency>::new(r#"{"per_flags": true}"#).err();
    assert_eq!(
        refusal.as_deref(),
        Some("config: unknown field `per_flags`, expected one of `per_flag`, `native`, `disks`")
    );
    let refusal = Harness::<Biolatency>::new(r#"{"disks": "sda"}"#).err();
    assert_eq!(refusal.as_deref(), Some("config: invalid type: string \"sda\", expected a sequence"));
}

/// Members of an enum of the BPF program, lower case, without their prefix.
fn members(name: &str, prefix: &str) -> Vec<String> {
    let (_, body) = BPF.split_once(&format!("\nenum {name} {{")).expect("the enum");
    let (body, _) = body.split_once("};").expect("its end");
    let words = body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter_map(|word| word.strip_prefix(prefix)).map(str::to_lowercase).collect()
}

#[test]
fn operations_are_those_of_the_bpf_program() {
    let operations = members("operation", "OP_");
    for (number, operation) in (0..).zip(&operations) {
        assert_eq!(bank("{}", owner(1, number, 1, 0), Some("sda")), labels(&["sda", operation]));
    }
    let next = operations.len() as u8;
    assert_eq!(bank("{}", owner(1, next, 1, 0), Some("sda")), labels(&["sda", &format!("op_{next}")]));
}

#[test]
fn flags_are_those_of_the_bpf_program() {
    // The program has the kernel's words, the label bcc's.
    let words = [("meta", "metadata"), ("prio", "priority"), ("rahead", "readahead")];
    for (bit, flag) in members("flag", "FLAG_").into_iter().enumerate() {
        let word = words.iter().find(|(kernel, _)| *kernel == flag).map_or(flag.as_str(), |(_, bcc)| bcc);
        let (found, _) = bank(r#"{"per_flag": true}"#, owner(1, 0, 1, 1 << bit), Some("sda")).expect("a row");
        assert_eq!(found[2].to_lowercase(), word);
    }
}

#[test]
fn reasons_are_those_of_the_bpf_program() {
    let plugin = plugin("{}");
    for (number, reason) in (0u32..).zip(members("lost", "LOST_")) {
        let row = plugin.decode(plugin.view("lost"), &[(&number.to_le_bytes(), &[])]).remove(0);
        // The last member is their number.
        let expected = if reason == "reasons" { format!("reason_{number}") } else { reason };
        assert_eq!(row, labels(&[&expected]));
    }
}
