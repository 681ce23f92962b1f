//! The BPF object: not an object, not one for this machine, or one that the kernel or the plugin does not accept.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ebhost_tests::{Folder, Start, compile, needs, output};

use crate::{component::truncate, refusal, says};

/// The maps that biolatency's component reads, and a correct program.
const MAPS: &str = "MAP(banks, u32, struct bank); HASH(banks_spill, u64, struct bank); MAP(banks_stats, u32, u64); MAP(lost, u32, u64); MAP(slow, u32, u64);";
const PROGRAM: &str = "SEC(\"raw_tp/sys_enter\") int on_enter(u64 *ctx) { return 0; }";

/// The error for an object with these lines of C.
fn refusal_of(c: &str) -> String {
    refusal(|_, package| replace(package, c))
}

/// Writes this object into a package, and a minimal `plugin.yaml`.
fn replace(package: &Path, c: &str) {
    compile(c, "bpf", &object(package));
    let yaml = "name: a-faulty\ncomponent: biolatency.wasm\nbpf: { object: biolatency.bpf.o }\ngrants: [disk]\n";
    fs::write(package.join("plugin.yaml"), yaml).expect("our own file");
}

fn object(package: &Path) -> PathBuf {
    package.join("biolatency.bpf.o")
}

/// Tests the fixture: the objects of the other tests differ from this one in a single fault.
#[test]
fn a_correct_object_is_loaded() {
    needs!(Root, Tool("clang-19"));
    let folder = Folder::new();
    replace(&folder.add("a-faulty"), &format!("{MAPS}{PROGRAM}"));
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    assert_eq!(host.scrape().value("ebhost_bio_latency_lost_total", &[("reason", "banks_full")]), Some(0.0));
    host.stop();
}

#[test]
fn an_object_without_btf() {
    needs!(Root, Tool("llvm-objcopy-19"));
    let message = refusal(|_, package| {
        let strip = ["--remove-section=.BTF", "--remove-section=.BTF.ext", "--remove-section=.rel.BTF"];
        output(Command::new("llvm-objcopy-19").args(strip).arg(object(package)));
    });
    says(&message, &["a-faulty/biolatency.bpf.o: has no BTF (no `.BTF` section)", "compile with `clang -g`"]);
}

#[test]
fn an_object_for_another_architecture() {
    needs!(Root, Tool("clang-19"));
    for (target, found) in [("x86_64-linux-gnu", "X86_64"), ("bpfeb", "big-endian Bpf")] {
        let message = refusal(|_, package| compile("int x;", target, &object(package)));
        says(
            &message,
            &[&format!("a-faulty/biolatency.bpf.o: found an object for {found}, expected one for little-endian BPF")],
        );
    }
}

#[test]
fn a_program_that_the_verifier_refuses() {
    needs!(Root, Tool("clang-19"));
    let program = "SEC(\"raw_tp/sys_enter\") int reads_anywhere(u64 *ctx) { return *(u32 *)ctx[0]; }";
    let message = refusal_of(&format!("{MAPS}{program}"));
    says(&message, &["a-faulty/biolatency.bpf.o: the kernel's verifier refuses program `reads_anywhere` ("]);
    let log = message.split_once("the end of its log:\n").expect("the log's end is shown").1;
    says(log, &["invalid mem access 'scalar'", "processed "]);
}

#[test]
fn an_unknown_section() {
    needs!(Root, Tool("clang-19"));
    let message = refusal_of(&format!("{MAPS}SEC(\"tp_bft/block_rq_issue\") int issue(u64 *ctx) {{ return 0; }}"));
    says(
        &message,
        &["program `issue` is in section `tp_bft/block_rq_issue`, which is not known", "expected one of tp_btf/NAME, "],
    );
}

#[test]
fn a_tracepoint_that_the_kernel_does_not_have() {
    needs!(Root, Tool("clang-19"));
    let message = refusal_of(&format!("{MAPS}SEC(\"tp_btf/no_such_event\") int issue(u64 *ctx) {{ return 0; }}"));
    says(&message, &["program `issue` cannot be attached: this kernel's types have no tracepoint `", "(kernel "]);
}

#[test]
fn a_map_that_is_not_in_the_object() {
    needs!(Root, Tool("clang-19"));
    let message = refusal_of(&format!(
        "MAP(bank, u32, struct bank); HASH(banks_spill, u64, struct bank); MAP(lost, u32, u64); {PROGRAM}"
    ));
    says(
        &message,
        &[
            "found the source `banks`, expected a map of the BPF object or a source under `perf` in plugin.yaml: bank, banks_spill, lost",
        ],
    );
}

#[test]
fn a_map_of_another_key_size() {
    needs!(Root, Tool("clang-19"));
    let hash = "HASH(banks, u64, struct bank); HASH(banks_spill, u64, struct bank); MAP(banks_stats, u32, u64);";
    let message = refusal_of(&format!("{hash} MAP(lost, u32, u64); MAP(slow, u32, u64); {PROGRAM}"));
    says(&message, &["view 0 (`banks`): found key-size 4, expected 8, as the map has it"]);
}

#[test]
fn a_map_of_another_value_size() {
    needs!(Root, Tool("clang-19"));
    let message = refusal_of(&format!(
        "MAP(banks, u32, struct bank); HASH(banks_spill, u64, struct bank); MAP(banks_stats, u32, u64); MAP(lost, u32, u32); {PROGRAM}"
    ));
    says(&message, &["view 3 (`lost`): found value-size 8, expected 4, as the map has it"]);
}

#[test]
fn a_truncated_object() {
    needs!(Root);
    let message = refusal(|_, package| truncate(&object(package)));
    says(&message, &["a-faulty/biolatency.bpf.o: is not an ELF file that can be read (", "truncated?"]);
}
