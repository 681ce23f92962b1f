//! Bad input is refused with what was found, what was expected and what to try, and affects no other package.
//!
//! Each test puts a faulty package before a good one. The faulty one is left out with one error; the good one is
//! served.

mod component;
mod flips;
mod object;
mod package;
mod start;

use std::path::Path;

use ebhost_tests::{Ebhost, Folder, Start};

/// Spoils a copy of biolatency, checks that the good package runs, and returns the error for the spoilt one.
fn refusal(spoil: impl FnOnce(&Folder, &Path)) -> String {
    let folder = spoilt(spoil);
    let host = Ebhost::start(folder.path());
    let served = host.scrape();
    let up = |plugin| served.value("ebhost_plugin_up", &[("plugin", plugin)]);
    assert_eq!((up("biolatency"), up("a-faulty")), (Some(1.0), Some(0.0)));
    assert!(
        served.value("ebhost_bio_latency_lost_total", &[("reason", "no_start")]).is_some(),
        "the good one is served"
    );
    let log = host.stop();
    let errors: Vec<_> = log.lines().into_iter().filter(|line| line.level == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{}", log.text());
    errors[0].text.clone()
}

fn spoilt(spoil: impl FnOnce(&Folder, &Path)) -> Folder {
    let folder = Folder::with_biolatency();
    let faulty = folder.add("a-faulty");
    spoil(&folder, &faulty);
    folder
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "expected `{part}` in: {message}");
    }
}

/// With `--strict`, the host refuses to start if one package is faulty, and starts if all are good.
#[test]
fn strict_refuses_to_start_with_a_faulty_package() {
    ebhost_tests::needs!(Root);
    let folder = spoilt(|_, package| std::fs::write(package.join("biolatency.wasm"), b"").expect("our own file"));
    let ended = Start::with(folder.path()).args(&["--strict"]).ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log.text());
    let errors: Vec<_> = ended.log.lines().into_iter().filter(|line| line.level == "ERROR").collect();
    assert_eq!(errors.len(), 2, "{}", ended.log.text());
    says(&errors[0].text, &["a-faulty/biolatency.wasm: found an empty file, expected a WASM component"]);
    says(&errors[1].text, &["1 of 2 packages failed to load, and --strict is given"]);

    Start::with(Folder::with_biolatency().path()).args(&["--strict"]).listening().stop();
}
