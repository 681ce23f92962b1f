//! The compatibility promise: a package built against a released contract still loads and gives the same result.

use crate::{ebhost, fixture};

#[test]
fn a_component_of_contract_0_1_0_is_loaded() {
    let package = fixture("contract-0.1.0");
    let checked = ebhost(&["check", ".", "--recording", "sample.jsonl"], &package);
    assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.err);
    let replayed = ebhost(&["replay", ".", "sample.jsonl", "--expect", "expected.prom"], &package);
    assert_eq!((replayed.code, replayed.out.as_str()), (Some(0), "expected.prom: as expected\n"), "{}", replayed.err);
}

#[test]
fn the_contract_in_the_docs_equals_the_one_in_wit() {
    let docs = std::fs::read_to_string(ebhost_tests::workspace().join("docs/contract.md")).expect("the document");
    for file in ["world.wit", "log.wit", "decoder.wit", "spans/spans.wit"] {
        let text = std::fs::read_to_string(ebhost_tests::workspace().join("wit").join(file)).expect("the contract");
        assert!(docs.contains(&format!("```wit\n{text}```\n")), "docs/contract.md has another text of {file}");
    }
}
