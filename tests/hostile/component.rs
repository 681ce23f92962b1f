//! The component: what is not one, or not one of this contract.

use std::{fs, path::Path};

use ebhost_tests::needs;

use crate::{refusal, says};

/// What is said of a component that is this text.
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
fn a_component_for_something_else() {
    needs!(Root);
    let message = refusal_of("(component (instance $d) (export \"wasi:http/incoming-handler@0.2.0\" (instance $d)))");
    says(&message, &["exports `wasi:http/incoming-handler@0.2.0`, expected `ebhost:plugin/decoder@0.1.0`"]);
}

#[test]
fn the_contracts_name_on_another_shape() {
    needs!(Root);
    let message = refusal_of("(component (instance $d) (export \"ebhost:plugin/decoder@0.1.0\" (instance $d)))");
    says(&message, &["a-faulty/biolatency.wasm: does not fit the contract 0.1.0: ", "describe"]);
}

#[test]
fn an_import_that_is_not_given() {
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

#[test]
fn a_truncated_component() {
    needs!(Root);
    let message = refusal(|_, package| truncate(&component(package)));
    says(&message, &["a-faulty/biolatency.wasm: is not a valid component: ", "truncated"]);
}

#[test]
fn no_component_at_all() {
    needs!(Root);
    let message = refusal(|_, package| fs::write(component(package), "name: x\n").expect("our own file"));
    says(&message, &["a-faulty/biolatency.wasm: found a file that begins with 6e 61 6d 65, expected a WASM component"]);
}

/// Cuts a file at its half.
pub(crate) fn truncate(file: &Path) {
    let file = fs::File::options().write(true).open(file).expect("our own file");
    let length = file.metadata().expect("it is open").len();
    file.set_len(length / 2).expect("our own file");
}
