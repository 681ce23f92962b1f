//! What must hold of every scrape, and from scrape to scrape.

use std::collections::HashMap;

use ebhost_tests::{Exposition, key};

/// Entries that nobody touches, from id 0 on.
pub(crate) const STABLE: u64 = 1_000;
/// The family of the map `hash`.
pub(crate) const FAMILY: &str = "ebhost_hash_calls_total";

/// What an entry holds from its first moment to its last: anyone can tell a doubled or a stranger's value.
pub(crate) fn value(id: u64) -> u64 {
    1_000_000 + id * 7
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub(crate) struct Check {
    last: HashMap<u64, u64>,
    /// Values seen of entries that come and go.
    pub(crate) passing: u64,
}

impl Check {
    /// Looks at one scrape's series, by id; says what is wrong with it.
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

/// The series of the family, by id; their other labels are checked against it.
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
