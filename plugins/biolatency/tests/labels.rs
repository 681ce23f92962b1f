//! The plugin's answers to the host, natively: manifest, labels, refusals. And that its names match those of the BPF program.

use biolatency::Biolatency;
use ebhost_plugin::testing::{Harness, Kind, Reason, Row, bank_identity};

const REQUEST: &str = include_str!("../../../bpf/request.h");
const LOST: &str = include_str!("../../../bpf/lost.h");

fn plugin(config: &str) -> Harness<Biolatency> {
    Harness::new(config).expect("a good configuration")
}

/// The identity of a bank, as the program writes it.
fn owner(name: &str, operation: u8, flags: u16) -> Vec<u8> {
    let mut bytes = [0; 48];
    let key = 4711u64 << 24 | u64::from(flags) << 8 | u64::from(operation + 1);
    bytes[..8].copy_from_slice(&key.to_le_bytes());
    bytes[8..16].copy_from_slice(&77u64.to_le_bytes());
    bytes[16..16 + name.len()].copy_from_slice(name.as_bytes());
    bank_identity(&bytes)
}

fn bank(config: &str, owner: &[u8], disk: Option<&str>) -> Row {
    let plugin = plugin(config);
    plugin.decode(plugin.view("banks"), &[(owner, &[disk])]).remove(0)
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
    let view = &plugin.manifest().views[plugin.view("natives") as usize];
    assert_eq!((view.key_size, view.value_size, view.columns), (4, 2000, 2));
    let slots = format!("{:?}", view.series[0].value);
    assert!(
        slots.contains("offset: 64, schema: 3, first: -159, count: 240") && slots.contains("offset: 56, size: 8"),
        "{slots}"
    );
    assert!(plugin.manifest().views.iter().all(|view| view.source != "banks"), "nothing is counted there");
    let row = plugin.decode(plugin.view("natives"), &[(&owner("sda", 1, 0), &[Some("sda")])]).remove(0);
    assert_eq!(row, labels(&["sda", "write"]));
}

#[test]
fn the_manifest_reads_the_maps_that_bpf_writes() {
    let plugin = plugin("{}");
    let view = &plugin.manifest().views[plugin.view("banks") as usize];
    assert_eq!((view.key_size, view.value_size, view.columns), (4, 296, 2));
    let fields: Vec<_> = view.identity.iter().map(|field| (field.offset, field.length)).collect();
    assert_eq!(fields, [(4, 12), (16, 40)]);
    assert_eq!((view.lookups[0].table.as_str(), view.lookups[0].field), ("disk", 1));
    let slots = format!("{:?}", view.series[0].value);
    assert!(slots.contains("offset: 64, size: 8") && slots.contains("offset: 56, size: 8"), "{slots}");

    let spill = &plugin.manifest().views[plugin.view("banks_spill") as usize];
    assert_eq!((spill.key_size, spill.value_size, spill.columns), (8, 296, 2));
    for map in ["lost", "slow"] {
        let view = &plugin.manifest().views[plugin.view(map) as usize];
        assert_eq!((view.key_size, view.value_size, view.columns), (4, 8, 1), "{map}");
    }
}

#[test]
fn a_bank_is_labelled_with_its_disk_and_operation() {
    assert_eq!(bank("{}", &owner("sda", 0, 0), Some("sda")), labels(&["sda", "read"]));
    assert_eq!(bank("{}", &owner("sda", 4, 0), Some("sda")), labels(&["sda", "preflush"]));
    assert_eq!(bank("{}", &owner("sda", 200, 0), Some("sda")), labels(&["sda", "op_200"]));
}

#[test]
fn empty_banks_and_disks_without_a_name_are_skipped() {
    assert_eq!(bank("{}", &[0; 52], Some("ram0")), Err(Reason::Skip));
    assert_eq!(bank("{}", &owner("sda", 0, 0), None), Err(Reason::Skip));
}

#[test]
fn the_series_of_a_disk_that_is_gone_end() {
    assert_eq!(bank("{}", &owner("sda", 0, 0), Some("")), Err(Reason::Skip));
}

/// An owner is written word by word, and a reader may see any of the words sooner than another.
#[test]
fn an_owner_that_was_read_while_it_was_written_has_no_labels() {
    let (old, new) = (owner("sda", 0, 0), owner("nvme10n1", 1, 0));
    // The check, the key, the inode and the name.
    let words = [0..4, 4..12, 12..20, 20..28, 28..36, 36..44, 44..52];
    for old in [old, vec![0; 52]] {
        for seen in 1..1u32 << words.len() {
            let mut mixed = old.clone();
            for word in words.iter().enumerate().filter(|(bit, _)| seen >> bit & 1 == 1).map(|(_, word)| word.clone()) {
                mixed[word.clone()].copy_from_slice(&new[word]);
            }
            if mixed != old && mixed != new {
                assert_eq!(bank("{}", &mixed, Some("sda")), Err(Reason::Skip), "{seen:07b}");
            }
        }
    }
}

#[test]
fn an_entry_that_all_cpus_share_has_its_key_where_the_kernel_has_it() {
    let plugin = plugin("{}");
    let row = plugin.decode(plugin.view("banks_spill"), &[(&owner("sda", 1, 0), &[Some("sda")])]).remove(0);
    assert_eq!(row, labels(&["sda", "write"]));
    let fields = &plugin.manifest().views[plugin.view("banks_spill") as usize].identity;
    let fields: Vec<_> = fields.iter().map(|field| (format!("{:?}", field.part), field.offset, field.length)).collect();
    let expected = [("Part::Value", 4, 4), ("Part::Key", 0, 8), ("Part::Value", 16, 40)];
    assert_eq!(fields, expected.map(|(part, offset, length)| (part.to_owned(), offset, length)));
}

#[test]
fn sizes_are_a_family_when_asked_for() {
    assert!(plugin("{}").manifest().families.iter().all(|family| family.name != "bio_size_bytes"));
    let plugin = plugin(r#"{"sizes": true}"#);
    let Kind::Histogram(bounds) = &plugin.family("bio_size_bytes").kind else { panic!("expected a histogram") };
    assert_eq!((bounds.len(), bounds[0], bounds[15]), (16, 512.0, 16_777_216.0));
    let row = plugin.decode(plugin.view("sizes"), &[(&owner("sda", 1, 0), &[Some("sda")])]).remove(0);
    assert_eq!(row, labels(&["sda", "write"]));
}

#[test]
fn a_path_of_a_multipath_disk_is_shown_as_the_disk_or_by_its_own_name() {
    let path = owner("nvme0c1n2", 0, 0);
    assert_eq!(bank("{}", &path, Some("nvme0n2")), labels(&["nvme0n2", "read"]));
    assert_eq!(bank(r#"{"paths": true}"#, &path, Some("nvme0n2")), labels(&["nvme0c1n2", "read"]));
    assert_eq!(bank(r#"{"paths": true}"#, &path, Some("")), Err(Reason::Skip));
    assert_eq!(bank(r#"{"disks": ["nvme0n2"]}"#, &path, Some("nvme0n2")), labels(&["nvme0n2", "read"]));
}

#[test]
fn only_chosen_disks_when_some_are_chosen() {
    let config = r#"{"disks": ["sda", "sdb"]}"#;
    assert_eq!(bank(config, &owner("sda", 1, 0), Some("sdb")), labels(&["sdb", "write"]));
    assert_eq!(bank(config, &owner("sda", 1, 0), Some("sdb1")), Err(Reason::Skip));
}

#[test]
fn flags_are_a_label_when_asked_for() {
    let config = r#"{"per_flag": true}"#;
    assert_eq!(plugin(config).family("bio_latency_seconds").labels, ["device", "operation", "flags"]);
    assert_eq!(bank(config, &owner("sda", 1, 0b1), Some("sda")), labels(&["sda", "write", "Sync"]));
    assert_eq!(bank(config, &owner("sda", 0, 0b1_0000), Some("sda")), labels(&["sda", "read", "ReadAhead"]));
    assert_eq!(bank(config, &owner("sda", 1, 0b1011), Some("sda")), labels(&["sda", "write", "Sync-Metadata-FUA"]));
    assert_eq!(bank(config, &owner("sda", 1, 0), Some("sda")), labels(&["sda", "write", "none"]));
    assert_eq!(bank(config, &owner("sda", 1, 1 << 15), Some("sda")), labels(&["sda", "write", "flag_15"]));
}

#[test]
fn lost_requests_have_their_reason() {
    let plugin = plugin("{}");
    let reasons: [&[u8]; 3] = [&[0; 4], &[2, 0, 0, 0], &[9, 0, 0, 0]];
    let rows = plugin.decode(plugin.view("lost"), &reasons.map(|reason| (reason, &[] as &[_])));
    assert_eq!(rows, [labels(&["banks_full"]), labels(&["no_start"]), labels(&["reason_9"])]);
    let rows = plugin.decode(plugin.view("slow"), &reasons.map(|reason| (reason, &[] as &[_])));
    assert_eq!(rows, [labels(&["banks_full"]), labels(&["reason_2"]), labels(&["reason_9"])]);
}

#[test]
fn a_misspelt_key_refuses_the_package_by_its_name() {
    let refusal = Harness::<Biolatency>::new(r#"{"per_flags": true}"#).err();
    assert_eq!(
        refusal.as_deref(),
        Some("config: unknown field `per_flags`, expected one of `per_flag`, `native`, `disks`, `paths`, `sizes`")
    );
    let refusal = Harness::<Biolatency>::new(r#"{"disks": "sda"}"#).err();
    assert_eq!(refusal.as_deref(), Some("config: invalid type: string \"sda\", expected a sequence"));
}

/// Members of an enum of the BPF program, lower case, without their prefix.
fn members(source: &str, name: &str, prefix: &str) -> Vec<String> {
    let (_, body) = source.split_once(&format!("\nenum {name} {{")).expect("the enum");
    let (body, _) = body.split_once("};").expect("its end");
    let words = body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter_map(|word| word.strip_prefix(prefix)).map(str::to_lowercase).collect()
}

#[test]
fn operations_are_those_of_the_bpf_program() {
    let operations = members(REQUEST, "operation", "OP_");
    for (number, operation) in (0..).zip(&operations) {
        assert_eq!(bank("{}", &owner("sda", number, 0), Some("sda")), labels(&["sda", operation]));
    }
    let next = operations.len() as u8;
    assert_eq!(bank("{}", &owner("sda", next, 0), Some("sda")), labels(&["sda", &format!("op_{next}")]));
}

#[test]
fn flags_are_those_of_the_bpf_program() {
    // The program has the kernel's words, the label bcc's.
    let words = [("meta", "metadata"), ("prio", "priority"), ("rahead", "readahead")];
    for (bit, flag) in members(REQUEST, "flag", "FLAG_").into_iter().enumerate() {
        let word = words.iter().find(|(kernel, _)| *kernel == flag).map_or(flag.as_str(), |(_, bcc)| bcc);
        let (found, _) = bank(r#"{"per_flag": true}"#, &owner("sda", 0, 1 << bit), Some("sda")).expect("a row");
        assert_eq!(found[2].to_lowercase(), word);
    }
}

#[test]
fn reasons_are_those_of_the_bpf_program() {
    let plugin = plugin("{}");
    for (map, prefix) in [("lost", "LOST_"), ("slow", "SLOW_")] {
        for (number, reason) in (0u32..).zip(members(LOST, map, prefix)) {
            let row = plugin.decode(plugin.view(map), &[(&number.to_le_bytes(), &[])]).remove(0);
            // The last member is their number.
            let expected = if reason == "reasons" { format!("reason_{number}") } else { reason };
            assert_eq!(row, labels(&[&expected]));
        }
    }
}
