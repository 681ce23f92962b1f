//! The life of a plugin that fails: it backs off, is quarantined, and is mended; what it labelled goes on all the while.

use ebhost_tests::{Disk, Fio, alone, needs};

use crate::rig::{Sinner, by, counted, of, scrape, start, state, until};

#[test]
fn labelled_series_count_on_while_the_plugin_is_quarantined() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let sinner = Sinner::alone("sin: none");
    let disk = Disk::in_memory();
    let host = start(&sinner.folder, &[]);
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=200"]);
    let labelled = until(&host, "counts", |served| counted(served) > 0.0);
    sinner.sin(&host, "sin: trap", "");
    let mut seen = Vec::new();
    let quarantined = until(&host, "quarantine", |served| {
        let state = state(served);
        if seen.last() != Some(&state) {
            seen.push(state.clone());
        }
        state == "quarantined"
    });
    assert!(seen.contains(&"backing_off".to_owned()), "{seen:?}");
    assert_eq!(by(&quarantined, "ebhost_plugin_failures_total", "reason", "trap") as u64 % 5, 0, "five in a row");
    assert_eq!(of(&quarantined, "ebhost_plugin_up"), Some(0.0));
    assert!(of(&quarantined, "ebhost_plugin_unlabelled") > Some(0.0), "what it was asked about waits");

    let calls = of(&quarantined, "ebhost_plugin_decode_duration_seconds_count");
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=200"]);
    let (fresh, _) = disk.at_rest(|| scrape(&host));
    assert!(counted(&fresh) > counted(&quarantined) && counted(&quarantined) >= counted(&labelled));
    assert_eq!(of(&fresh, "ebhost_plugin_decode_duration_seconds_count"), calls, "it is not asked any more");

    sinner.sin(&host, "sin: none", "");
    let mended = until(&host, "mended", |served| state(served) == "running");
    assert!(counted(&mended) >= counted(&fresh), "nothing is lost by it");
    assert!(of(&mended, "ebhost_plugin_last_success_timestamp_seconds") > Some(1e9));
    let log = host.stop();
    assert!(log.text().contains("plugin is quarantined"), "{}", log.text());
}
