//! Concurrent scrapes, and scrapes with a short timeout.

use std::{collections::HashSet, process::Command, thread, time::Duration};

use ebhost_tests::{Ebhost, Exposition, Format, KernelMap, Response, Running, key, needs, wait_until_traced};

use crate::{
    check::{STABLE, series, value},
    host,
    writer::fill,
};

/// Enough entries to take long to label.
const MANY: u64 = 150_000;

/// Inserts new entries.
fn add(host: &Ebhost, ids: std::ops::Range<u64>) {
    let map = KernelMap::of(host.pid(), "hash");
    let keys: Vec<u8> = ids.clone().flat_map(key).collect();
    let values: Vec<u8> = ids.flat_map(|id| value(id).to_le_bytes()).collect();
    map.update_all(&keys, &values);
}

fn own(served: &Exposition, name: &str) -> f64 {
    served.value(name, &[]).unwrap_or_else(|| panic!("{name} is served"))
}

#[test]
fn scrapes_that_wait_share_the_next_collection() {
    needs!(Root);
    let (host, _folder) = host(&[("hash", MANY as u32)]);
    let before = host.scrape();
    add(&host, 0..MANY);
    let mut long = host.begin("/metrics");
    thread::sleep(Duration::from_millis(20)); // it is at it for far longer
    let mut waiting: Vec<_> = (0..8).map(|_| host.begin("/metrics")).collect();
    let mut answers: HashSet<Vec<u8>> = HashSet::new();
    for connection in [&mut long].into_iter().chain(&mut waiting) {
        let answer = Response::read(connection).expect("an answer");
        assert_eq!(answer.status, 200);
        answers.insert(answer.body);
    }
    let after = host.scrape();
    let scrapes = own(&after, "ebhost_scrapes_total") - own(&before, "ebhost_scrapes_total");
    let collections = own(&after, "ebhost_collections_total") - own(&before, "ebhost_collections_total");
    assert_eq!(scrapes, 10.0);
    // Each collection is encoded once for all scrapes that share it.
    assert_eq!(answers.len() as f64 + 1.0, collections);
    assert!(collections <= 5.0, "{collections} readings for {scrapes} scrapes");
    assert_eq!(series(&after).expect("its labels are right").len() as u64, MANY);
}

#[test]
fn a_scrape_with_a_short_timeout_gets_what_is_ready_and_no_count_is_lost() {
    needs!(Root, Tool("strace"));
    let (host, _folder) = host(&[("hash", (STABLE + MANY) as u32)]);
    fill(&KernelMap::of(host.pid(), "hash"));
    assert_eq!(series(&host.scrape()).expect("its labels are right").len() as u64, STABLE);
    add(&host, STABLE..STABLE + MANY);

    // A second is the least that a client waits, so reading has to take longer: it is some forty calls.
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e", "inject=bpf:delay_enter=40000"]);
    let strace = Running::start(strace.args(["-p", &host.pid().to_string()]));
    wait_until_traced(host.pid());
    let answer = host.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "0.001")]);
    assert_eq!(answer.status, 200);
    drop(strace);
    let hurried = Exposition::parse(answer.text(), Format::Text).expect("it is whole");
    assert!(series(&hurried).expect("it has none").is_empty(), "a map is not half read");
    let labels = [("plugin", "maps")];
    assert_eq!(hurried.value("ebhost_plugin_late_scrapes_total", &labels), Some(1.0), "what is left out is counted");

    let mut patient = (0..50).map(|_| host.scrape());
    let patient = patient.find(|served| served.value("ebhost_plugin_unlabelled", &labels) == Some(0.0));
    let all = series(&patient.expect("all are labelled in the end")).expect("its labels are right");
    assert_eq!(all.len() as u64, STABLE + MANY);
    assert!(all.iter().all(|(id, found)| *found == value(*id)), "nothing of what waited is lost");
}
