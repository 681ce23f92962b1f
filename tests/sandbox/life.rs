//! The states of a plugin that fails: it backs off, is quarantined, and runs again after a repair. Its labelled series go on all the time.

use ebhost_tests::{Disk, Fio, alone, needs};

use crate::rig::{Misbehaving, counted, labelled_value, plugin_value, scrape, scrape_until, start, state};

#[test]
fn labelled_series_count_on_while_the_plugin_is_quarantined() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none");
    let disk = Disk::in_memory();
    let host = start(&misbehaving.folder, &[]);
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=200"]);
    let labelled = scrape_until(&host, "counts", |served| counted(served) > 0.0);
    misbehaving.configure(&host, "fault: trap", "");
    let mut seen = Vec::new();
    let quarantined = scrape_until(&host, "quarantine", |served| {
        let state = state(served);
        if seen.last() != Some(&state) {
            seen.push(state.clone());
        }
        state == "quarantined"
    });
    assert!(seen.contains(&"backing_off".to_owned()), "{seen:?}");
    assert_eq!(
        labelled_value(&quarantined, "ebhost_plugin_failures_total", "reason", "trap") as u64 % 5,
        0,
        "five in a row"
    );
    assert_eq!(plugin_value(&quarantined, "ebhost_plugin_up"), Some(0.0));
    assert!(plugin_value(&quarantined, "ebhost_plugin_unlabelled") > Some(0.0), "unlabelled entries are kept");

    let calls = plugin_value(&quarantined, "ebhost_plugin_decode_duration_seconds_count");
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=200"]);
    let (fresh, _) = disk.at_rest(|| scrape(&host));
    assert!(counted(&fresh) > counted(&quarantined) && counted(&quarantined) >= counted(&labelled));
    assert_eq!(
        plugin_value(&fresh, "ebhost_plugin_decode_duration_seconds_count"),
        calls,
        "a quarantined plugin is not called"
    );

    misbehaving.configure(&host, "fault: none", "");
    let repaired = scrape_until(&host, "repaired", |served| state(served) == "running");
    assert!(counted(&repaired) >= counted(&fresh), "no count is lost");
    assert!(plugin_value(&repaired, "ebhost_plugin_last_success_timestamp_seconds") > Some(1e9));
    let log = host.stop();
    assert!(log.text().contains("plugin is quarantined"), "{}", log.text());
}
