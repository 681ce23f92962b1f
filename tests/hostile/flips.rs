//! An object with one damaged bit: each gives an error or a running package, the host keeps serving, and the repaired file comes back without a
//! restart. (The unit tests of `ebhost-object` damage every bit.)

use std::{fs, time::Duration};

use ebhost_tests::{Ebhost, Folder, alone, needs, wait_until};

/// Longer than it takes to look twice at the folder, to load the object and to compile nothing.
const TAKEN: Duration = Duration::from_secs(30);

#[test]
fn a_damaged_object_costs_its_package_and_the_mended_one_comes_back() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::with_biolatency();
    let object = folder.path().join("biolatency/biolatency.bpf.o");
    let good = fs::read(&object).expect("a committed file");
    let host = Ebhost::start(folder.path());
    let replace = |bytes: &[u8]| {
        let before = host.scrape().reloads_tried();
        let beside = folder.path().join("part");
        fs::write(&beside, bytes).expect("our own folder");
        fs::rename(&beside, &object).expect("our own file");
        wait_until("the object is looked at", TAKEN, || (host.scrape().reloads_tried() > before).then_some(()));
        assert_eq!(host.get("/-/healthy", &[]).status, 200);
        let up = host.scrape().value("ebhost_plugin_up", &[("plugin", "biolatency")]);
        assert_eq!(up, Some(1.0), "the version that ran goes on");
    };
    let sections = u64::from_le_bytes(good[0x28..0x30].try_into().expect("8 bytes")) as usize;
    // The header's machine, table and count; a section's offset, size and link; and places all over the file.
    let structure = [0x12, 0x2b, 0x3c, sections + 64 + 26, sections + 3 * 64 + 36, sections + 5 * 64 + 40];
    let spread = (1..=6).map(|part| part * good.len() / 7);
    for byte in structure.into_iter().chain(spread) {
        let mut damaged = good.clone();
        damaged[byte] ^= 0x20;
        replace(&damaged);
    }
    replace(&good);
    let is_current = || host.scrape().value("ebhost_plugin_current", &[("plugin", "biolatency")]) == Some(1.0);
    wait_until("the mended object runs", TAKEN, || is_current().then_some(()));
    let served = host.scrape();
    let panics: f64 =
        served.samples().filter(|sample| sample.name == "ebhost_thread_panics_total").map(|sample| sample.value).sum();
    assert_eq!(panics, 0.0, "no thread panicked");
    host.stop();
}
