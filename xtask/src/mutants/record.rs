//! The outcome of each mutant, kept in a file, so that a run can be stopped and continued.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The outcome of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A test of the crate failed.
    Caught,
    /// No unit test failed; end-to-end tests have not been run yet.
    PassedUnits,
    /// Only an end-to-end test failed.
    CaughtBySuites,
    /// The tests did not end.
    TimedOut,
    /// No test failed.
    Missed,
    /// It does not compile.
    Unviable,
}

impl Outcome {
    const ALL: [Self; 6] =
        [Self::Caught, Self::PassedUnits, Self::CaughtBySuites, Self::TimedOut, Self::Missed, Self::Unviable];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::PassedUnits => "passed units",
            Self::CaughtBySuites => "end-to-end",
            Self::TimedOut => "timeout",
            Self::Missed => "MISSED",
            Self::Unviable => "unviable",
        }
    }

    /// The outcome of a mutant that cargo-mutants tested, from the lists that it wrote into this folder.
    pub(super) fn read(folder: &Path, name: &str) -> Option<Self> {
        let lists = [
            ("caught.txt", Self::Caught),
            ("missed.txt", Self::Missed),
            ("timeout.txt", Self::TimedOut),
            ("unviable.txt", Self::Unviable),
        ];
        let is_listed =
            |file: &str| fs::read_to_string(folder.join(file)).is_ok_and(|list| list.lines().any(|line| line == name));
        lists.into_iter().find(|(file, _)| is_listed(file)).map(|(_, outcome)| outcome)
    }
}

/// The outcomes of one revision of the sources: a mutant is known by its place, which another revision may have elsewhere.
pub(super) struct Record {
    path: PathBuf,
    file: File,
    outcomes: HashMap<String, Outcome>,
}

impl Record {
    /// Opens the record of a revision in this folder.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(super) fn open(folder: &Path, revision: &str) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let path = folder.join(format!("{revision}.txt"));
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::file(&path))?;
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        Ok(Self { outcomes: parse(&text), path, file })
    }

    /// The outcome of a mutant that was tested before.
    pub(super) fn outcome(&self, name: &str) -> Option<Outcome> {
        self.outcomes.get(name).copied()
    }

    /// Adds a mutant, or its later outcome.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn add(&mut self, name: &str, outcome: Outcome) -> Result<()> {
        writeln!(self.file, "{}\t{name}", outcome.name()).map_err(Error::file(&self.path))?;
        self.outcomes.insert(name.to_owned(), outcome);
        Ok(())
    }
}

/// The outcomes of a record's lines. A line that was cut off when the run was stopped is left out.
fn parse(text: &str) -> HashMap<String, Outcome> {
    let outcome = |line: &str| {
        let (outcome, name) = line.strip_suffix('\n')?.split_once('\t')?;
        let outcome = Outcome::ALL.into_iter().find(|known| known.name() == outcome)?;
        Some((name.to_owned(), outcome))
    };
    text.split_inclusive('\n').filter_map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_stopped_knows_what_it_did() {
        let folder = std::env::temp_dir().join(format!("ebhost-mutants-{}", std::process::id()));
        let mut record = Record::open(&folder, "abc").unwrap();
        for outcome in Outcome::ALL {
            record.add(outcome.name(), outcome).unwrap();
        }
        let again = Record::open(&folder, "abc").unwrap();
        let other = Record::open(&folder, "abd").unwrap();
        fs::remove_dir_all(&folder).unwrap();
        for outcome in Outcome::ALL {
            assert_eq!((again.outcome(outcome.name()), other.outcome(outcome.name())), (Some(outcome), None));
        }
        assert!(parse("caught\thalf").is_empty());
    }
}
