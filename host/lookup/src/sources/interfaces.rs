//! Network interfaces by index, from `/sys/class/net/NAME/ifindex`: those of the host's own network namespace.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::{Freshness, Source};
use crate::Roots;

/// The interfaces, read when the first is asked about and again before each collection.
#[derive(Debug)]
pub(crate) struct Interfaces {
    folder: PathBuf,
    names: HashMap<u64, String>,
}

impl Interfaces {
    pub(crate) fn name(&self, index: u64) -> Option<String> {
        self.names.get(&index).cloned()
    }
}

impl Source for Interfaces {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        // The links in the first folder lead into the second.
        vec![roots.sys.join("class/net"), roots.sys.join("devices")]
    }

    fn open(roots: &Roots) -> Self {
        let folder = roots.sys.join("class/net");
        Self { names: list(&folder), folder }
    }

    fn refresh(&mut self) -> Freshness {
        let names = list(&self.folder);
        if names == self.names {
            return Freshness::Unchanged;
        }
        self.names = names;
        Freshness::MayDiffer
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
