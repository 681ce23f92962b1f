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
    /// The tests used more processor time than they ever need.
    Endless,
    /// The tests did not end, and did not use the processor.
    TimedOut,
    /// No test failed.
    Missed,
    /// It does not compile.
    Unviable,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Caught,
        Self::PassedUnits,
        Self::CaughtBySuites,
        Self::Endless,
        Self::TimedOut,
        Self::Missed,
        Self::Unviable,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::PassedUnits => "passed units",
            Self::CaughtBySuites => "end-to-end",
            Self::Endless => "endless",
            Self::TimedOut => "timeout",
            Self::Missed => "MISSED",
            Self::Unviable => "unviable",
        }
    }
}

/// The outcome of a mutant by cargo-mutants, and the tests that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    /// The tests that failed, as far as they said so before the first program of tests ended.
    pub(super) failed: Vec<String>,
}

impl Verdict {
    /// The outcome of a mutant, from the lists and the log that cargo-mutants wrote into this folder.
    pub(super) fn read(folder: &Path, name: &str) -> Option<Self> {
        let lists = [
            ("caught.txt", Outcome::Caught),
            ("missed.txt", Outcome::Missed),
            ("timeout.txt", Outcome::TimedOut),
            ("unviable.txt", Outcome::Unviable),
        ];
        let is_listed =
            |file: &str| fs::read_to_string(folder.join(file)).is_ok_and(|list| list.lines().any(|line| line == name));
        let outcome = lists.into_iter().find(|(file, _)| is_listed(file)).map(|(_, outcome)| outcome)?;
        let log: String = fs::read_dir(folder.join("log"))
            .into_iter()
            .flatten()
            .filter_map(|file| fs::read(file.ok()?.path()).ok())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .collect();
        Some(Self::of(outcome, &log))
    }

    /// The outcome that the lists have, corrected by the log of the tests: one that was stopped for its processor time is no failed test.
    fn of(outcome: Outcome, log: &str) -> Self {
        let stopped = outcome == Outcome::Caught && log.contains("SIGXCPU");
        let mut failed: Vec<_> = log.lines().filter_map(failed_test).map(str::to_owned).collect();
        failed.sort();
        failed.dedup();
        Self { outcome: if stopped { Outcome::Endless } else { outcome }, failed }
    }
}

/// The name of a test that failed, from the line in which the test program says so.
fn failed_test(line: &str) -> Option<&str> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    outcome.starts_with("FAILED").then(|| name.trim_end_matches(" - should panic"))
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
        let path = record_path(folder, revision);
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
    pub(super) fn add(&mut self, name: &str, verdict: &Verdict) -> Result<()> {
        let Verdict { outcome, failed } = verdict;
        writeln!(self.file, "{}\t{name}\t{}", outcome.name(), failed.join(" ")).map_err(Error::file(&self.path))?;
        self.outcomes.insert(name.to_owned(), *outcome);
        Ok(())
    }

    /// Takes over, for this run, the mutants that the record of an earlier revision says were caught: for a revision that only adds tests.
    ///
    /// # Errors
    /// There is no record of that revision.
    pub(super) fn keep_caught(&mut self, folder: &Path, revision: &str) -> Result<()> {
        let path = record_path(folder, revision);
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        let decided = |outcome: &Outcome| !matches!(outcome, Outcome::PassedUnits | Outcome::Missed);
        for (name, outcome) in parse(&text).into_iter().filter(|(_, outcome)| decided(outcome)) {
            self.outcomes.entry(name).or_insert(outcome);
        }
        Ok(())
    }
}

fn record_path(folder: &Path, revision: &str) -> PathBuf {
    folder.join(format!("{revision}.txt"))
}

/// The outcomes of a record's lines. A line that was cut off when the run was stopped is left out.
fn parse(text: &str) -> HashMap<String, Outcome> {
    let outcome = |line: &str| {
        let (outcome, rest) = line.strip_suffix('\n')?.split_once('\t')?;
        let (name, _failed) = rest.split_once('\t')?;
        let outcome = Outcome::ALL.into_iter().find(|known| known.name() == outcome)?;
        Some((name.to_owned(), outcome))
    };
    text.split_inclusive('\n').filter_map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(outcome: Outcome) -> Verdict {
        Verdict { outcome, failed: vec!["a::test".into(), "another".into()] }
    }

    #[test]
    fn a_run_that_was_stopped_knows_what_it_did() {
        let folder = std::env::temp_dir().join(format!("ebhost-mutants-{}", std::process::id()));
        let mut record = Record::open(&folder, "abc").unwrap();
        for outcome in Outcome::ALL {
            record.add(outcome.name(), &verdict(outcome)).unwrap();
        }
        let again = Record::open(&folder, "abc").unwrap();
        let other = Record::open(&folder, "abd").unwrap();
        let mut next = Record::open(&folder, "abd").unwrap();
        next.keep_caught(&folder, "abc").unwrap();
        fs::remove_dir_all(&folder).unwrap();
        for outcome in Outcome::ALL {
            assert_eq!((again.outcome(outcome.name()), other.outcome(outcome.name())), (Some(outcome), None));
            let kept = !matches!(outcome, Outcome::PassedUnits | Outcome::Missed);
            assert_eq!(next.outcome(outcome.name()), kept.then_some(outcome), "what no test noticed is tested again");
        }
        assert!(parse("caught\thalf").is_empty());
    }

    #[test]
    fn a_program_that_was_stopped_is_no_failed_test() {
        let log = "test a::is_right ... ok\ntest b::is_wrong ... FAILED\ntest b::panics - should panic ... FAILED\nerror: test failed";
        let failed = vec!["b::is_wrong".to_owned(), "b::panics".to_owned()];
        assert_eq!(Verdict::of(Outcome::Caught, log), Verdict { outcome: Outcome::Caught, failed });
        let stopped =
            "process didn't exit successfully: `ebhost_series` (signal: 24, SIGXCPU: CPU time limit exceeded)";
        assert_eq!(Verdict::of(Outcome::Caught, stopped).outcome, Outcome::Endless);
        assert_eq!(Verdict::of(Outcome::TimedOut, "").outcome, Outcome::TimedOut);
    }
}
