//! Names that a component looks up in a replay and that the recording does not hold.
//!
//! An entry without its name has other labels than it had on the machine, or none: such a replay shows nothing that ever was.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use super::recording::{Recording, hex};
use ebhost_lookup::Lookups;

/// The names that were asked for in vain, by table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnrecordedNames {
    recording: PathBuf,
    /// By the table's name: how many keys were asked for, and the first of them in hexadecimal.
    asked: BTreeMap<&'static str, (usize, String)>,
    /// The tables that the recording has names of.
    held: BTreeSet<&'static str>,
}

impl std::error::Error for UnrecordedNames {}

impl UnrecordedNames {
    /// None: the recording holds every name.
    pub(super) fn of(path: &Path, recording: &Recording, lookups: &Lookups) -> Option<Self> {
        let mut asked: BTreeMap<&'static str, (usize, String)> = BTreeMap::new();
        for (table, key) in lookups.unrecorded() {
            asked.entry(table.name()).or_insert_with(|| (0, hex(key))).0 += 1;
        }
        let held = recording.names.iter().map(|((table, _), _)| table.name()).collect();
        (!asked.is_empty()).then(|| Self { recording: path.to_owned(), asked, held })
    }
}

impl fmt::Display for UnrecordedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the component looks up ", self.recording.display())?;
        for (place, (table, (count, first))) in self.asked.iter().enumerate() {
            let separator = if place > 0 { ", and " } else { "" };
            let keys = if *count == 1 { "key" } else { "keys" };
            write!(f, "{separator}{count} {keys} in the table `{table}` (the first is {first})")?;
        }
        f.write_str(" that the recording does not hold; ")?;
        if self.held.is_empty() {
            f.write_str("it holds no names")?;
        } else {
            let held: Vec<&str> = self.held.iter().copied().collect();
            write!(f, "it holds names of {}", held.join(", "))?;
        }
        f.write_str(": record it again with this package")
    }
}
