//! Faults in `describe`, at load. The package is left out, with a reason. If it was a new version of a running package, the old version
//! goes on.

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, alone, needs};

use crate::rig::{
    Misbehaving, Witness, counted, plugin_value, resident, scrape, scrape_until, start, wait_for_refusal,
};

/// Each fault, and a part of the expected error.
const FAULTS: [(&str, &str); 24] = [
    ("describe-trap", "trapped: wasm trap: wasm `unreachable` instruction executed"),
    ("describe-spin", "ran past its 2000 ms"),
    ("describe-grow", "bytes of memory, limits.memory is 16777216"),
    ("describe-recursion", "trapped: wasm trap: "),
    ("describe-refuse", "refuses its config: the config is not to my taste\\n\\u{1b}[2Jnot at all"),
    ("family-name", "expected letters, digits and `_`"),
    ("family-own", "a name that ebhost itself has already"),
    ("family-of-another", "a name that package `biolatency` has already"),
    ("label-name", "found the label name `le`"),
    ("label-twice", "found the label `a` twice"),
    ("no-families", "manifest, families: found none"),
    ("many-families", "manifest, families: found 5000, expected at most 256"),
    ("long-help", "bytes of help, expected at most 1024"),
    ("factor", "found per = NaN"),
    ("bounds", "found the bound 1 after 2, expected ascending bounds"),
    ("key-size", "found key-size 8, expected 4, as the map has it"),
    ("value-range", "found"),
    ("identity-range", "found"),
    ("family-index", "found"),
    ("column-index", "found"),
    ("source", "no_such_map"),
    ("table-unknown", "passwords"),
    ("table-ungranted", "network-interface"),
    ("many-columns", "found 4294967295 columns, expected at most 32"),
];

/// All faults in one folder, together with biolatency.
#[test]
fn each_is_left_out_at_the_start() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving { folder: Folder::with_biolatency() };
    for (fault, _) in FAULTS {
        misbehaving.add(&format!("s-{fault}"), &format!("fault: {fault}, family: a{}_total", fault.replace('-', "_")));
    }
    let host = start(&misbehaving.folder, &[]);
    let served = scrape(&host);
    assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    let lost = served.value("ebhost_bio_latency_lost_total", &[("reason", "no_start")]);
    assert!(lost.is_some(), "biolatency is served");
    let lines = host.log().lines();
    let mut wrong = Vec::new();
    for (fault, says) in FAULTS {
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", &format!("s-{fault}"))]), Some(0.0), "{fault}");
        let folder = format!("/s-{fault}/");
        let errors: Vec<_> = lines.iter().filter(|line| line.level == "ERROR" && line.text.contains(&folder)).collect();
        assert_eq!(errors.len(), 1, "{fault}: {}", host.log().text());
        if !errors[0].text.contains(says) {
            wrong.push(format!("{fault}: expected `{says}` in: {}", errors[0].text));
        }
        assert!(errors[0].text.len() < 4096 && !errors[0].text.contains('\x1b'), "{fault}: {}", errors[0].text);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(resident(&host) < 256 << 20, "{} bytes resident", resident(&host));
    host.stop();
}

#[test]
fn each_leaves_the_version_before_running() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none");
    let host = start(&misbehaving.folder, &[]);
    let whole = plugin_value(&scrape(&host), "ebhost_plugin_series");
    FAULTS
        .iter()
        .filter(|(fault, _)| *fault != "family-of-another")
        .for_each(|fault| leaves_running(&misbehaving, &host, whole, *fault));
    host.stop();
}

/// Under load; biolatency's counts must equal the kernel's during each fault.
#[test]
fn each_beside_biolatency() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let disk = Disk::in_memory();
    let host = start(&misbehaving.folder, &[]);
    let witness = Witness { host: &host, disk: &disk };
    let whole = plugin_value(&scrape(&host), "ebhost_plugin_series");
    for (fault, says) in FAULTS {
        witness.assert_matches_kernel(fault, || leaves_running(&misbehaving, &host, whole, (fault, says)));
    }
    host.stop();
}

/// Installs a new version with the fault: it is refused with that error, the old version goes on, and a repaired file is loaded.
fn leaves_running(misbehaving: &Misbehaving, host: &Ebhost, whole: Option<f64>, (fault, says): (&str, &str)) {
    let before = scrape(host);
    let failures = |served: &Exposition| served.value("ebhost_reload_failures_total", &[]);
    misbehaving.configure(host, &format!("fault: {fault}"), "");
    let served = scrape_until(host, fault, |served| failures(served) > failures(&before));
    wait_for_refusal(host, fault, &[says]);
    assert_eq!(plugin_value(&served, "ebhost_plugin_current"), Some(0.0), "{fault}");
    assert_eq!(plugin_value(&served, "ebhost_plugin_up"), Some(1.0), "{fault}");
    assert_eq!(plugin_value(&served, "ebhost_plugin_series"), whole, "{fault}");
    assert!(counted(&served) >= counted(&before), "{fault}");
    assert!(resident(host) < 256 << 20, "{fault}: {} bytes resident", resident(host));
    misbehaving.configure(host, "fault: none", "");
    scrape_until(host, &format!("repaired after {fault}"), |served| {
        plugin_value(served, "ebhost_plugin_current") == Some(1.0)
    });
}
