//! `plugin.yaml`, and the files that it names.

use std::fs;

use ebhost_tests::{Folder, needs};

use crate::{refusal, says};

#[test]
fn an_unknown_key() {
    needs!(Root);
    let message = refusal(|folder, _| folder.amend("a-faulty", "grants:", "grant:"));
    says(
        &message,
        &["a-faulty/plugin.yaml:", ":1: unknown field `grant`, expected one of", " | grant: [disk]\n", " | ^"],
    );
}

#[test]
fn a_wrong_type() {
    needs!(Root);
    let message =
        refusal(|folder, _| folder.amend("a-faulty", "component: biolatency.wasm", "component: [biolatency.wasm]"));
    says(
        &message,
        &["a-faulty/plugin.yaml:3:12: component: invalid type: sequence, expected a string", "3 | component: [bio"],
    );
}

#[test]
fn a_quantity_without_its_unit() {
    needs!(Root);
    let message = refusal(|folder, _| folder.amend("a-faulty", "decode: 50ms", "decode: 50"));
    says(&message, &["a-faulty/plugin.yaml:", "expected a time above zero with its unit, such as 50ms"]);
}

#[test]
fn a_tab() {
    needs!(Root);
    let message = refusal(|folder, _| folder.amend("a-faulty", "  object:", "\tobject:"));
    says(&message, &["a-faulty/plugin.yaml:7:1: ", "found a tab; YAML is indented with spaces", "7 | \tobject:"]);
}

#[test]
fn a_file_that_is_not_yaml() {
    needs!(Root);
    let message =
        refusal(|_, package| fs::write(package.join("plugin.yaml"), b"\x7fELF\xff\xfe").expect("our own file"));
    says(&message, &["a-faulty/plugin.yaml: is not UTF-8"]);
}

#[test]
fn a_missing_component() {
    needs!(Root);
    let message = refusal(|_, package| fs::remove_file(package.join("biolatency.wasm")).expect("our own file"));
    says(&message, &["a-faulty/biolatency.wasm: cannot be read: No such file", "`component` names it; build it"]);
}

#[test]
fn a_missing_object() {
    needs!(Root);
    let message = refusal(|_, package| fs::remove_file(package.join("biolatency.bpf.o")).expect("our own file"));
    says(&message, &["a-faulty/biolatency.bpf.o: cannot be read: No such file", "`bpf.object` names it; build it"]);
}

#[test]
fn a_global_that_is_not_in_the_object() {
    needs!(Root);
    let message = refusal(|folder, _| folder.amend("a-faulty", "targ_queued: ", "targ_qeued: "));
    says(
        &message,
        &[
            "a-faulty/biolatency.bpf.o: has no global `targ_qeued`",
            "targ_counts_keep_ns, targ_counts_rest_ns, targ_native, targ_part_keep_ns, targ_parts, targ_per_flag, targ_queued, targ_sizes",
        ],
    );
}

#[test]
fn a_global_of_another_type() {
    needs!(Root);
    let message = refusal(|folder, _| folder.amend("a-faulty", "targ_queued: $queued", "targ_queued: 0"));
    says(&message, &["global `targ_queued` is a bool (true or false), found `0` for it in plugin.yaml"]);
}

#[test]
fn a_program_that_is_not_in_the_object() {
    needs!(Root);
    let message = refusal(|folder, _| folder.amend("a-faulty", "programs: [", "programs: [block_rq_begin, "));
    says(
        &message,
        &["has no program `block_rq_begin`, which `bpf.programs` in plugin.yaml names; it has block_rq_complete, "],
    );
}

#[test]
fn a_config_that_the_plugin_rejects() {
    needs!(Root);
    let message = refusal(|folder, _| folder.amend("a-faulty", "  disks:", "  discs:"));
    says(&message, &["refuses its config: ", "unknown field `discs`, expected one of `per_flag`, `native`, `disks`"]);
}

#[test]
fn a_missing_grant() {
    needs!(Root);
    let message = refusal(|folder, _| folder.amend("a-faulty", "grants: [disk]", "grants: []"));
    says(&message, &["found the grants []", "add `grants: [disk]` to plugin.yaml to grant it"]);
}

/// Here the copy is loaded first, so the original is refused.
#[test]
fn a_family_name_that_another_package_uses() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.add("a-copy");
    let log = ebhost_tests::Ebhost::start(folder.path()).stop();
    let errors: Vec<_> = log.lines().into_iter().filter(|line| line.level == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{}", log.text());
    let parts = [
        "/biolatency/plugin.yaml: its family `bio_latency_seconds` prints `ebhost_bio_latency_seconds",
        "package `a-copy` has already",
    ];
    says(&errors[0].text, &parts);
}
