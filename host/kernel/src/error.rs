//! Why an object, or one program of it, is not loaded.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    ObjectError, PinError,
    attach::AttachError,
    load::ProgramError,
    maps::MapError,
    object::chain,
    perf,
    relocate::{self, REFUSED_CALL_IN_LOG},
};
use ebhost_limits::VERIFIER_LOG_LINES;

/// Why an object, or one program of it, is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("{path}: {why}: not permitted; {}", privileges())]
    NotPermitted { path: PathBuf, why: String },
    #[error("{path}: the kernel's verifier refuses program `{program}` ({error}); the end of its log:\n{log}")]
    Verifier {
        path: PathBuf,
        program: String,
        #[source]
        error: io::Error,
        log: String,
    },
    #[error("{path}: program `{program}` needs what this kernel ({}) does not have: {what}", kernel_release())]
    Lacking { path: PathBuf, program: String, what: String },
    #[error("{path}: program `{program}` cannot be attached: {why} (kernel {})", kernel_release())]
    Attach { path: PathBuf, program: String, why: String },
    #[error("{path}: program `{program}` is loaded and attached to nothing: {why}")]
    NoTarget { path: PathBuf, program: String, why: String },
    #[error("{path}: cannot be loaded: {why}")]
    Load { path: PathBuf, why: String },
    #[error("{path}: map `{map}` cannot be created: {error}")]
    NoMap {
        path: PathBuf,
        map: String,
        #[source]
        error: io::Error,
    },
    #[error("{path}: map `{map}`: {error}")]
    Pin {
        path: PathBuf,
        map: String,
        #[source]
        error: PinError,
    },
    #[error("{path}: cannot be loaded: {error}")]
    PossibleCpus {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{path}: map `{map}` cannot be read: {error}")]
    Map {
        path: PathBuf,
        map: String,
        #[source]
        error: io::Error,
    },
    #[error(
        "{path}: program `{program}` is in section `perf_event`, which names no event: expected a source under `perf:` in \
         plugin.yaml with `program: {program}`, or the section `perf_event/type=T,config=C,frequency=F`"
    )]
    NoEvent { path: PathBuf, program: String },
    #[error("{path}: has a map `{name}`, and `perf` in plugin.yaml has a source of that name; rename the source")]
    SameName { path: PathBuf, name: String },
    #[error(
        "{path}: `kaddrs` names kernel symbols that /proc/kallsyms does not show: {}; this kernel ({}) may not have them, or \
         CAP_SYSLOG is missing",
        .symbols.join(", "), kernel_release()
    )]
    NoSymbol { path: PathBuf, symbols: Vec<String> },
    #[error(
        "{path}: needs configuration values of the kernel that are not known here: {}; expected them in /proc/config.gz or \
         /boot/config-{}",
        .names.join(", "), kernel_release()
    )]
    NotConfigured { path: PathBuf, names: Vec<String> },
    #[error(
        "this kernel ({}) shows no BTF at /sys/kernel/btf/vmlinux, which {path} needs: a kernel built with \
         CONFIG_DEBUG_INFO_BTF=y, or --btf.path with a file that has it",
        kernel_release()
    )]
    NoKernelBtf { path: PathBuf },
    #[error("{file}: is no BTF that can be read ({why}); --btf.path names it for {path}")]
    NotBtf { file: PathBuf, path: PathBuf, why: String },
}

impl LoadError {
    /// The cause in one word, for metrics and [`LeftOut`](crate::LeftOut).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Object(_) => "section",
            Self::NotPermitted { .. } => "not_permitted",
            Self::Verifier { .. } => "verifier",
            Self::Lacking { .. } | Self::NotConfigured { .. } | Self::NoKernelBtf { .. } => "kernel_lacks",
            Self::Attach { .. } => "attach",
            Self::NoTarget { .. } | Self::NoEvent { .. } => "no_target",
            Self::NoSymbol { .. } => "symbol",
            Self::Load { .. }
            | Self::NoMap { .. }
            | Self::Pin { .. }
            | Self::PossibleCpus { .. }
            | Self::Map { .. }
            | Self::SameName { .. }
            | Self::NotBtf { .. } => "load",
        }
    }

    /// A map was not created or opened.
    pub(crate) fn no_map(path: &Path, map: String, error: MapError) -> Self {
        let path = path.to_owned();
        match error {
            MapError::Pin(error) => Self::Pin { path, map, error },
            MapError::Refused(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Self::NotPermitted { path, why: "BPF maps cannot be created".to_owned() }
            }
            MapError::Refused(error) => Self::NoMap { path, map, error },
        }
    }

    /// A map was created and cannot be read or filled.
    pub(crate) fn unreadable(path: &Path, map: &str, error: io::Error) -> Self {
        Self::Map { path: path.to_owned(), map: map.to_owned(), error }
    }

    /// aya refuses the object.
    pub(crate) fn refused(path: &Path, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Load { path: path.to_owned(), why: chain(error) }
    }

    /// A program was not loaded. `unresolved`: symbols that the object refers to and this kernel lacks.
    pub(crate) fn not_loaded(path: &Path, program: &str, error: ProgramError, unresolved: &[String]) -> Self {
        let (path, program) = (path.to_owned(), program.to_owned());
        match error {
            ProgramError::NoTarget(why) => Self::Attach { path, program, why },
            ProgramError::NoBtf => Self::NoKernelBtf { path },
            ProgramError::Refused { log, .. } if log.contains(REFUSED_CALL_IN_LOG) => {
                let symbols = unresolved.join(", ");
                let what = if symbols.is_empty() {
                    "a field or a type that it reads (the verifier came to it)".to_owned()
                } else {
                    format!("the symbols {symbols}, or a field that it reads")
                };
                Self::Lacking { path, program, what }
            }
            // Without a log the verifier did not see the program.
            ProgramError::Refused { error, log } if !log.trim().is_empty() => {
                Self::Verifier { path, program, error, log: end_of(&log) }
            }
            ProgramError::Refused { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                Self::NotPermitted { path, why: format!("program `{program}` cannot be loaded") }
            }
            refused @ ProgramError::Refused { .. } => Self::Attach { path, program, why: refused.to_string() },
        }
    }

    /// A program was loaded and not attached.
    pub(crate) fn not_attached(path: &Path, program: &str, error: &AttachError) -> Self {
        let (path, program, why) = (path.to_owned(), program.to_owned(), error.to_string());
        match error {
            AttachError::NoTarget(_) => Self::NoTarget { path, program, why },
            AttachError::Refused { error, .. } if error.raw_os_error() == Some(libc::EACCES) => {
                Self::NotPermitted { path, why: format!("program `{program}` cannot be attached ({why})") }
            }
            AttachError::Refused { .. } | AttachError::Absent(_) | AttachError::Probe(_) => {
                Self::Attach { path, program, why }
            }
        }
    }
}

/// The last lines of a verifier log: they have the reason.
fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(VERIFIER_LOG_LINES)..].join("\n")
}

/// The rights that this process has and those that it needs.
fn privileges() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    let user = field("Uid:").split_whitespace().nth(1).unwrap_or("?").to_owned();
    format!(
        "found user {user} with the effective capabilities {}, expected root, or CAP_BPF and CAP_PERFMON \
         (`setcap cap_bpf,cap_perfmon+ep` on the binary, or AmbientCapabilities= in its unit){}",
        field("CapEff:"),
        perf::more_than_perfmon().unwrap_or_default()
    )
}

fn kernel_release() -> String {
    relocate::release()
}
