//! `cargo xtask mutants`: small changes to the host's code, one at a time, each of which a test has to notice.
//!
//! cargo-mutants lists the changes, makes them, builds and runs the tests. This command draws a sample of them by a seed, chooses the
//! tests (the tests of the crate for all, and then, for what these let pass, the end-to-end suites that run the crate's code), and
//! remembers what is done, so that a run that was stopped goes on where it was. All of it happens in a working tree of its own below
//! `target/mutants`.
//!
//! A mutant that no test can notice, because it changes nothing, is listed with the reason in `equivalent.txt`; every other one has to be caught.
//!
//! A mutant counts as caught if a test failed, and the record names the test. A busy machine must not look like a test that failed: a
//! loop without an end is told by the processor time of the tests, and a test that waits for ever by a wall-clock limit that is far
//! above what the tests take; both have an outcome of their own.

mod build;
mod equivalent;
mod options;
mod record;
mod sample;
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use options::{Options, Stages};

use crate::error::{Error, Result};
use crate::process::{cargo, output, run};
use equivalent::Equivalents;
use record::{Outcome, Record, Verdict};

/// The version that is installed; another one may make other changes, and so another sample.
const TOOL: &str = "cargo-mutants@27.1.0";

/// The part of the mutants that tests have to notice.
const LEAST_CAUGHT_PERCENT: usize = 95;

/// Wall-clock limits for the tests of a mutant, in seconds. A mutant that makes a test wait for ever is found by them. They are many times what
/// the tests take, because the run may be the one of the least priority on a busy machine.
const CRATE_TIMEOUT: u32 = 1_800;
const SUITES_TIMEOUT: u32 = 3_600;

/// A crate of the host, and the end-to-end suites that run its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The folder below `host/`.
    folder: &'static str,
    package: &'static str,
    suites: &'static [&'static str],
}

/// The crates from which the sample is drawn.
pub(crate) const TARGETS: [Target; 5] = [
    Target { folder: "series", package: "ebhost-series", suites: &["hot_path", "compat", "serving", "sandbox"] },
    Target { folder: "plugin", package: "ebhost-plugin-host", suites: &["sandbox", "hostile", "compat"] },
    Target { folder: "metrics", package: "ebhost-metrics", suites: &["formats", "compat", "serving"] },
    Target { folder: "package", package: "ebhost-package", suites: &["compat", "hostile", "sandbox"] },
    Target { folder: "server", package: "ebhost-server", suites: &["web", "serving"] },
];

/// Code of these crates that is not the host's: it makes inputs for fuzzing.
const EXCLUDED: &str = "host/plugin/src/fuzz.rs";

/// A change and the crate that it is made in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mutant {
    /// As cargo-mutants prints it: place and change.
    name: String,
    target: Target,
    /// Its place among the mutants of the crate, and their number.
    index: usize,
    of: usize,
}

/// Tests a sample of mutants, and fails if too few are caught.
pub(crate) fn mutants(root: &Path, options: &Options) -> Result<()> {
    let tool = tool(root)?;
    let revision = tree::revision(root, options.revision.as_deref())?;
    let tree = tree::prepare(root, &revision)?;
    let mut all = Vec::new();
    for target in &options.targets {
        all.extend(list(&tool, &tree, *target)?);
    }
    let found = all.len();
    sample::shuffle(&mut all, options.seed);
    let folder = root.join("target/mutants");
    let mut record = Record::open(&folder, &revision)?;
    if let Some(earlier) = &options.keep {
        record.keep_caught(&folder, &tree::revision(root, Some(earlier))?)?;
    }
    let equivalents = Equivalents::read()?;
    let run = Run { tool: &tool, tree: &tree, out: &folder.join("out"), equivalents: &equivalents };
    let mut done = run.by_crates(all.into_iter(), options.count, &mut record)?;
    if options.stages == Stages::All {
        run.by_suites(&mut done, &mut record)?;
    }
    run.report(&done, found, options.seed)
}

/// The path of cargo-mutants, which is installed below `target/tools` if it is not there.
fn tool(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/tools");
    let tool = folder.join("bin/cargo-mutants");
    if !tool.is_file() {
        println!("installing {TOOL}");
        run(cargo().args(["install", "--quiet", "--locked", "--root"]).arg(&folder).arg(TOOL))?;
    }
    Ok(tool)
}

/// All mutants of a crate, in the order of its files.
fn list(tool: &Path, tree: &Path, target: Target) -> Result<Vec<Mutant>> {
    let mut command = mutants_command(tool, tree);
    let names = output(command.args(["--list", "--package", target.package]))?;
    let of = names.lines().count();
    let mutant = |(index, name): (usize, &str)| Mutant { name: name.to_owned(), target, index, of };
    Ok(names.lines().enumerate().map(mutant).collect())
}

/// Where mutants are made and tested.
#[derive(Clone, Copy)]
struct Run<'a> {
    tool: &'a Path,
    tree: &'a Path,
    /// The folder in which cargo-mutants leaves its outcome.
    out: &'a Path,
    equivalents: &'a Equivalents,
}

impl Run<'_> {
    /// Runs the tests of a crate without a change: one that fails by itself would seem to notice every mutant.
    fn unchanged(self, target: Target) -> Result<()> {
        let mut command = cargo();
        command.current_dir(self.tree).args(["test", "--quiet", "--release", "--package", target.package]);
        build::environment(&mut command);
        build::limit_tests(&mut command);
        run(command.args(build::crate_tests()).stdout(Stdio::null()))
    }

    /// Tests the first `count` mutants that compile with the tests of their crates: these take seconds, and what they let pass is known
    /// early.
    ///
    /// The mutants of a crate follow each other, because one crate is then compiled again, and not those that depend on it.
    fn by_crates(
        self,
        mut drawn: impl Iterator<Item = Mutant>,
        count: usize,
        record: &mut Record,
    ) -> Result<Vec<(Mutant, Outcome)>> {
        let (mut done, mut unchanged) = (Vec::new(), Vec::new());
        while done.len() < count {
            let mut next: Vec<_> = drawn.by_ref().take(count - done.len()).collect();
            if next.is_empty() {
                break;
            }
            // The first mutant of `plugin` has wasmtime compiled.
            next.sort_by_key(|mutant| (mutant.target.folder == "plugin", mutant.target.folder, mutant.index));
            for mutant in next {
                let outcome = match record.outcome(&mutant.name) {
                    Some(known) => known,
                    None => {
                        if !unchanged.contains(&mutant.target) {
                            self.unchanged(mutant.target)?;
                            unchanged.push(mutant.target);
                        }
                        self.record(&mutant, record, Self::crate_tests)?
                    }
                };
                // A change that does not compile says nothing about the tests.
                if outcome != Outcome::Unviable {
                    done.push((mutant, outcome));
                }
            }
        }
        Ok(done)
    }

    /// Tests what the crates' tests let pass with the end-to-end suites, but for what is known to change nothing.
    fn by_suites(self, done: &mut [(Mutant, Outcome)], record: &mut Record) -> Result<()> {
        for (mutant, outcome) in done {
            if *outcome == Outcome::PassedUnits && self.equivalents.reason(&mutant.name, self.tree).is_none() {
                *outcome = self.record(mutant, record, Self::suites)?;
            }
        }
        Ok(())
    }

    /// Runs tests against a mutant, and records and prints the outcome.
    fn record(
        self,
        mutant: &Mutant,
        record: &mut Record,
        tests: impl FnOnce(Self, &Mutant) -> Result<Verdict>,
    ) -> Result<Outcome> {
        tree::forget_cases(self.tree)?;
        let verdict = tests(self, mutant)?;
        record.add(&mutant.name, &verdict)?;
        println!("{:12} {}  {}", verdict.outcome.name(), mutant.name, verdict.failed.join(" "));
        Ok(verdict.outcome)
    }

    /// The tests of the mutant's crate: of its library, and of its folder `tests`.
    fn crate_tests(self, mutant: &Mutant) -> Result<Verdict> {
        let mut command = self.command(mutant);
        build::limit_tests(&mut command);
        command.arg(format!("--timeout={CRATE_TIMEOUT}")).arg(format!("--test-package={}", mutant.target.package));
        command.args(build::crate_tests().iter().map(|arg| format!("--cargo-arg={arg}")));
        let verdict = self.run_tests(command, mutant)?;
        Ok(if verdict.outcome == Outcome::Missed {
            Verdict { outcome: Outcome::PassedUnits, ..verdict }
        } else {
            verdict
        })
    }

    /// The end-to-end suites that run the code of the mutant's crate.
    fn suites(self, mutant: &Mutant) -> Result<Verdict> {
        // The integration test of the host's package has its binary built, and selecting the whole workspace leaves the features of all
        // dependencies as they are in a build.
        let mut command = self.command(mutant);
        command.arg(format!("--timeout={SUITES_TIMEOUT}")).arg("--test-workspace=true");
        command.args(["fuzz"].iter().chain(mutant.target.suites).map(|suite| format!("--cargo-arg=--test={suite}")));
        let verdict = self.run_tests(command, mutant)?;
        let by_suites = verdict.outcome == Outcome::Caught;
        Ok(if by_suites { Verdict { outcome: Outcome::CaughtBySuites, ..verdict } } else { verdict })
    }

    /// The command that makes cargo-mutants change one place.
    fn command(self, mutant: &Mutant) -> Command {
        let mut command = mutants_command(self.tool, self.tree);
        command.args(["--in-place", "--baseline=skip", "--profile=release", "--colors=never"]);
        // A shard of one mutant: the tool's filter by name lets some kinds through, whatever they are called.
        command.args(["--sharding=round-robin", "--shard", &format!("{}/{}", mutant.index, mutant.of)]);
        command.args(["--package", mutant.target.package]).arg("--output").arg(self.out);
        command
    }

    fn run_tests(self, mut command: Command, mutant: &Mutant) -> Result<Verdict> {
        // It exits with another status than 0 for a mutant that is missed, and writes the outcome into files.
        let said = command.output().map_err(|why| Error::Start { program: "cargo mutants".into(), why })?;
        let folder = self.out.join("mutants.out");
        Verdict::read(&folder, &mutant.name).ok_or_else(|| Error::Format {
            path: folder,
            why: format!(
                "has no outcome for `{}`:\n{}{}",
                mutant.name,
                String::from_utf8_lossy(&said.stdout),
                String::from_utf8_lossy(&said.stderr)
            ),
        })
    }

    /// Prints the result; an error if too few mutants were caught, or one that is not listed as equivalent was not.
    fn report(self, done: &[(Mutant, Outcome)], found: usize, seed: u64) -> Result<()> {
        let with = |outcome: Outcome| done.iter().filter(move |(_, found)| *found == outcome);
        let count = |outcome| with(outcome).count();
        let mut unexplained = Vec::new();
        let survivors: Vec<_> = with(Outcome::Missed).chain(with(Outcome::PassedUnits)).collect();
        for (mutant, outcome) in &survivors {
            let reason = self.equivalents.reason(&mutant.name, self.tree);
            unexplained.extend(reason.is_none().then_some(*outcome));
            println!(
                "{:12} {}  {}",
                reason.map_or(outcome.name(), |_| "equivalent"),
                mutant.name,
                reason.unwrap_or_default()
            );
        }
        let caught = done.len() - survivors.len();
        let uncaught = |outcome| unexplained.iter().filter(|found| **found == outcome).count();
        println!(
            "{caught} of {} mutants of {found}, seed {seed}, are caught: {} by tests of their crate, {} by end-to-end suites, {} by their limit of \
             processor time, {} by a test that did not end; {} are equivalent, {} missed, {} were not tested by end-to-end suites",
            done.len(),
            count(Outcome::Caught),
            count(Outcome::CaughtBySuites),
            count(Outcome::Endless),
            count(Outcome::TimedOut),
            survivors.len() - unexplained.len(),
            uncaught(Outcome::Missed),
            uncaught(Outcome::PassedUnits),
        );
        if unexplained.is_empty() && caught * 100 >= done.len() * LEAST_CAUGHT_PERCENT {
            Ok(())
        } else {
            let least_percent = LEAST_CAUGHT_PERCENT;
            let unexplained = unexplained.len();
            Err(Error::MutantsMissed { missed: survivors.len(), unexplained, all: done.len(), least_percent })
        }
    }
}

fn mutants_command(tool: &Path, tree: &Path) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(tree).args(["mutants", "--no-config", "--exclude", EXCLUDED]);
    build::environment(&mut command);
    command
}
