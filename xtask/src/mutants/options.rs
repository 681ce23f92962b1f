//! The arguments of `cargo xtask mutants`.

use super::{TARGETS, Target};
use crate::error::{Error, Result};

/// The usage, for errors.
const USAGE: &str = "cargo xtask mutants [--seed N] [--count N] [--crates series,plugin,metrics,package,server] [--stages crates|all] \
                     [--revision REVISION] [--keep REVISION]";

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stages {
    /// The tests of the crates alone.
    Crates,
    /// The end-to-end suites for what these let pass, too.
    All,
}

/// Which mutants are tested.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Decides which mutants are drawn.
    pub(super) seed: u64,
    /// The number of mutants that compile.
    pub(super) count: usize,
    pub(super) targets: Vec<Target>,
    pub(super) stages: Stages,
    /// The revision whose code is changed; without it, the present one.
    pub(super) revision: Option<String>,
    /// The revision whose caught mutants are not tested again.
    pub(super) keep: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, count: 300, targets: TARGETS.to_vec(), stages: Stages::All, revision: None, keep: None }
    }
}

impl Options {
    /// Parses the arguments behind `mutants`.
    ///
    /// # Errors
    /// An unknown argument, number or crate.
    pub(crate) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let wrong = || Error::Usage { found: format!("mutants {}", args.join(" ")), usage: USAGE };
        for pair in args.chunks(2) {
            let [name, value] = pair else { return Err(wrong()) };
            match *name {
                "--seed" => options.seed = value.parse().map_err(|_| wrong())?,
                "--count" => options.count = value.parse().map_err(|_| wrong())?,
                "--crates" => {
                    options.targets = value.split(',').map(target).collect::<Option<_>>().ok_or_else(wrong)?;
                }
                "--stages" => options.stages = stages(value).ok_or_else(wrong)?,
                "--revision" => options.revision = Some((*value).to_owned()),
                "--keep" => options.keep = Some((*value).to_owned()),
                _ => return Err(wrong()),
            }
        }
        Ok(options)
    }
}

fn target(folder: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.folder == folder)
}

fn stages(name: &str) -> Option<Stages> {
    match name {
        "crates" => Some(Stages::Crates),
        "all" => Some(Stages::All),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_arguments_three_hundred_of_all_crates_are_tested() {
        let usual = Options::parse(&[]).unwrap();
        assert_eq!((usual.count, usual.targets.len(), usual.stages), (300, TARGETS.len(), Stages::All));
        let some = Options::parse(&["--count", "10", "--crates", "series,server", "--seed", "7"]).unwrap();
        assert_eq!((some.seed, some.count), (7, 10));
        assert_eq!(some.targets.iter().map(|target| target.folder).collect::<Vec<_>>(), ["series", "server"]);
        let earlier = Options::parse(&["--stages", "crates", "--revision", "a", "--keep", "b"]).unwrap();
        assert_eq!(
            (earlier.stages, earlier.revision.as_deref(), earlier.keep.as_deref()),
            (Stages::Crates, Some("a"), Some("b"))
        );
        for wrong in
            [&["--count"][..], &["--stages", "units"], &["--count", "x"], &["--crates", "kernel"], &["10", "10"]]
        {
            assert!(Options::parse(wrong).is_err_and(|error| error.to_string().contains(USAGE)), "{wrong:?}");
        }
    }
}
