//! The arguments of `cargo xtask mutants`.

use super::{TARGETS, Target};
use crate::error::{Error, Result};

/// The usage, for errors.
const USAGE: &str = "cargo xtask mutants [--seed N] [--count N] [--crates series,plugin,metrics,package,server]";

/// Which mutants are tested.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Decides which mutants are drawn.
    pub(super) seed: u64,
    /// The number of mutants that compile.
    pub(super) count: usize,
    pub(super) targets: Vec<Target>,
}

impl Options {
    /// Parses the arguments behind `mutants`.
    ///
    /// # Errors
    /// An unknown argument, number or crate.
    pub(crate) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self { seed: 1, count: 300, targets: TARGETS.to_vec() };
        let wrong = || Error::Usage { found: format!("mutants {}", args.join(" ")), usage: USAGE };
        for pair in args.chunks(2) {
            let [name, value] = pair else { return Err(wrong()) };
            match *name {
                "--seed" => options.seed = value.parse().map_err(|_| wrong())?,
                "--count" => options.count = value.parse().map_err(|_| wrong())?,
                "--crates" => {
                    options.targets = value.split(',').map(target).collect::<Option<_>>().ok_or_else(wrong)?;
                }
                _ => return Err(wrong()),
            }
        }
        Ok(options)
    }
}

fn target(folder: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.folder == folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_arguments_three_hundred_of_all_crates_are_tested() {
        assert_eq!(Options::parse(&[]).unwrap(), Options { seed: 1, count: 300, targets: TARGETS.to_vec() });
        let some = Options::parse(&["--count", "10", "--crates", "series,server", "--seed", "7"]).unwrap();
        assert_eq!((some.seed, some.count), (7, 10));
        assert_eq!(some.targets.iter().map(|target| target.folder).collect::<Vec<_>>(), ["series", "server"]);
        for wrong in [&["--count"][..], &["--count", "x"], &["--crates", "kernel"], &["10", "10"]] {
            assert!(Options::parse(wrong).is_err_and(|error| error.to_string().contains(USAGE)), "{wrong:?}");
        }
    }
}
