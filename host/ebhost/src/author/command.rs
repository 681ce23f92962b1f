//! The commands' arguments.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

/// What a plugin's author asks for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks packages as loading them would, and more, without a kernel: component, contract, manifest, grants, purity.
    Check(Check),
    /// Runs a package and writes what its maps hold, with the names looked up for it, into a file for `replay`.
    Record(Record),
    /// Prints the exposition that a recording gives, the same each time; needs no privilege and no BPF.
    Replay(Replay),
    /// Runs one package in the terminal: its families as tables and histograms.
    Run(Watch),
    /// Makes a complete package in a new folder: BPF program, component, recording, test, build script.
    New(New),
}

#[derive(Debug, Args)]
pub struct Check {
    /// Folders with a plugin.yaml each; several are checked against each other as well.
    #[arg(required = true, value_name = "PACKAGE")]
    pub(super) packages: Vec<PathBuf>,

    /// Also decodes what was recorded.
    #[arg(long, value_name = "FILE")]
    pub(super) recording: Option<PathBuf>,

    /// Form of the findings.
    #[arg(long, default_value = "text")]
    pub(super) format: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct Record {
    /// Folder with a plugin.yaml.
    pub(super) package: PathBuf,

    /// File to write.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,

    /// How long the programs count: `10s`, `500ms`. Ctrl-C ends it before, with what was counted by then.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) time: Duration,

    /// How often the maps are read in that time.
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) reads: u32,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// Folder with a plugin.yaml.
    pub(super) package: PathBuf,

    /// What `record` wrote.
    pub(super) recording: PathBuf,

    /// Compares with this file instead of printing; exits with 1 where they differ.
    #[arg(long, value_name = "FILE")]
    pub(super) expect: Option<PathBuf>,

    /// Writes the --expect file anew.
    #[arg(long, requires = "expect")]
    pub(super) bless: bool,

    /// Prefix of the families, as the agent's --namespace.
    #[arg(long, value_name = "NAME", default_value = "ebhost")]
    pub(super) namespace: String,
}

#[derive(Debug, Args)]
pub struct Watch {
    /// Folder with a plugin.yaml.
    pub(super) package: PathBuf,

    /// How long: `10s`, `500ms`. Ctrl-C ends it before.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) time: Duration,
}

#[derive(Debug, Args)]
pub struct New {
    /// Name of the package and of its folder: lower-case letters, digits and `_`.
    pub(super) name: String,

    /// Language of the component.
    #[arg(long, default_value = "rust")]
    pub(super) lang: Language,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    Rust,
    C,
    Javascript,
    Python,
}

fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let time = number.parse().ok().and_then(|number| match unit {
        "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        _ => None,
    });
    let is_sound = |time: &Duration| !time.is_zero() && *time <= Duration::from_secs(86_400);
    time.filter(is_sound).ok_or_else(|| format!("found `{text}`, expected a time such as 10s or 500ms, at most a day"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["10", "s", "0s", "1h", "-1s", "99999999999999999999s", "86401s"] {
            assert!(time(wrong).is_err_and(|why| why.contains("expected a time such as")), "{wrong}");
        }
    }
}
