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

use ebhost_tests::{Ebhost, Folder, Start, workspace};

/// A host with the package `maps`, reading these, each of that size.
fn host(maps: &[(&str, u32)]) -> (Ebhost, Folder) {
    let folder = Folder::new();
    folder.copy(&workspace().join("bench/packages/maps"));
    let names: Vec<&str> = maps.iter().map(|(map, _)| *map).collect();
    folder.amend("maps", "read: [hash]", &format!("read: [{}]", names.join(", ")));
    folder.amend("maps", "series: 1000", "series: 200000");
    for (map, entries) in maps {
        folder.amend("maps", &format!(" {map}: 1"), &format!(" {map}: {entries}"));
    }
    (Start::with(folder.path()).args(&["--strict"]).listening(), folder)
}
