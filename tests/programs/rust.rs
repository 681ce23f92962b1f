//! An object from Rust: maps in a legacy section, no BTF. `tests/fixtures/aya` has its source.

use std::fs;

use ebhost_tests::{Folder, Start, alone, needs, workspace};

const CONFIGURATION: &str = "
metrics:
  counters:
    - { name: calls_total, help: Calls of getpgid(2)., labels: [{ name: process, size: 4, decoders: [{ name: uint }] }] }
";

/// It was refused for its section `maps` and for want of BTF.
#[test]
fn an_object_that_aya_ebpf_made_counts() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::new();
    fs::copy(workspace().join("tests/fixtures/aya/calls.bpf.o"), folder.path().join("calls.bpf.o"))
        .expect("a committed file");
    fs::write(folder.path().join("calls.yaml"), CONFIGURATION).expect("our own folder");
    let host = Start::drop_ins(folder.path(), "calls").args(&["--config.strict"]).listening();
    (0..25).for_each(|_| _ = rustix::process::getpgid(None));
    let own = std::process::id().to_string();
    assert_eq!(host.scrape().value("ebpf_exporter_calls_total", &[("process", &own)]), Some(25.0));
    host.stop();
}
