//! The invariants of every scrape and of consecutive scrapes.

use std::collections::HashMap;

use ebhost_tests::{Exposition, key};

/// The number of entries that are never changed, with ids from 0 on.
pub(crate) const STABLE: u64 = 1_000;
/// The family of the map `hash`.
pub(crate) const FAMILY: &str = "ebhost_hash_calls_total";

/// The constant value of an entry: a value that was counted twice, or that belongs to another entry, is recognizable.
pub(crate) fn value(id: u64) -> u64 {
    1_000_000 + id * 7
}

/// The observations so far.
#[derive(Debug, Default)]
pub(crate) struct Check {
    last: HashMap<u64, u64>,
    /// The values of entries that come and go.
    pub(crate) passing: u64,
}

impl Check {
    /// Checks the series of one scrape, by id. The error says what is wrong.
    pub(crate) fn see(&mut self, series: &HashMap<u64, u64>) -> Result<(), String> {
        if series.is_empty() {
            return Err(format!("the family {FAMILY} is missing"));
        }
        for id in 0..STABLE {
            match series.get(&id) {
                None => return Err(format!("entry {id}, which nobody touches, is missing")),
                Some(found) if *found != value(id) => {
                    return Err(format!("entry {id} is {found}, it holds {}", value(id)));
                }
                Some(_) => {}
            }
        }
        for (id, found) in series {
            if *found != value(*id) {
                return Err(format!("entry {id} is {found}, it never held but {}", value(*id)));
            }
            if let Some(before) = self.last.get(id).filter(|before| *before > found) {
                return Err(format!("entry {id} fell from {before} to {found}"));
            }
        }
        self.passing += series.len() as u64 - STABLE;
        self.last.clone_from(series);
        Ok(())
    }
}

/// The series of the family, by id; their other labels are checked.
pub(crate) fn series(served: &Exposition) -> Result<HashMap<u64, u64>, String> {
    let samples = served.families.get(FAMILY).map_or(&[][..], |family| &family.samples);
    let mut series = HashMap::new();
    for sample in samples {
        let id: u64 = sample.labels["id"].parse().map_err(|_| format!("{:?} is no id", sample.labels))?;
        let group = ebhost_tests::group(id).to_string();
        if sample.labels["group"] != group || key(id).len() != 16 {
            return Err(format!("entry {id} has the labels {:?}", sample.labels));
        }
        if series.insert(id, sample.value as u64).is_some() {
            return Err(format!("entry {id} is served twice"));
        }
    }
    Ok(series)
}
