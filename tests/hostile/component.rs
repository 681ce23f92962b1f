//! The component file: not a component, or not one of this contract.

use std::{fs, path::Path};

use ebhost_tests::needs;

use crate::{refusal, says};

/// The error for a component with this text.
fn refusal_of(wat: &str) -> String {
    let bytes = wat::parse_str(wat).expect("the test's own text is valid");
    refusal(|_, package| fs::write(component(package), bytes).expect("our own file"))
}

fn component(package: &Path) -> std::path::PathBuf {
    package.join("biolatency.wasm")
}

#[test]
fn a_core_module() {
    needs!(Root);
    let message = refusal_of("(module (func (export \"decode\")))");
    says(
        &message,
        &["a-faulty/biolatency.wasm: found a core module, expected a component", "`wasm-tools component new`"],
    );
}

#[test]
fn another_contract_version() {
    needs!(Root);
    let message = refusal_of("(component (instance $d) (export \"ebhost:plugin/decoder@0.2.0\" (instance $d)))");
    says(
        &message,
        &[
            "a-faulty/biolatency.wasm: speaks contract 0.2.0, expected `ebhost:plugin/decoder@0.1.0`",
            "this host's wit/",
        ],
    );
}

#[test]
fn a_component_with_another_world() {
    needs!(Root);
    let message = refusal_of("(component (instance $d) (export \"wasi:http/incoming-handler@0.2.0\" (instance $d)))");
    says(&message, &["exports `wasi:http/incoming-handler@0.2.0`, expected `ebhost:plugin/decoder@0.1.0`"]);
}

#[test]
fn an_export_with_the_contracts_name_and_another_type() {
    needs!(Root);
    let message = refusal_of("(component (instance $d) (export \"ebhost:plugin/decoder@0.1.0\" (instance $d)))");
    says(&message, &["a-faulty/biolatency.wasm: does not fit the contract 0.1.0: ", "describe"]);
}

#[test]
fn an_import_that_the_host_does_not_provide() {
    needs!(Root);
    let message = refusal_of("(component (import \"wasi:filesystem/preopens@0.2.0\" (instance)))");
    says(
        &message,
        &[
            "imports `wasi:filesystem/preopens@0.2.0`, but a decoder may import `ebhost:plugin/log` alone",
            "without WASI",
        ],
    );
}

/// With a name at a time, an author built the component once for each.
#[test]
fn imports_that_the_host_does_not_provide_are_all_named_at_once() {
    needs!(Root);
    let message = refusal_of(
        "(component (import \"wasi:clocks/wall-clock@0.2.0\" (instance)) (import \"wasi:io/streams@0.2.0\" (instance)))",
    );
    says(&message, &["`wasi:clocks/wall-clock@0.2.0`, `wasi:io/streams@0.2.0`"]);
}

#[test]
fn a_truncated_component() {
    needs!(Root);
    let message = refusal(|_, package| truncate(&component(package)));
    says(&message, &["a-faulty/biolatency.wasm: is not a valid component: ", "truncated"]);
}

#[test]
fn a_file_that_is_not_webassembly() {
    needs!(Root);
    let message = refusal(|_, package| fs::write(component(package), "name: x\n").expect("our own file"));
    says(&message, &["a-faulty/biolatency.wasm: found a file that begins with 6e 61 6d 65, expected a WASM component"]);
}

/// Truncates a file to half its size.
pub(crate) fn truncate(file: &Path) {
    let file = fs::File::options().write(true).open(file).expect("our own file");
    let length = file.metadata().expect("it is open").len();
    file.set_len(length / 2).expect("our own file");
}
