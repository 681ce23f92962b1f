//! Why an object, or one program of it, is not loaded.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    ObjectError, PinError,
    attach::AttachError,
    externs::{self, DeniedSymbol},
    load::ProgramError,
    maps::MapError,
    rights::{Rights, other_objections},
};
use ebhost_limits::VERIFIER_LOG_LINES;
use ebhost_object::{LinkError, core::Missing, insn::POISON_CORE};

/// Why an object, or one program of it, is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("{path}: {why}: not permitted; {}", Rights::own().describe())]
    NotPermitted { path: PathBuf, why: String },
    #[error("{path}: {why}: the kernel ({}) refuses it ({error}): {}", kernel_release(), other_objections())]
    Denied {
        path: PathBuf,
        why: String,
        #[source]
        error: io::Error,
    },
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
    #[error("{path}: program `{program}` is attached to nothing: {why}")]
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
    #[error(
        "{path}: map `{map}` has no `max_entries`: its loader is to set them; expected `max_entries: {{ {map}: NUMBER }}` under `bpf:` in \
         plugin.yaml"
    )]
    NoEntries { path: PathBuf, map: String },
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
            Self::Denied { .. } => "denied",
            Self::Verifier { .. } => "verifier",
            Self::Lacking { .. } | Self::NotConfigured { .. } | Self::NoKernelBtf { .. } => "kernel_lacks",
            Self::Attach { .. } => "attach",
            Self::NoTarget { .. } | Self::NoEvent { .. } => "no_target",
            Self::NoSymbol { .. } => "symbol",
            Self::Load { .. }
            | Self::NoMap { .. }
            | Self::NoEntries { .. }
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
            MapError::NoEntries => Self::NoEntries { path, map },
            MapError::Refused(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Self::refused(path, format!("map `{map}` cannot be created"), error)
            }
            MapError::Refused(error) => Self::NoMap { path, map, error },
        }
    }

    /// A map was created and cannot be read or filled.
    pub(crate) fn unreadable(path: &Path, map: &str, error: io::Error) -> Self {
        Self::Map { path: path.to_owned(), map: map.to_owned(), error }
    }

    /// The kernel answered EPERM or EACCES: to a thread without the rights, or for reasons of its own.
    fn refused(path: PathBuf, why: String, error: io::Error) -> Self {
        if Rights::own().are_all() { Self::Denied { path, why, error } } else { Self::NotPermitted { path, why } }
    }

    /// A program cannot be linked. `denied`: symbols of modules whose types this thread may not open.
    pub(crate) fn not_linked(path: &Path, program: &str, error: &LinkError, denied: &[DeniedSymbol]) -> Self {
        let (path, program) = (path.to_owned(), program.to_owned());
        match error {
            LinkError::NoSymbol(symbol) => match denied.iter().find(|denied| denied.symbol == *symbol) {
                Some(DeniedSymbol { module, .. }) => {
                    let why = format!(
                        "program `{program}` uses `{symbol}` of the module `{module}`, whose types cannot be opened"
                    );
                    Self::NotPermitted { path, why }
                }
                None => Self::Lacking { path, program, what: format!("the symbol {symbol}") },
            },
            other => Self::Load { path, why: format!("program `{program}`: {other}") },
        }
    }

    /// A program was not loaded. `missing`: accesses that this kernel's types do not have, by the call that replaces each.
    pub(crate) fn not_loaded(path: &Path, program: &str, error: ProgramError, missing: &[Missing]) -> Self {
        let (path, program) = (path.to_owned(), program.to_owned());
        match error {
            ProgramError::NoTarget(why) => Self::Attach { path, program, why },
            ProgramError::NoBtf => Self::NoKernelBtf { path },
            ProgramError::Refused { log, .. } if refused_call(&log).is_some() => {
                let number = refused_call(&log);
                let access = missing.iter().find(|missing| Some(missing.number) == number);
                let what = access.map_or("a kernel function that it calls", |missing| missing.what.as_str()).to_owned();
                Self::Lacking { path, program, what }
            }
            // Without a log the verifier did not see the program.
            ProgramError::Refused { error, log } if !log.trim().is_empty() => {
                Self::Verifier { path, program, error, log: end_of(&log) }
            }
            ProgramError::Refused { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                Self::refused(path, format!("program `{program}` cannot be loaded"), error)
            }
            refused @ ProgramError::Refused { .. } => Self::Attach { path, program, why: refused.to_string() },
        }
    }

    /// A program was loaded and not attached.
    pub(crate) fn not_attached(path: &Path, program: &str, error: AttachError) -> Self {
        let (path, program, why) = (path.to_owned(), program.to_owned(), error.to_string());
        match error {
            AttachError::NoTarget(_) => Self::NoTarget { path, program, why },
            AttachError::Refused { target, error } if error.kind() == io::ErrorKind::PermissionDenied => {
                Self::refused(path, format!("program `{program}` cannot be attached to {target}"), error)
            }
            AttachError::Refused { .. } | AttachError::Absent(_) | AttachError::Probe(_) => {
                Self::Attach { path, program, why }
            }
        }
    }
}

/// The number of the helper that the verifier does not know, if that is why it refuses a program and the number is one that stands for what
/// the kernel lacks.
fn refused_call(log: &str) -> Option<i32> {
    let (_, rest) = log.rsplit_once("unknown#")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    let number: i32 = digits.parse().ok()?;
    (number >= POISON_CORE).then_some(number)
}

/// The last lines of a verifier log: they have the reason.
fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(VERIFIER_LOG_LINES)..].join("\n")
}

fn kernel_release() -> String {
    externs::release()
}
