//! The plugin's answers to the host, natively; and that a package like this stays short.

use ebhost_plugin::testing::{Harness, Kind, Reason, Row, bank_identity};
use runqlat::Runqlat;

const PROGRAM: &str = include_str!("../../../bpf/runqlat.bpf.c");
const COMPONENT: &str = include_str!("../src/lib.rs");

const CGROUP: u64 = 4711;

fn plugin() -> Harness<Runqlat> {
    Harness::new("{}").expect("a good configuration")
}

fn row(map: &str, identity: &[u8], names: &[Option<&str>]) -> Row {
    plugin().decode(plugin().view(map), &[(identity, names)]).remove(0)
}

fn labels(values: &[&str]) -> Row {
    Ok((values.iter().map(|value| (*value).to_owned()).collect(), None))
}

#[test]
fn a_latency_histogram_by_cgroup_takes_forty_lines_of_c_and_forty_of_rust() {
    let (c, rust) = (PROGRAM.lines().count(), COMPONENT.lines().count());
    assert!(c <= 40 && rust <= 40, "{c} lines of C, {rust} of Rust");
}

#[test]
fn banks_and_shared_entries_have_the_labels_of_their_cgroup() {
    let key = CGROUP.to_le_bytes();
    assert_eq!(row("waits", &bank_identity(&key), &[Some("/user.slice")]), labels(&["/user.slice"]));
    assert_eq!(row("waits_spill", &key, &[Some("/user.slice")]), labels(&["/user.slice"]));
    assert_eq!(row("waits_spill", &key, &[None]), Err(Reason::Skip), "its counts wait");
    assert_eq!(row("waits", &bank_identity(&key), &[Some("")]), Err(Reason::Skip), "the cgroup is gone");
}

#[test]
fn a_bank_without_an_owner_and_one_that_was_read_while_it_was_written_have_no_series() {
    let mut identity = bank_identity(&CGROUP.to_le_bytes());
    identity[8] ^= 1;
    assert_eq!(row("waits", &identity, &[Some("/")]), Err(Reason::Skip));
    assert_eq!(row("waits", &[0; 16], &[Some("/")]), Err(Reason::Skip));
}

#[test]
fn spilled_and_lost_counts_have_families_of_their_own() {
    let plugin = plugin();
    let stats: Vec<_> =
        plugin.manifest().views.iter().enumerate().filter(|(_, view)| view.source == "waits_stats").collect();
    let [(spilled, _), (lost, _)] = stats[..] else { panic!("found {} views, expected 2", stats.len()) };
    let stat = |view: usize, stat: u32| plugin.decode(view as u32, &[(&stat.to_le_bytes(), &[])]).remove(0);
    assert_eq!((stat(spilled, 0), stat(spilled, 1)), (labels(&[]), Err(Reason::Skip)));
    assert_eq!((stat(lost, 0), stat(lost, 1)), (Err(Reason::Skip), labels(&["spill_full"])));
    assert_eq!((stat(lost, 2), stat(lost, 3)), (labels(&["spill_busy"]), Err(Reason::Skip)));
}

#[test]
fn the_views_have_the_layout_of_counts_h() {
    let plugin = plugin();
    let Kind::Histogram(bounds) = &plugin.family("runqueue_latency_seconds").kind else {
        panic!("expected a histogram")
    };
    assert_eq!((bounds.len(), bounds[0], bounds[27]), (28, 1e-6, 134.217728));
    let view = |map| &plugin.manifest().views[plugin.view(map) as usize];
    // A head of 16 or 8 bytes, the key, the sum, 29 slots.
    assert_eq!((view("waits").key_size, view("waits").value_size), (4, 16 + 8 + 8 + 29 * 8));
    assert_eq!((view("waits_spill").key_size, view("waits_spill").value_size), (8, 8 + 8 + 8 + 29 * 8));
}
