//! What is written in other places about the tables, held against the registry.
//!
//! `EBHOST_WRITE=1 cargo test --release -p ebhost-lookup generated` writes them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::LookupTable;

const BEGIN: &str =
    "<!-- lookup tables: written by `EBHOST_WRITE=1 cargo test --release -p ebhost-lookup generated` -->\n";
const END: &str = "<!-- end of lookup tables -->\n";

fn workspace(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

/// Writes `expected` if that was asked for; fails if the file has another text.
fn hold(file: &str, found: &str, expected: &str) {
    if found == expected {
        return;
    }
    if env::var_os("EBHOST_WRITE").is_some() {
        fs::write(workspace(file), expected).unwrap();
        return;
    }
    panic!(
        "{file} differs from the registry of lookup tables; write it with `EBHOST_WRITE=1 cargo test --release -p \
         ebhost-lookup generated`. Expected:\n{expected}"
    );
}

#[test]
fn the_contracts_document_lists_every_table() {
    let file = "docs/contract.md";
    let found = fs::read_to_string(workspace(file)).unwrap();
    let (before, rest) = found.split_once(BEGIN).expect("the mark where the tables begin");
    let (_, after) = rest.split_once(END).expect("the mark where they end");
    let mut rows = String::from("| table | width of the key | key | what is found |\n|---|---|---|---|\n");
    for table in LookupTable::ALL {
        let cells = [table.key_widths(), table.key().to_owned(), table.value().to_owned()];
        rows += &format!("| `{}` | {} |\n", table.name(), cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    hold(file, &found, &format!("{before}{BEGIN}\n{rows}\n{END}{after}"));
}

#[test]
fn the_sdk_has_a_constant_for_every_table() {
    let file = "plugins/sdk/src/table.rs";
    let mut expected = String::from(
        "//! The host's lookup tables by name, written from the host's registry.\n//!\n//! A newer host may have more: any name can \
         be given to [`View::lookup`](crate::View::lookup). One that the\n//! host does not have, or that is not among the package's \
         `grants`, is refused when the package is loaded.\n\n",
    );
    for table in LookupTable::ALL {
        let constant = table.name().to_uppercase().replace('-', "_");
        expected += &format!(
            "/// Finds the {value}.\n///\n/// The key: {key}; {widths}.\npub const {constant}: &str = \"{name}\";\n",
            value = table.value(),
            key = table.key(),
            widths = table.key_widths(),
            name = table.name()
        );
    }
    hold(file, &fs::read_to_string(workspace(file)).unwrap(), &expected);
}
