//! Right under change: while entries come, go and count at full speed, every value that is served is right, every family is there,
//! and no series ever falls.
//!
//! `stream` has the real binary scraped a thousand times. `wrong` shows that this finds faults: the same checks on readers that are
//! wrong on purpose, with the faults of real exporters. `maps` goes through the kinds of maps, and the corners of the batched read. `scrapes`
//! has many at once, and impatient ones.

mod check;
mod maps;
mod scrapes;
mod stream;
mod writer;
mod wrong;

use std::{fs, path::Path};

use ebhost_tests::{Ebhost, Folder, Start, workspace};

/// A host with the package `maps`, reading these, each of that size.
fn host(maps: &[(&str, u32)]) -> (Ebhost, Folder) {
    let folder = Folder::new();
    let package = folder.path().join("maps");
    copy(&workspace().join("bench/packages/maps"), &package);
    let names: Vec<&str> = maps.iter().map(|(map, _)| *map).collect();
    folder.amend("maps", "read: [hash]", &format!("read: [{}]", names.join(", ")));
    folder.amend("maps", "series: 1000", "series: 200000");
    for (map, entries) in maps {
        folder.amend("maps", &format!(" {map}: 1"), &format!(" {map}: {entries}"));
    }
    (Start::with(folder.path()).args(&["--strict"]).listening(), folder)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder in our own");
    for file in ["plugin.yaml", "maps.wasm", "maps.bpf.o"] {
        fs::copy(from.join(file), to.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}
