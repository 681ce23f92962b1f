//! The plugin's answers to the host, natively. And that its layouts match those of the BPF program.

use ebhost_plugin::testing::{Harness, Reason, Row, bank_identity};
use llcstat::Llcstat;

const BPF: &str = include_str!("../../../bpf/llcstat.bpf.c");

fn plugin(config: &str) -> Harness<Llcstat> {
    Harness::new(config).expect("a good configuration")
}

/// The owner of a bank as the program writes it, with its check.
fn owner(who: [u64; 2], has_exited: u64) -> Vec<u8> {
    let words: Vec<u8> = [who[0], who[1], has_exited].iter().flat_map(|word| word.to_le_bytes()).collect();
    bank_identity(&words)
}

/// The label of one bank; `found` are the names that were looked up for it.
fn bank(by: &str, owner: &[u8], found: &[Option<&str>]) -> Row {
    let plugin = plugin(&format!(r#"{{"by": "{by}"}}"#));
    plugin.decode(plugin.view("charges"), &[(owner, found)]).remove(0)
}

fn label(value: &str) -> Row {
    Ok((vec![value.to_owned()], None))
}

#[test]
fn cpus_are_counted_from_the_perf_source_alone() {
    let plugin = plugin("{}");
    let manifest = plugin.manifest();
    let names: Vec<_> = manifest.families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names, ["llc_references_total", "llc_misses_total"]);
    assert_eq!((manifest.views.len(), manifest.views[0].source.as_str()), (1, "llc"));
    assert_eq!((manifest.views[0].key_size, manifest.views[0].value_size), (4, 32));
    assert_eq!(plugin.decode(0, &[(&[3, 0, 0, 0], &[])]), [label("3")]);
}

#[test]
fn events_have_the_configured_names() {
    let plugin = plugin(r#"{"by": "comm", "names": ["page_faults", "context_switches"]}"#);
    let names: Vec<_> = plugin.manifest().families.iter().map(|family| family.name.as_str()).collect();
    let expected =
        ["page_faults_total", "context_switches_total", "page_faults_by_comm_total", "context_switches_by_comm_total"];
    assert_eq!(names, expected);
    assert_eq!(plugin.family("page_faults_by_comm_total").labels, ["comm"]);
}

#[test]
fn a_bank_is_labelled_with_its_owner() {
    assert_eq!(bank("pid", &owner([4711, 99], 0), &[]), label("4711"));
    assert_eq!(bank("cgroup", &owner([8, 0], 0), &[Some("/system.slice")]), label("/system.slice"));
    let comm = [u64::from_le_bytes(*b"kworker/"), u64::from_le_bytes(*b"0:1\0junk")];
    assert_eq!(bank("comm", &owner(comm, 0), &[]), label("kworker/0:1"));
}

#[test]
fn exited_processes_and_removed_cgroups_are_folded() {
    assert_eq!(bank("pid", &owner([4711, 99], 1), &[]), label("exited"));
    assert_eq!(bank("cgroup", &owner([8, 0], 0), &[Some("")]), label("other"));
    assert_eq!(bank("cgroup", &owner([8, 0], 0), &[None]), label("other"));
}

#[test]
fn a_bank_without_an_owner_is_skipped() {
    let never_taken = [0; 28];
    for by in ["pid", "comm"] {
        assert_eq!(bank(by, &never_taken, &[]), Err(Reason::Skip));
    }
    assert_eq!(bank("cgroup", &never_taken, &[Some("/a")]), Err(Reason::Skip));
}

/// On arm64 a reader may see the words of an owner in any order, not only in the one in which they were written.
#[test]
fn misses_are_not_charged_to_a_pid_that_never_ran() {
    let (old, new) = (owner([4711, 99], 1), owner([815, 100], 0));
    for seen in 0..16u32 {
        let mut mixed = old.clone();
        for (word, at) in [(0, 0..4), (1, 4..12), (2, 12..20), (3, 20..28)] {
            if seen >> word & 1 == 1 {
                mixed[at.clone()].copy_from_slice(&new[at]);
            }
        }
        if let Ok((labels, _)) = bank("pid", &mixed, &[]) {
            assert!(["exited", "815"].contains(&labels[0].as_str()), "{seen:04b}: {labels:?}");
        }
    }
}

/// The program changes the note and the check of a process that exits while the host reads.
#[test]
fn a_process_that_exits_while_it_is_read_is_skipped_or_has_a_label_of_its_own() {
    let (before, after) = (owner([4711, 99], 0), owner([4711, 99], 1));
    let half = [&before[..4], &after[4..]].concat();
    assert_eq!(bank("pid", &half, &[]), Err(Reason::Skip));
    assert_eq!(bank("pid", &after, &[]), label("exited"));
}

#[test]
fn counts_without_a_bank_are_labelled_with_the_reason() {
    let plugin = plugin(r#"{"by": "pid"}"#);
    let rows = plugin.decode(plugin.view("folded"), &[(&[2, 0, 0, 0], &[]), (&[3, 0, 0, 0], &[])]);
    assert_eq!(rows, [label("other"), label("unattributed")]);
    assert!(BPF.contains("enum folded {\n\tFOLDED_OTHER,\n\tFOLDED_UNATTRIBUTED,\n\tFOLDED_KINDS,\n};"));
}

#[test]
fn the_numbers_of_targ_by_are_those_of_plugin_yaml() {
    assert!(BPF.contains("enum by {\n\tBY_NONE,\n\tBY_CGROUP,\n\tBY_COMM,\n\tBY_PID,\n};"));
    for (by, number) in [("cgroup", 1), ("comm", 2), ("pid", 3)] {
        let line = format!("      {by}:\n        globals: {{ targ_by: {number} }}\n");
        assert!(include_str!("../plugin.yaml").contains(&line), "{line}");
    }
}

#[test]
fn a_wrong_by_refuses_the_package() {
    let refusal = Harness::<Llcstat>::new(r#"{"by": "uid"}"#).err().unwrap_or_default();
    assert_eq!(refusal, "config: unknown variant `uid`, expected one of `none`, `cgroup`, `comm`, `pid`");
}
