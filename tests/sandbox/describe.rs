//! Sins of `describe`: at load. Each leaves its package out, with a reason; as a new version of one that runs, it leaves that running.

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, alone, needs};

use crate::rig::{Sinner, Witness, counted, of, resident, scrape, start, until};

/// Sin, and what is said of it.
const SINS: [(&str, &str); 24] = [
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

/// All of them in one folder, with biolatency.
#[test]
fn each_is_left_out_at_the_start() {
    needs!(Root);
    let _alone = alone();
    let sinner = Sinner { folder: Folder::with_biolatency() };
    for (sin, _) in SINS {
        sinner.add(&format!("s-{sin}"), &format!("sin: {sin}, family: a{}_total", sin.replace('-', "_")));
    }
    let host = start(&sinner.folder, &[]);
    let served = scrape(&host);
    assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    let lost = served.value("ebhost_bio_latency_lost_total", &[("reason", "no_start")]);
    assert!(lost.is_some(), "biolatency is served");
    let lines = host.log().lines();
    let mut wrong = Vec::new();
    for (sin, says) in SINS {
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", &format!("s-{sin}"))]), Some(0.0), "{sin}");
        let folder = format!("/s-{sin}/");
        let errors: Vec<_> = lines.iter().filter(|line| line.level == "ERROR" && line.text.contains(&folder)).collect();
        assert_eq!(errors.len(), 1, "{sin}: {}", host.log().text());
        if !errors[0].text.contains(says) {
            wrong.push(format!("{sin}: expected `{says}` in: {}", errors[0].text));
        }
        assert!(errors[0].text.len() < 4096 && !errors[0].text.contains('\x1b'), "{sin}: {}", errors[0].text);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(resident(&host) < 256 << 20, "{} bytes resident", resident(&host));
    host.stop();
}

#[test]
fn each_leaves_the_version_before_running() {
    needs!(Root);
    let _alone = alone();
    let sinner = Sinner::alone("sin: none");
    let host = start(&sinner.folder, &[]);
    let whole = of(&scrape(&host), "ebhost_plugin_series");
    SINS.iter()
        .filter(|(sin, _)| *sin != "family-of-another")
        .for_each(|sin| leaves_running(&sinner, &host, whole, *sin));
    host.stop();
}

/// Under load, with biolatency's counts held against the kernel's during each.
#[test]
fn each_beside_biolatency() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let sinner = Sinner::beside_biolatency("sin: none");
    let disk = Disk::in_memory();
    let host = start(&sinner.folder, &[]);
    let witness = Witness { host: &host, disk: &disk };
    let whole = of(&scrape(&host), "ebhost_plugin_series");
    for (sin, says) in SINS {
        witness.beside(sin, || leaves_running(&sinner, &host, whole, (sin, says)));
    }
    host.stop();
}

/// Has the sin committed by a new version: it is refused with that reason, the one before goes on, and a mended file is taken.
fn leaves_running(sinner: &Sinner, host: &Ebhost, whole: Option<f64>, (sin, says): (&str, &str)) {
    let before = scrape(host);
    let failures = |served: &Exposition| served.value("ebhost_reload_failures_total", &[]);
    sinner.sin(host, &format!("sin: {sin}"), "");
    let served = until(host, sin, |served| failures(served) > failures(&before));
    let line = host.log().lines().into_iter().rfind(|line| line.level == "ERROR").expect("it is said");
    assert!(line.text.contains("the version before goes on: ") && line.text.contains(says), "{sin}: {}", line.text);
    assert_eq!(of(&served, "ebhost_plugin_current"), Some(0.0), "{sin}");
    assert_eq!(of(&served, "ebhost_plugin_up"), Some(1.0), "{sin}");
    assert_eq!(of(&served, "ebhost_plugin_series"), whole, "{sin}");
    assert!(counted(&served) >= counted(&before), "{sin}");
    assert!(resident(host) < 256 << 20, "{sin}: {} bytes resident", resident(host));
    sinner.sin(host, "sin: none", "");
    until(host, &format!("mended after {sin}"), |served| of(served, "ebhost_plugin_current") == Some(1.0));
}
