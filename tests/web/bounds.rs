//! Histogram bounds that an operator chose: exact counts, in both forms of histograms, and while the host runs.

use std::time::Duration;

use ebhost_tests::{
    Disk, Ebhost, Exposition, Fio, Folder, Histogram, Start, committed, fewest_counted, needs, wait_until,
};

const FAMILY: &str = "ebhost_bio_latency_seconds";
const SOON: Duration = Duration::from_secs(30);

fn latency(served: &Exposition, disk: &Disk) -> Histogram {
    served.histogram(FAMILY, &[("device", disk.name()), ("operation", "read")]).expect("reads were counted")
}

fn bounds(histogram: &Histogram) -> Vec<f64> {
    histogram.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect()
}

/// Each chosen bucket has the count that it has among all buckets, and neither a change of the bounds nor their removal loses a count.
#[test]
fn chosen_bounds_are_served_with_exact_counts_and_can_be_changed_while_the_host_runs() {
    needs!(Root, Fuse, Tool("fio"));
    let disk = Disk::delayed(Duration::from_millis(3));
    let folder = Folder::with_biolatency();
    folder.set("");
    let host = Ebhost::start(folder.path());
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=60"]);
    let (all, _) = disk.at_rest(|| latency(&host.scrape(), &disk));
    assert!(all.count as f64 >= fewest_counted(60.0) && all.buckets.len() > 20, "{all:?}");

    let chosen = [0.002048, 0.004096, 1.048576];
    folder.set("bounds: { seconds: [0.002048, 0.004096, 1.048576, 1000000] }");
    host.hang_up();
    let few = wait_until("three buckets", SOON, || {
        let found = latency(&host.scrape(), &disk);
        (bounds(&found) == chosen).then_some(found)
    });
    assert_eq!((few.count, few.sum), (all.count, all.sum), "no count is lost");
    for bound in chosen {
        assert_eq!(few.at_most(bound), all.at_most(bound), "{bound}");
    }
    assert!(few.at_most(0.004096) > few.at_most(0.002048), "3 ms are between the two: {few:?}");

    // The package's own bounds take precedence, and one within a bucket is refused with those that it could be.
    folder.set("plugins: { biolatency: { bounds: { bio_latency_seconds: [0.002] } } }");
    host.hang_up();
    wait_until("the refusal", SOON, || {
        (host.scrape().value("ebhost_plugin_current", &[("plugin", "biolatency")]) == Some(0.0)).then_some(())
    });
    let status = host.get("/status.json", &[]);
    let reason =
        "found the bound 0.002 of `bio_latency_seconds`, expected ends of its buckets: try 0.001024 or 0.002048";
    assert!(status.text().contains(reason) || host.log().text().contains(reason), "{}", host.log().text());
    assert_eq!(bounds(&latency(&host.scrape(), &disk)), chosen, "the version before runs on");

    folder.set("");
    host.hang_up();
    let again = wait_until("all buckets", SOON, || {
        let found = latency(&host.scrape(), &disk);
        (found.buckets.len() == all.buckets.len()).then_some(found)
    });
    assert_eq!(again.buckets, all.buckets);
    host.stop();
}

/// One list for all packages met a histogram in milliseconds, which has none of its bounds.
#[test]
fn a_histogram_that_has_none_of_the_bounds_of_all_packages_keeps_its_own() {
    needs!(Root);
    let folder = Folder::new();
    folder.copy(&committed().join("tcplife"));
    folder.set("bounds: { seconds: [0.002048, 1.048576] }\nplugins: { tcplife: on }\n");
    let host = Ebhost::start(folder.path());
    assert_eq!(host.scrape().value("ebhost_plugin_up", &[("plugin", "tcplife")]), Some(1.0));
    let said = host.log().text();
    assert!(
        said.contains("`tcp_session_seconds` keeps its own bounds") && said.contains("try 0.002 or 0.004"),
        "{said}"
    );
    host.stop();
}

/// A native histogram has eight classic bounds to choose from for each power of two.
#[test]
fn native_histograms_have_the_chosen_classic_bounds_beside_them() {
    needs!(Root, Fuse, Tool("fio"));
    let disk = Disk::delayed(Duration::from_millis(3));
    let folder = Folder::with_biolatency();
    folder.set("plugins: { biolatency: { native: true, bounds: { bio_latency_seconds: [0.001953125, 0.002129898, 0.00390625] } } }");
    let host = Ebhost::start(folder.path());
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=40"]);
    let (found, _) = disk.at_rest(|| latency(&host.scrape(), &disk));
    assert_eq!(bounds(&found), [0.001953125, 2f64.powf(-8.875), 0.00390625]);
    assert!(found.at_most(0.00390625) > found.at_most(0.001953125), "3 ms are between the two: {found:?}");
    host.stop();
}

/// A misspelt family would be left as it is, and the operator's query would find nothing.
#[test]
fn bounds_of_a_family_that_is_not_there_end_the_start_with_the_line() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.set("plugins:\n  biolatency:\n    bounds: { bio_latency: [1] }\n");
    let ended = Start::with(folder.path()).args(&["--strict"]).ended();
    assert!(!ended.status.success());
    let said = ended.log.text();
    assert!(said.contains("ebhost.yaml:3:15: found bounds of `bio_latency`"), "{said}");
}

/// A misspelt key for all packages was taken and had no effect, without a word.
#[test]
fn bounds_of_all_packages_that_no_histogram_has_are_named_in_the_log() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.set("bounds:\n  seconds: [0.002048]\n  bio_latency_secconds: [1.048576]\n");
    let host = Ebhost::start(folder.path());
    let said = host.log().text();
    assert!(said.contains("ebhost.yaml:3:3: found bounds of `bio_latency_secconds`"), "{said}");
    assert!(said.contains("expected a histogram or its unit: bio_latency_seconds, seconds"), "{said}");
    assert!(!said.contains("found bounds of `seconds`"), "{said}");
    host.stop();
}
