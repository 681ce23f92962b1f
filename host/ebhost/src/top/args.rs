//! Arguments of `ebhost top`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::address::HostAddress;

/// Arguments of `ebhost top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Address of the host: `http://localhost:9435`, `https://example.org/ebhost`, `unix:/run/ebhost.sock`.
    #[arg(long, value_name = "URL", default_value = "http://localhost:9435")]
    pub(super) url: HostAddress,

    /// Print tables once and exit, as when the output is no terminal.
    #[arg(long)]
    pub(super) once: bool,

    /// How often to read the host's status. If nobody scrapes it, its metrics are read every ten seconds, too, so that the fill of
    /// its maps is known.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = crate::author::time)]
    pub(super) interval: Duration,

    /// The view to show first; with --once, the one to print. Default: programs, and with --once everything but histograms.
    #[arg(long, value_name = "VIEW")]
    pub(super) view: Option<View>,

    /// Column to sort by, such as `cpu` or `fill`. Numbers are sorted from the largest, texts from A.
    #[arg(long, value_name = "COLUMN")]
    pub(super) sort: Option<String>,

    /// Show only rows that contain this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) filter: String,

    /// User, if the host asks for one.
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,

    /// File with the user's password. Default: the environment variable EBHOST_PASSWORD.
    #[arg(long = "password-file", value_name = "FILE", requires = "user")]
    pub(super) password_file: Option<PathBuf>,

    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

/// Certificates.
#[derive(Debug, Args)]
pub(super) struct TlsArgs {
    /// Certificates of the authorities to trust, or the host's own, in PEM. Default: those of the system.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,

    /// Certificate of the client, in PEM, if the host asks for one.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) cert: Option<PathBuf>,

    /// Private key of the client, in PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,
}

/// A table of `ebhost top`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum View {
    /// BPF programs: runs, time of a run, share of a CPU.
    Programs,
    /// Packages: their state, and their programs and maps together.
    Packages,
    /// Maps: fill and memory.
    Maps,
    /// Histograms of the packages, from the metrics.
    Histograms,
}

impl View {
    pub(super) const ALL: [Self; 4] = [Self::Programs, Self::Packages, Self::Maps, Self::Histograms];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::Packages => "packages",
            Self::Maps => "maps",
            Self::Histograms => "histograms",
        }
    }
}
