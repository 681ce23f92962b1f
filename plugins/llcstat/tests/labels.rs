//! The plugin's answers to the host, natively. And that its layouts match those of the BPF program.

use ebhost_plugin::testing::{Harness, Reason, Row};
use llcstat::Llcstat;

const BPF: &str = include_str!("../../../bpf/llcstat.bpf.c");

fn plugin(config: &str) -> Harness<Llcstat> {
    Harness::new(config).expect("a good configuration")
}

/// The owner of a place as the program writes it, with the check of the owner that was the `checked`-th.
fn owner(first: u64, who: [u64; 2], dead: u64, checked: u64) -> Vec<u8> {
    let mixed = (who[0] ^ who[1].wrapping_mul(0xff51_afd7_ed55_8ccd)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [first, who[0], who[1], dead, checked ^ mixed].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The label of one place; `found` are the names that were looked up for it.
fn place(by: &str, owner: &[u8], found: &[Option<&str>]) -> Row {
    let plugin = plugin(&format!(r#"{{"by": "{by}"}}"#));
    plugin.decode(plugin.view("places"), &[(owner, found)]).remove(0)
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
fn a_place_is_labelled_with_its_owner() {
    assert_eq!(place("pid", &owner(1, [4711, 99], 0, 1), &[]), label("4711"));
    assert_eq!(place("cgroup", &owner(1, [8, 0], 0, 1), &[Some("/system.slice")]), label("/system.slice"));
    let comm = [u64::from_le_bytes(*b"kworker/"), u64::from_le_bytes(*b"0:1\0junk")];
    assert_eq!(place("comm", &owner(1, comm, 0, 1), &[]), label("kworker/0:1"));
}

#[test]
fn exited_processes_and_removed_cgroups_are_folded() {
    assert_eq!(place("pid", &owner(7, [4711, 99], 7, 7), &[]), label("exited"));
    assert_eq!(place("pid", &owner(8, [4711, 99], 7, 8), &[]), label("4711"), "`dead` is a former owner");
    assert_eq!(place("cgroup", &owner(1, [8, 0], 0, 1), &[Some("")]), label("other"));
    assert_eq!(place("cgroup", &owner(1, [8, 0], 0, 1), &[None]), label("other"));
}

#[test]
fn a_place_without_an_owner_is_skipped() {
    for by in ["pid", "comm"] {
        assert_eq!(place(by, &owner(0, [0, 0], 0, 0), &[]), Err(Reason::Skip), "never taken");
        assert_eq!(place(by, &owner(1, [9, 9], 0, 2), &[]), Err(Reason::Skip), "being taken");
    }
    assert_eq!(place("cgroup", &owner(1, [9, 9], 0, 2), &[Some("/a")]), Err(Reason::Skip));
}

/// On arm64 a reader may see the words of an owner in any order, not only in the one in which they were written.
#[test]
fn misses_are_not_charged_to_a_pid_that_never_ran() {
    let (old, new) = (owner(7, [4711, 99], 7, 7), owner(8, [815, 100], 0, 8));
    for seen in 0..32u32 {
        let mut mixed = old.clone();
        for word in (0..5).filter(|word| seen >> word & 1 == 1) {
            mixed[word * 8..][..8].copy_from_slice(&new[word * 8..][..8]);
        }
        if let Ok((labels, _)) = place("pid", &mixed, &[]) {
            assert!(["4711", "exited", "815"].contains(&labels[0].as_str()), "{seen:05b}: {labels:?}");
        }
    }
}

#[test]
fn counts_without_a_place_are_labelled_with_the_reason() {
    let plugin = plugin(r#"{"by": "pid"}"#);
    let rows = plugin.decode(plugin.view("folded"), &[(&[2, 0, 0, 0], &[]), (&[3, 0, 0, 0], &[])]);
    assert_eq!(rows, [label("other"), label("unattributed")]);
    assert!(BPF.contains("enum folded {\n\tFOLDED_OTHER,\n\tFOLDED_UNATTRIBUTED,\n\tFOLDED_KINDS,\n};"));
}

#[test]
fn the_numbers_of_targ_by_are_those_of_plugin_yaml() {
    assert!(BPF.contains("enum by {\n\tBY_NONE,\n\tBY_CGROUP,\n\tBY_COMM,\n\tBY_PID,\n};"));
    for by in ["cgroup: { globals: { targ_by: 1 }", "comm: { globals: { targ_by: 2 }", "pid: { globals: { targ_by: 3 }"]
    {
        assert!(include_str!("../plugin.yaml").contains(by), "{by}");
    }
}

#[test]
fn a_wrong_by_refuses_the_package() {
    let refusal = Harness::<Llcstat>::new(r#"{"by": "uid"}"#).err().unwrap_or_default();
    assert_eq!(refusal, "config: unknown variant `uid`, expected one of `none`, `cgroup`, `comm`, `pid`");
}
