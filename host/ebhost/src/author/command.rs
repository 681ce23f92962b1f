//! Arguments of the commands for plugin authors.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use crate::{
    fleet::{PullArgs, PushArgs, SearchArgs, VerifyArgs},
    top::TopArgs,
};
use ebhost_server::Address;

/// A command for plugin authors.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check packages without loading them into the kernel: everything that loading checks, and whether decoding is pure.
    Check(CheckArgs),
    /// Run a package and record the contents of its maps and the names looked up for them, for `replay`.
    Record(RecordArgs),
    /// Print the metrics of a recording, the same each time; needs no privileges and no BPF.
    Replay(ReplayArgs),
    /// Run one package in the terminal and show its families as tables and histograms.
    Run(RunArgs),
    /// Print the documentation of packages as Markdown: families, options, requirements, cost, example queries.
    Docs(DocsArgs),
    /// Show the packages of a folder with their options, defaults and chosen values.
    Options(OptionsArgs),
    /// Show flight recordings in the browser, in the page that a running host has: one, or two side by side.
    View(ViewArgs),
    /// Show a tracepoint of this kernel: its arguments and fields, and the lines of C to paste.
    Tracepoint(TracepointArgs),
    /// Put what a host needs of a package into an archive, and print its pins.
    Pack(PackArgs),
    /// Push a package into an OCI registry, and sign it.
    Push(PushArgs),
    /// Install packages from OCI registries: signed by whom the policy trusts, all of them or none. Needs no privileges.
    Pull(PullArgs),
    /// Compare installed packages with their pins, or check the signatures of packages in a registry.
    Verify(VerifyArgs),
    /// List the packages of an OCI registry.
    Search(SearchArgs),
    /// Show a running host: what its packages, programs and maps cost, and their histograms.
    Top(TopArgs),
    /// Create a complete package in a new folder: BPF program, component, recording, test, build script.
    New(NewArgs),
}

/// Arguments of `ebhost check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Folders with a plugin.yaml each; several are also checked against each other.
    #[arg(required = true, value_name = "PACKAGE")]
    pub(super) packages: Vec<PathBuf>,

    /// Also decode this recording.
    #[arg(long, value_name = "FILE")]
    pub(super) recording: Option<PathBuf>,

    /// Output format of the findings.
    #[arg(long, default_value = "text")]
    pub(super) format: OutputFormat,

    /// Exit with status 1 if there is any finding, also if it is a warning.
    #[arg(long = "deny-warnings")]
    pub(super) deny_warnings: bool,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    Text,
    Json,
}

/// Arguments of `ebhost record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Folder with a plugin.yaml.
    pub(super) package: PathBuf,

    /// File to write.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,

    /// How long to record: `10s`, `500ms`. Ctrl-C ends it earlier and keeps what was counted by then.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) time: Duration,

    /// How often to read the maps in that time.
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) reads: u32,
}

/// Arguments of `ebhost replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Folder with a plugin.yaml.
    pub(super) package: PathBuf,

    /// File written by `record`.
    pub(super) recording: PathBuf,

    /// Use the configuration in this YAML or JSON file instead of `config:` in plugin.yaml.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Compare with this file instead of printing; exit with status 1 if they differ.
    #[arg(long, value_name = "FILE")]
    pub(super) expect: Option<PathBuf>,

    /// Overwrite the --expect file.
    #[arg(long, requires = "expect")]
    pub(super) bless: bool,

    /// Prefix of the family names, like --namespace of the agent.
    #[arg(long, value_name = "NAME", default_value = "ebhost")]
    pub(super) namespace: String,
}

/// Arguments of `ebhost run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Folder with a plugin.yaml.
    pub(super) package: PathBuf,

    /// How long to run: `10s`, `500ms`. Ctrl-C ends it earlier.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) time: Duration,
}

/// Arguments of `ebhost docs`.
#[derive(Debug, Args)]
pub struct DocsArgs {
    /// Folders with a plugin.yaml each.
    #[arg(required = true, value_name = "PACKAGE")]
    pub(super) packages: Vec<PathBuf>,

    /// Print a table with one line for each package instead.
    #[arg(long)]
    pub(super) list: bool,
}

/// Arguments of `ebhost options`.
#[derive(Debug, Args)]
pub struct OptionsArgs {
    /// Names of packages; none: all.
    #[arg(value_name = "PACKAGE")]
    pub(super) packages: Vec<String>,

    /// Folder of plugin packages. Default: `plugin.dir` of the settings file, else /usr/lib/ebhost/plugins.
    #[arg(long, value_name = "DIR")]
    pub(super) plugins: Option<PathBuf>,

    /// Settings file. Default: /etc/ebhost/ebhost.yaml, if there is one.
    #[arg(long = "config.file", value_name = "FILE")]
    pub(super) settings_file: Option<PathBuf>,

    /// Output format.
    #[arg(long, default_value = "text")]
    pub(super) format: OutputFormat,
}

/// Arguments of `ebhost view`.
#[derive(Debug, Args)]
pub struct ViewArgs {
    /// Files written by /recorder/dump or SIGUSR1. A second one is shown beside the first, with the same scales.
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Address to serve the page on, until Ctrl-C.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) address: Address,

    /// Print what the files hold, and serve nothing.
    #[arg(long)]
    pub(crate) summary: bool,
}

/// Arguments of `ebhost tracepoint`.
#[derive(Debug, Args)]
pub struct TracepointArgs {
    /// Name of the tracepoint, with or without its category: `sched_switch`, `sched:sched_switch`.
    #[arg(required = true)]
    pub(super) names: Vec<String>,
}

/// Arguments of `ebhost pack`.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// Folder with a plugin.yaml.
    pub(super) package: PathBuf,

    /// Archive to write. Default: NAME-VERSION.tar.gz, or NAME.tar.gz if the package has no version.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

/// Arguments of `ebhost new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Name of the package and its folder: lower-case letters, digits and `_`.
    pub(super) name: String,

    /// Language of the component.
    #[arg(long, default_value = "rust")]
    pub(super) lang: Language,

    /// Working pattern to start from; other languages than Rust have `counter` alone.
    #[arg(long, default_value = "counter")]
    pub(super) from: Pattern,
}

/// A working package that a new one begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Pattern {
    /// Forks, execs and exits in a hash map, by command name.
    Counter,
    /// Latencies of softirqs in the histograms of counts.h, by vector.
    Histogram,
    /// Executed programs as events in a ring buffer, counted by command name.
    Events,
    /// Run-queue latency by cgroup: counts.h, stamps.h, and names that the host looks up.
    Runqlat,
}

/// A language for components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    Rust,
    C,
    Javascript,
    Python,
}

/// Parses a duration with its unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
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
