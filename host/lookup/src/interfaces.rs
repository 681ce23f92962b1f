//! Network interfaces by index, as `/sys/class/net/NAME/ifindex` has them: those of the host's own network namespace.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::{Roots, number};

/// The interfaces, read when one is asked about and again before each scrape from then on.
#[derive(Debug)]
pub(super) struct Interfaces {
    folder: PathBuf,
    names: Option<HashMap<u64, String>>,
}

impl Interfaces {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { folder: roots.sys.join("class/net"), names: None }
    }

    pub(super) fn name(&mut self, bytes: &[u8]) -> Option<String> {
        let index = number(bytes)?;
        self.names.get_or_insert_with(|| list(&self.folder)).get(&index).cloned()
    }

    pub(super) fn refresh(&mut self) {
        if self.names.is_some() {
            self.names = Some(list(&self.folder));
        }
    }
}

fn list(folder: &Path) -> HashMap<u64, String> {
    let Ok(entries) = fs::read_dir(folder) else { return HashMap::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let index = fs::read_to_string(entry.path().join("ifindex")).ok()?.trim().parse().ok()?;
            Some((index, entry.file_name().into_string().ok()?))
        })
        .collect()
}
