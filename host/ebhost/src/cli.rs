//! The command line: flags as node_exporter and ebpf_exporter users know them.

use std::{env, ffi::OsString, io, path::PathBuf, time::Duration};

use clap::{CommandFactory as _, Parser, ValueEnum};
use clap_complete::Shell;

use crate::build_info;
use ebhost_lookup::Roots;
use ebhost_package::{DropIns, FailureCost, PackageFolders, Settings, SyscallNames};
use ebhost_recorder::parse_duration;
use ebhost_server::{Address, TelemetryPath};

use ebhost_confine::Keep;

use crate::author;

/// Load eBPF programs, read their maps, label the entries by sandboxed plugins, and serve the metrics to Prometheus.
#[derive(Debug, Parser)]
#[command(
    name = "ebhost",
    version,
    long_version = build_info::LINE,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<author::Command>,

    /// Folder of plugin packages: each subfolder with a plugin.yaml is one.
    #[arg(long, value_name = "DIR", required_unless_present = "config_dir", visible_alias = "plugin.dir")]
    plugins: Option<PathBuf>,

    /// Folder of configurations written for ebpf_exporter: NAME.yaml next to NAME.bpf.o.
    #[arg(long = "config.dir", value_name = "DIR", requires = "config_names")]
    config_dir: Option<PathBuf>,

    /// Settings file: options of packages, which packages are on, limits, and flags by their names. Default:
    /// /etc/ebhost/ebhost.yaml, if there is one. Flags take precedence. Reloaded when it changes.
    #[arg(long = "config.file", value_name = "FILE")]
    settings_file: Option<PathBuf>,

    /// A setting beside those of the file: `plugins.biolatency.native=true`, `plugins.llcstat=off`, `limits.series=20000`. May be
    /// repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,

    /// The settings of the file and of `--set`.
    #[arg(skip)]
    pub settings: Settings,

    /// The arguments that this was parsed from, those that settings stand for included.
    #[arg(skip)]
    pub arguments: Vec<OsString>,

    /// Names of the configurations to load, separated by commas; `net/tcp` is in a subfolder.
    #[arg(long = "config.names", value_name = "NAMES", requires = "config_dir", value_delimiter = ',', value_parser = config_name)]
    config_names: Vec<String>,

    /// Refuse to start if any configuration, or any of its programs, cannot be loaded and attached.
    #[arg(long = "config.strict", overrides_with = "_no_config_strict")]
    config_strict: bool,

    /// The opposite, for command lines written for ebpf_exporter.
    #[arg(long = "no-config.strict", hide = true, overrides_with = "config_strict")]
    _no_config_strict: bool,

    /// Names of system calls in labels of configurations: the kernel's, or those of ebpf_exporter (`futex_time64` for `futex`), for
    /// dashboards that have them.
    #[arg(long = "config.syscall-names", value_name = "LIST", requires = "config_dir", default_value = "kernel")]
    syscall_names: NamesOf,

    /// File with the kernel's BTF type information, for kernels without /sys/kernel/btf/vmlinux.
    #[arg(long = "btf.path", value_name = "FILE", requires = "config_dir")]
    btf_path: Option<PathBuf>,

    /// Same as `--log.level debug`.
    #[arg(long, overrides_with = "_no_debug")]
    debug: bool,

    /// The opposite, for command lines written for ebpf_exporter.
    #[arg(long = "no-debug", hide = true, overrides_with = "debug")]
    _no_debug: bool,

    /// Omit timestamps from log lines.
    #[arg(long = "log.no-timestamps", overrides_with = "_log_times")]
    pub no_log_times: bool,

    /// The opposite, for command lines written for ebpf_exporter.
    #[arg(long = "no-log.no-timestamps", hide = true, overrides_with = "no_log_times")]
    _log_times: bool,

    /// Accepted without effect, for command lines written for ebpf_exporter.
    #[arg(long = "config.skip-cache-size", value_name = "ENTRIES", hide = true)]
    _skip_cache_size: Option<u64>,

    /// Address to listen on: `:9435`, `127.0.0.1:9435`, `localhost:9435`, `[::1]:9435`, `unix:/run/ebhost.sock`, or `fd://3` for a
    /// listening socket inherited from the parent process. Without a host all addresses of the machine. May be repeated.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":9435")]
    pub listen_addresses: Vec<Address>,

    /// Listen only on the sockets passed by systemd socket activation.
    #[arg(long = "web.systemd-socket")]
    pub systemd_socket: bool,

    /// Web configuration file with TLS, users and headers, in the format of the Prometheus exporter toolkit. Reloaded when it changes.
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config: Option<PathBuf>,

    /// Path under which the metrics are served.
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics")]
    pub telemetry_path: TelemetryPath,

    /// Flight recorder: keep what changed in each second of this time, `15m` for instance, in at most 22 MiB of memory. The live page begins
    /// with it, and GET /recorder/dump?last=5m returns a file for `ebhost view`. 0: off.
    #[arg(long = "recorder.window", value_name = "TIME", default_value = "0", value_parser = parse_duration)]
    pub recorder_window: Duration,

    /// Folder of the flight recorder: its window is kept there over restarts, and SIGUSR1 writes it to a file.
    #[arg(long = "recorder.dir", value_name = "DIR")]
    pub recorder_folder: Option<PathBuf>,

    /// Prefix of the metric names of plugins, as in `ebhost_bio_latency_seconds`.
    #[arg(long, value_name = "NAME", default_value = "ebhost", value_parser = namespace)]
    pub namespace: String,

    /// Expose the start time of each counter and histogram to OpenMetrics 1.0 scrapers, as an additional series `_created`.
    #[arg(long = "exposition.created")]
    pub created: bool,

    /// URL of an OpenTelemetry receiver to which the metrics are pushed, over HTTP: `http://localhost:4318`, or with its path
    /// `http://localhost:9090/api/v1/otlp/v1/metrics`. The variables OTEL_EXPORTER_OTLP_… and OTEL_RESOURCE_ATTRIBUTES are used, too.
    #[arg(long = "otlp.endpoint", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Time between two pushes, such as `15s`. Default: $OTEL_METRIC_EXPORT_INTERVAL, else a minute.
    #[arg(long = "otlp.interval", value_name = "TIME", value_parser = interval)]
    pub otlp_interval: Option<Duration>,

    /// Refuse to start if any package fails to load. By default such packages are left out.
    #[arg(long)]
    strict: bool,

    /// Enable the kernel's run statistics of BPF programs while ebhost runs: `ebhost_program_runs_total` and
    /// `ebhost_program_run_seconds_total`. Requires CAP_SYS_ADMIN; adds about 0.1 µs to each run of any BPF program.
    #[arg(long = "bpf.stats")]
    pub statistics: bool,

    /// Load and attach everything, report whether that succeeded, and exit.
    #[arg(long = "config.check")]
    pub check: bool,

    /// Print shell completions, and exit.
    #[arg(long, value_name = "SHELL", exclusive = true, value_parser = clap::value_parser!(Shell))]
    pub completions: Option<Shell>,

    /// Print the manual page, and exit.
    #[arg(long, exclusive = true)]
    pub man: bool,

    /// Folder for compiled components, accessible to this user only. Default: $CACHE_DIRECTORY (set by systemd); else
    /// /var/cache/ebhost for root, $XDG_CACHE_HOME/ebhost for others.
    #[arg(long = "cache.dir", value_name = "DIR", global = true)]
    pub cache: Option<PathBuf>,

    /// When to load changed and added packages and unload removed ones: `watch`: when the folder changes, and on SIGHUP; `signal`: only
    /// on SIGHUP; `off`: never, and the capabilities to load BPF programs are dropped after the start.
    #[arg(long, value_name = "WHEN", default_value = "watch")]
    pub reload: ReloadWhen,

    /// File of SHA-256 pins, as printed by `ebhost pack` or by `cd plugins && sha256sum */plugin.yaml */*.wasm */*.bpf.o`. A package with a file that differs from its pin is refused.
    #[arg(long = "trust.pins", value_name = "FILE")]
    pub pins: Option<PathBuf>,

    /// Packages that must be pinned when pins are given: those with a BPF object, or all.
    #[arg(long = "trust.require", value_name = "WHAT", default_value = "bpf", requires = "pins")]
    pub require: RequirePins,

    /// Mount of the machine's cgroups of version 2, if it is not found by itself: in a container with a cgroup namespace of its own, where the
    /// machine's /sys/fs/cgroup is mounted.
    #[arg(long = "path.cgroup", value_name = "DIR")]
    cgroup: Option<PathBuf>,

    /// The machine's sysfs, from which names of disks and network interfaces are read.
    #[arg(long = "path.sys", value_name = "DIR", default_value = "/sys")]
    sys: PathBuf,

    /// The machine's procfs, from which kernel symbols and mounts are read.
    #[arg(long = "path.proc", value_name = "DIR", default_value = "/proc")]
    proc: PathBuf,

    /// The machine's root file system, below which container runtimes keep the names of containers and pods.
    #[arg(long = "path.rootfs", value_name = "DIR", default_value = "/")]
    rootfs: PathBuf,

    /// Capabilities to keep after the start, such as `cap_sys_admin,cap_dac_read_search`. All others are dropped,
    /// except CAP_BPF, CAP_PERFMON and CAP_SYSLOG in the threads that need them.
    #[arg(long = "capabilities.keep", value_name = "NAMES", default_value = "")]
    pub keep: Keep,

    /// Whether to restrict file access with Landlock to the plugin folder, the cache and the kernel's own files, if the kernel supports
    /// it.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub landlock: Landlock,

    /// Format of log lines.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Minimum severity of log lines.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", global = true)]
    log_level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReloadWhen {
    Watch,
    Signal,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RequirePins {
    Bpf,
    All,
}

/// The list that names of system calls are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NamesOf {
    Kernel,
    #[value(name = "ebpf_exporter")]
    EbpfExporter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Landlock {
    Auto,
    Off,
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
    /// The folders with packages.
    pub fn places(&self) -> PackageFolders {
        let drop_ins = self.config_dir.as_ref().map(|folder| DropIns {
            folder: folder.clone(),
            names: self.config_names.clone(),
            btf_path: self.btf_path.clone().filter(|path| !path.as_os_str().is_empty()),
            failure_costs: if self.config_strict { FailureCost::Object } else { FailureCost::Program },
            syscall_names: match self.syscall_names {
                NamesOf::Kernel => SyscallNames::Kernel,
                NamesOf::EbpfExporter => SyscallNames::EbpfExporter,
            },
        });
        PackageFolders { plugins: self.plugins.clone(), drop_ins }
    }

    /// The folders in which names are looked up.
    pub fn roots(&self) -> Roots {
        let [sys, proc, rootfs] = [&self.sys, &self.proc, &self.rootfs].map(PathBuf::clone);
        Roots { sys, proc, cgroup: self.cgroup.clone(), rootfs, ..Roots::default() }
    }

    /// Whether to refuse to start if a package fails to load.
    pub fn is_strict(&self) -> bool {
        self.strict || self.config_strict
    }

    pub fn log_level(&self) -> LogLevel {
        if self.debug { LogLevel::Debug } else { self.log_level }
    }

    /// Writes the document that `--completions` or `--man` asks for; false if neither was given.
    pub fn document(&self, out: &mut dyn io::Write) -> io::Result<bool> {
        let mut command = Self::command();
        if let Some(shell) = self.completions {
            let mut text = Vec::new(); // because the generator panics when a pipe is closed
            clap_complete::generate(shell, &mut command, "ebhost", &mut text);
            out.write_all(&text)?;
        } else if self.man {
            clap_mangen::Man::new(command).render(out)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// The folder for compiled components; `None` if no default can be determined.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || variable("HOME").map(|home| home.join(".cache"));
        self.cache.clone().or_else(|| variable("CACHE_DIRECTORY").map(resolved)).or_else(|| {
            if rustix::process::geteuid().is_root() {
                return Some(PathBuf::from("/var/cache/ebhost"));
            }
            variable("XDG_CACHE_HOME").or_else(home).map(|caches| caches.join("ebhost"))
        })
    }
}

/// Where systemd's link leads: with `DynamicUser=` the service's folder is below /var/cache/private, and a link that belongs to root is in its place.
fn resolved(folder: PathBuf) -> PathBuf {
    std::fs::canonicalize(&folder).unwrap_or(folder)
}

fn config_name(text: &str) -> Result<String, String> {
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    let is_name = text.split('/').all(is_plain);
    if is_name { Ok(text.to_owned()) } else { Err(format!("found `{text}`, expected names of files without `.yaml`")) }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).ok().filter(|interval| *interval >= Duration::from_secs(1));
    interval.ok_or_else(|| format!("found `{text}`, expected a time of at least 1s, such as 15s or 1m"))
}

fn namespace(text: &str) -> Result<String, String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if text == "process" || text.starts_with("process_") {
        Err(format!(
            "found `{text}`, expected another name: `process_` is the prefix of the host process's own metrics"
        ))
    } else if is_name {
        Ok(text.to_owned())
    } else {
        Err(format!("found `{text}`, expected letters, digits and `_`, such as ebhost or ebpf_exporter"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn completions_and_the_manual_page_know_every_flag() {
        let written = |arguments: &[&str]| {
            let mut out = Vec::new();
            assert!(Cli::try_parse_from(arguments).unwrap().document(&mut out).unwrap());
            String::from_utf8(out).unwrap()
        };
        let documents =
            [written(&["ebhost", "--completions", "bash"]), written(&["ebhost", "--man"]).replace('\\', "")];
        let shown = |argument: &&clap::Arg| !argument.is_hide_set();
        for flag in Cli::command().get_arguments().filter(shown).filter_map(clap::Arg::get_long) {
            assert!(documents.iter().all(|document| document.contains(&format!("--{flag}"))), "{flag}");
        }
        assert!(Cli::try_parse_from(["ebhost"]).is_err(), "packages are needed to run");
    }

    #[test]
    fn the_flags_of_a_drop_in() {
        let line = "ebhost --config.dir /etc/x --config.names a,b --config.strict --debug --log.no-timestamps --config.skip-cache-size 9 \
                    --web.listen-address fd://0 --capabilities.keep none";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let places = cli.places();
        let drop_ins = places.drop_ins.unwrap();
        assert_eq!(drop_ins.files(), [Path::new("/etc/x/a.yaml"), Path::new("/etc/x/b.yaml")]);
        assert_eq!((places.plugins, drop_ins.btf_path, drop_ins.failure_costs), (None, None, FailureCost::Object));
        assert_eq!((cli.is_strict(), cli.log_level()), (true, LogLevel::Debug));
        for wrong in [
            "--config.dir /x",
            "--config.names a --plugins p",
            "--config.dir /x --config.names a,../b",
            "--config.dir /x --config.names a/.b",
            "--config.dir /x --config.names /etc/b",
        ] {
            assert!(Cli::try_parse_from(format!("ebhost {wrong}").split_whitespace()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn command_lines_of_ebpf_exporter_are_understood_or_explained() {
        let parse = |line: &str| Cli::try_parse_from(format!("ebhost --config.dir /x {line}").split_whitespace());
        let cli =
            parse("--config.names net/tcp,disk/bio --no-debug --no-config.strict --no-log.no-timestamps").unwrap();
        let files = cli.places().drop_ins.unwrap().files();
        assert_eq!(files, [Path::new("/x/net/tcp.yaml"), Path::new("/x/disk/bio.yaml")]);
        assert_eq!((cli.is_strict(), cli.log_level(), cli.no_log_times), (false, LogLevel::Info, false));
        assert!(
            !parse("--config.names a --config.strict --no-config.strict").unwrap().is_strict(),
            "the last one counts"
        );
    }

    #[test]
    fn system_calls_have_the_kernels_names_unless_others_are_asked_for() {
        let names = |line: &str| {
            let line = format!("ebhost --config.dir /x --config.names a {line}");
            let cli = Cli::try_parse_from(line.split_whitespace());
            cli.map(|cli| cli.places().drop_ins.unwrap().syscall_names).map_err(|error| error.to_string())
        };
        assert_eq!(names("").unwrap(), SyscallNames::Kernel);
        assert_eq!(names("--config.syscall-names ebpf_exporter").unwrap(), SyscallNames::EbpfExporter);
        assert!(names("--config.syscall-names strace").unwrap_err().contains("kernel, ebpf_exporter"));
    }

    /// The link was taken for a folder of another user's, and every component was compiled at each start.
    #[test]
    fn the_cache_of_a_service_with_a_dynamic_user_is_behind_a_link() {
        let folder = env::temp_dir().join(format!("ebhost-cache-link-{}", std::process::id()));
        let (private, link) = (folder.join("private/ebhost"), folder.join("ebhost"));
        std::fs::create_dir_all(&private).unwrap();
        std::os::unix::fs::symlink("private/ebhost", &link).unwrap();
        assert_eq!(resolved(link), std::fs::canonicalize(&private).unwrap());
        assert_eq!(resolved(folder.join("new")), folder.join("new"), "a folder that is created later");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_namespace_is_a_metric_name() {
        assert!(namespace("ebpf_exporter").is_ok());
        assert!(namespace("process").is_err());
        assert!(namespace("a-b").is_err() && namespace("9x").is_err() && namespace("").is_err());
    }
}
