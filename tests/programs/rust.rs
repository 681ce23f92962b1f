//! An object from Rust: maps in a legacy section, no BTF. `tests/fixtures/aya` has its source.

use std::{fs, process::Command};

use ebhost_tests::{Folder, Start, alone, compile, needs, output, workspace};

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

/// A map in a legacy section, and a function that the kernel calls back.
const CALLED_BACK: &str = "
struct { u32 type, key_size, value_size, max_entries, flags; } calls_total SEC(\"maps\") = { 1, 4, 8, 16, 0 };
static long (*loop)(u32 times, void *function, void *context, u64 flags) = (void *)181;
static void *(*lookup)(void *map, const void *key) = (void *)1;
static int called_back(u32 index, void *context) { return lookup(&calls_total, &index) != 0; }
SEC(\"raw_tp/sys_enter\") int on_enter(u64 *ctx) { return loop(3, called_back, ctx, 0); }
";

/// `bpf-linker` leaves BTF out unless it is told to: nothing said what that has to do with a callback.
#[test]
fn a_callback_without_btf_is_told_what_gives_it_some() {
    needs!(Root, Tool("clang-19"), Tool("llvm-objcopy-19"));
    let folder = Folder::new();
    let object = folder.path().join("calls.bpf.o");
    compile(CALLED_BACK, "bpf", &object);
    let strip = ["--remove-section=.BTF", "--remove-section=.BTF.ext", "--remove-section=.rel.BTF"];
    output(Command::new("llvm-objcopy-19").args(strip).arg(&object));
    fs::write(folder.path().join("calls.yaml"), CONFIGURATION).expect("our own folder");
    let log = Start::drop_ins(folder.path(), "calls").listening().stop();
    let expected = "a function that is called back needs BTF, which the object has not: link it with `bpf-linker --btf`, or compile it with";
    assert!(log.text().contains(expected), "{}", log.text());
}
