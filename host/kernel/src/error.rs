//! Why an object, or one program of it, is not loaded.

mod causes;

use std::{fmt, io, path::PathBuf};

use crate::{ObjectError, PinError, externs, objections, perf::too_many_files, rights::Rights};

/// Why an object, or one program of it, is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("{path}: {why}: not permitted; {}", Rights::own().describe())]
    NotPermitted { path: PathBuf, why: String },
    #[error(
        "{path}: {why}: a seccomp filter forbids {calls} to this process, whatever its capabilities (/proc/self/status: `Seccomp: 2`): {}",
        objections::ALLOW_CALLS
    )]
    Filtered {
        path: PathBuf,
        why: String,
        calls: &'static str,
        #[source]
        error: io::Error,
    },
    #[error(
        "{path}: {why}: this kernel ({}) is locked down, in the mode `confidentiality` (/sys/kernel/security/lockdown), which forbids kprobes, \
         tracefs and reading kernel memory to every user; expected the mode `none` or `integrity` (`lockdown=` on the kernel's command line), \
         or a package without this program",
        kernel_release()
    )]
    LockedDown {
        path: PathBuf,
        why: String,
        #[source]
        error: io::Error,
    },
    #[error("{path}: {why}: {}", too_many_files())]
    TooManyFiles {
        path: PathBuf,
        why: String,
        #[source]
        error: io::Error,
    },
    #[error("{path}: {why}: the kernel ({}) refuses it ({error}): {}", kernel_release(), objections::others())]
    Denied {
        path: PathBuf,
        why: String,
        #[source]
        error: io::Error,
    },
    #[error(
        "{path}: the kernel's verifier refuses program `{program}` ({error}){}; the end of its log:\n{log}",
        remedy(log)
    )]
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
    #[error("{path}: none of the alternatives in `programs` can be attached: {}", .tried.iter().map(LoadError::to_string).collect::<Vec<_>>().join("; "))]
    NoAlternative {
        path: PathBuf,
        /// One error for each alternative, in their order.
        tried: Vec<LoadError>,
    },
    #[error("{path}: cannot be loaded: {why}")]
    Load { path: PathBuf, why: String },
    #[error(
        "{path}: its maps take {} MiB when they are full, {} MiB of it the map `{largest}`; expected at most {} MiB: smaller `max_entries`, or \
         more for `kernel_memory` in `limits`",
        .needed_bytes >> 20, .largest_bytes >> 20, .limit_bytes >> 20
    )]
    MapMemory { path: PathBuf, needed_bytes: u64, limit_bytes: u64, largest: String, largest_bytes: u64 },
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
        "{path}: needs the kernel's types, and this kernel ({}) shows no BTF at /sys/kernel/btf/vmlinux ({why}); expected {remedy}",
        kernel_release()
    )]
    NoKernelBtf { path: PathBuf, why: String, remedy: BtfRemedy },
    #[error("{file}: is no BTF that can be read ({why}); --btf.path names it for {path}")]
    NotBtf { file: PathBuf, path: PathBuf, why: String },
}

/// The remedy where the kernel shows no BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BtfRemedy {
    /// Another kernel: packages of `--plugins` take no file, and the kernel itself looks attach targets up in its own types.
    Kernel,
    /// A file with the types does as well.
    KernelOrFile,
}

impl fmt::Display for BtfRemedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' are; in a container, the host's /sys",
        )?;
        match self {
            Self::Kernel => Ok(()),
            Self::KernelOrFile => f.write_str("; or --btf.path with a file that has this kernel's types"),
        }
    }
}

/// The remedy for a complaint of the verifier that has one.
fn remedy(log: &str) -> &'static str {
    if log.contains("missing btf func_info") {
        return " because a function that is called back needs BTF, which the object has not: link it with `bpf-linker --btf`, or compile \
                it with `clang -g`";
    }
    ""
}

impl LoadError {
    /// The cause in one word, for metrics and [`LeftOut`](crate::LeftOut).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Object(_) => "section",
            Self::NotPermitted { .. } => "not_permitted",
            Self::Denied { .. } | Self::Filtered { .. } | Self::LockedDown { .. } => "denied",
            Self::Verifier { .. } => "verifier",
            Self::Lacking { .. } | Self::NotConfigured { .. } | Self::NoKernelBtf { .. } => "kernel_lacks",
            Self::Attach { .. } => "attach",
            Self::NoTarget { .. } | Self::NoEvent { .. } => "no_target",
            Self::NoSymbol { .. } => "symbol",
            Self::NoAlternative { tried, .. } => tried.first().map_or("load", Self::reason),
            Self::Load { .. }
            | Self::TooManyFiles { .. }
            | Self::MapMemory { .. }
            | Self::NoMap { .. }
            | Self::NoEntries { .. }
            | Self::Pin { .. }
            | Self::PossibleCpus { .. }
            | Self::Map { .. }
            | Self::SameName { .. }
            | Self::NotBtf { .. } => "load",
        }
    }
}

fn kernel_release() -> String {
    externs::release()
}
