//! The command line: flags as node_exporter and ebpf_exporter users know them.

use std::{
    env,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use clap::{Parser, ValueEnum};

use crate::author;

/// Loads eBPF programs, has their maps labelled by sandboxed plugins, and serves the counts to Prometheus.
#[derive(Debug, Parser)]
#[command(name = "ebhost", version, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<author::Command>,

    /// Folder whose subfolders are plugin packages, each with a plugin.yaml.
    #[arg(long, value_name = "DIR", required = true)]
    pub plugins: Option<PathBuf>,

    /// Address to serve on: `:9435`, `127.0.0.1:9435`, `[::1]:9435`; may be given several times.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":9435", value_parser = listen_address)]
    pub listen_addresses: Vec<SocketAddr>,

    /// Path under which the metrics are served.
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics", value_parser = telemetry_path)]
    pub telemetry_path: String,

    /// Prefix of the plugins' families: `ebhost` makes `ebhost_bio_latency_seconds`.
    #[arg(long, value_name = "NAME", default_value = "ebhost", value_parser = namespace)]
    pub namespace: String,

    /// End the start when any package fails to load, instead of leaving it out.
    #[arg(long)]
    pub strict: bool,

    /// Folder for compiled components, private to the user; by default $CACHE_DIRECTORY (systemd's), $XDG_CACHE_HOME/ebhost
    /// or, for root, /var/cache/ebhost.
    #[arg(long = "cache.dir", value_name = "DIR", global = true)]
    pub cache: Option<PathBuf>,

    /// Form of the log lines; by default text on a terminal, JSON elsewhere is asked for with `json`.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Least severe lines that are logged.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", global = true)]
    pub log_level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl Cli {
    /// The folder for compiled components; none: there is no place for it.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || variable("HOME").map(|home| home.join(".cache"));
        self.cache.clone().or_else(|| variable("CACHE_DIRECTORY")).or_else(|| {
            if rustix::process::geteuid().is_root() {
                return Some(PathBuf::from("/var/cache/ebhost"));
            }
            variable("XDG_CACHE_HOME").or_else(home).map(|caches| caches.join("ebhost"))
        })
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let expected = || format!("found `{text}`, expected an address such as :9435, 127.0.0.1:9435 or [::1]:9435");
    match text.strip_prefix(':') {
        // All addresses, of both families where the kernel lets one socket serve them.
        Some(port) => Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port.parse().map_err(|_| expected())?))),
        None => text.parse().map_err(|_| expected()),
    }
}

fn telemetry_path(text: &str) -> Result<String, String> {
    let is_path = text.len() > 1 && text.starts_with('/') && !text.contains(['{', '}', '?', '#', ' ']);
    if is_path { Ok(text.to_owned()) } else { Err(format!("found `{text}`, expected a path such as /metrics")) }
}

fn namespace(text: &str) -> Result<String, String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(format!("found `{text}`, expected letters, digits and `_`, such as ebhost or ebpf_exporter"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_bare_port_means_every_address() {
        assert_eq!(listen_address(":9435").unwrap(), "[::]:9435".parse().unwrap());
        assert_eq!(listen_address("127.0.0.1:0").unwrap(), "127.0.0.1:0".parse().unwrap());
        assert!(listen_address("9435").unwrap_err().contains("found `9435`, expected an address"));
    }

    #[test]
    fn a_namespace_is_a_metric_name() {
        assert!(namespace("ebpf_exporter").is_ok());
        assert!(namespace("a-b").is_err() && namespace("9x").is_err() && namespace("").is_err());
    }
}
