//! Correctness under change: while entries are inserted, deleted and counted at full speed, every served value is
//! correct, every family is complete, and no series decreases.
//!
//! `stream` scrapes the real binary a thousand times. `wrong` shows that the checks work: they find the faults of
//! readers that are wrong in the ways of real exporters. `maps` covers the map types and the corner cases of batched
//! reads, `repeated` tables whose keys stay the same. `scrapes` covers concurrent scrapes and short timeouts. `compressed` reads compressed answers with the readers of others.

mod check;
mod compressed;
mod maps;
mod repeated;
mod scrapes;
mod stream;
mod writer;
mod wrong;

use ebhost_tests::{Ebhost, Folder, Start, workspace};

/// A host with the package `maps`, which reads these maps with these sizes.
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
