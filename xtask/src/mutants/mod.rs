//! `cargo xtask mutants`: small changes to the host's code, one at a time, each of which a test has to notice.
//!
//! cargo-mutants lists the changes, makes them, builds and runs the tests. This command draws a sample of them by a seed, chooses the
//! tests (the unit tests of the crate for all, and then, for what these let pass, the end-to-end suites that run the crate's code), and
//! remembers what is done, so that a run that was stopped goes on where it was. All of it happens in a working tree of its own below
//! `target/mutants`.

mod options;
mod record;
mod sample;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use options::Options;

use crate::error::{Error, Result};
use crate::process::{cargo, output, run};
use record::{Outcome, Record};

/// The version that is installed; another one may make other changes, and so another sample.
const TOOL: &str = "cargo-mutants@27.1.0";

/// The part of the mutants that tests have to notice.
const LEAST_CAUGHT_PERCENT: usize = 95;

/// Limits for the tests of a mutant, in seconds. A mutant that makes a loop endless is caught by them.
const UNIT_TIMEOUT: u32 = 300;
const SUITES_TIMEOUT: u32 = 1_800;

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
    Target { folder: "plugin", package: "ebhost-plugin-host", suites: &["sandbox", "hostile"] },
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
    let tree = tree::prepare(root)?;
    let mut all = Vec::new();
    for target in &options.targets {
        all.extend(list(&tool, &tree, *target)?);
    }
    let found = all.len();
    sample::shuffle(&mut all, options.seed);
    let mut record = Record::open(&root.join("target/mutants"), &tree::revision(root)?)?;
    let sample = Sample { root, tool: &tool, tree: &tree };
    // Unit tests for all of them first: they take seconds, and what they let pass is known early.
    let mut done: Vec<(Mutant, Outcome)> = Vec::new();
    for mutant in all {
        if done.len() == options.count {
            break;
        }
        let outcome = match record.outcome(&mutant.name) {
            Some(known) => known,
            None => sample.record(&mutant, &mut record, Sample::unit_tests)?,
        };
        // A change that does not compile says nothing about the tests.
        if outcome != Outcome::Unviable {
            done.push((mutant, outcome));
        }
    }
    for (mutant, outcome) in &mut done {
        if *outcome == Outcome::PassedUnits {
            *outcome = sample.record(mutant, &mut record, Sample::suites)?;
        }
    }
    report(&done, found, options.seed)
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
struct Sample<'a> {
    root: &'a Path,
    tool: &'a Path,
    tree: &'a Path,
}

impl Sample<'_> {
    /// Runs tests against a mutant, and records and prints the outcome.
    fn record(
        self,
        mutant: &Mutant,
        record: &mut Record,
        tests: impl FnOnce(Self, &Mutant) -> Result<Outcome>,
    ) -> Result<Outcome> {
        tree::forget_cases(self.tree)?;
        let outcome = tests(self, mutant)?;
        record.add(&mutant.name, outcome)?;
        println!("{:12} {}", outcome.name(), mutant.name);
        Ok(outcome)
    }

    /// The unit tests of the mutant's crate.
    fn unit_tests(self, mutant: &Mutant) -> Result<Outcome> {
        let args = [format!("--timeout={UNIT_TIMEOUT}"), format!("--test-package={}", mutant.target.package)];
        let outcome = run_tests(self.root, self.tool, self.tree, mutant, &args)?;
        Ok(if outcome == Outcome::Missed { Outcome::PassedUnits } else { outcome })
    }

    /// The end-to-end suites that run the code of the mutant's crate.
    fn suites(self, mutant: &Mutant) -> Result<Outcome> {
        // The integration test of the host's package has its binary built, and selecting the whole workspace leaves the features of all
        // dependencies as they are in a build.
        let mut args = vec![format!("--timeout={SUITES_TIMEOUT}"), "--test-workspace=true".to_owned()];
        args.extend(["fuzz"].iter().chain(mutant.target.suites).map(|suite| format!("--cargo-arg=--test={suite}")));
        let outcome = run_tests(self.root, self.tool, self.tree, mutant, &args)?;
        Ok(if outcome == Outcome::Caught { Outcome::CaughtBySuites } else { outcome })
    }
}

/// Makes cargo-mutants change one place and run the tests that `args` select.
fn run_tests(root: &Path, tool: &Path, tree: &Path, mutant: &Mutant, args: &[String]) -> Result<Outcome> {
    let out = root.join("target/mutants/out");
    let mut command = mutants_command(tool, tree);
    command.args(["--in-place", "--baseline=skip", "--profile=release", "--colors=never"]);
    // A shard of one mutant: the tool's filter by name lets some kinds through, whatever they are called.
    command.args(["--sharding=round-robin", "--shard", &format!("{}/{}", mutant.index, mutant.of)]);
    command.args(["--package", mutant.target.package]).args(args).arg("--output").arg(&out);
    // It exits with another status than 0 for a mutant that is missed, and writes the outcome into files.
    let said = command.output().map_err(|why| Error::Start { program: "cargo mutants".into(), why })?;
    let folder = out.join("mutants.out");
    Outcome::read(&folder, &mutant.name).ok_or_else(|| Error::Format {
        path: folder,
        why: format!(
            "has no outcome for `{}`:\n{}{}",
            mutant.name,
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        ),
    })
}

fn mutants_command(tool: &Path, tree: &Path) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(tree).args(["mutants", "--no-config", "--exclude", EXCLUDED]);
    // One crate is compiled again and again. The tests must not be skipped for want of a tool: then they notice nothing.
    command.env("CARGO_INCREMENTAL", "1").env("EBHOST_TESTS_SKIP", "no").env_remove("CARGO_TARGET_DIR");
    command
}

/// Prints the result; an error if too few mutants were caught.
fn report(done: &[(Mutant, Outcome)], found: usize, seed: u64) -> Result<()> {
    let with = |outcome: Outcome| done.iter().filter(move |(_, found)| *found == outcome);
    let survivors: Vec<_> = with(Outcome::Missed).map(|(mutant, _)| mutant.name.as_str()).collect();
    let count = |outcome| with(outcome).count();
    println!(
        "{} mutants of {found}, seed {seed}: {} caught by unit tests, {} by end-to-end suites, {} by a timeout, {} missed",
        done.len(),
        count(Outcome::Caught),
        count(Outcome::CaughtBySuites),
        count(Outcome::TimedOut),
        survivors.len()
    );
    survivors.iter().for_each(|name| println!("missed  {name}"));
    let caught = done.len() - survivors.len();
    if caught * 100 >= done.len() * LEAST_CAUGHT_PERCENT {
        Ok(())
    } else {
        Err(Error::MutantsMissed { missed: survivors.len(), all: done.len(), least_percent: LEAST_CAUGHT_PERCENT })
    }
}
