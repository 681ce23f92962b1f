//! Attach targets: what programs are attached to.

use aya_obj::generated::{bpf_attach_type as at, bpf_prog_type as kind};

use ebhost_package::perf::{Event, Rate};

/// `BPF_TRACE_KPROBE_SESSION` and `BPF_TRACE_UPROBE_SESSION`, for which aya has no names.
const BPF_TRACE_KPROBE_SESSION: u32 = 56;
const BPF_TRACE_UPROBE_SESSION: u32 = 57;

/// What a program is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attach {
    /// A hook that is found by its BTF type: a function, `tp_btf` tracepoint, LSM hook or iterator.
    Typed(Hook, String),
    RawTracepoint(ArgumentAccess, String),
    Tracepoint {
        category: String,
        name: String,
    },
    Kprobe {
        symbol: String,
        offset: u64,
        when: FireAt,
    },
    /// Every kernel function whose name matches a pattern with `*` and `?` (`kprobe.multi`).
    KprobeMulti {
        pattern: String,
        when: FireAt,
    },
    /// The kernel's function of a system call.
    Ksyscall {
        name: String,
        when: FireAt,
    },
    Uprobe {
        file: String,
        symbol: Option<String>,
        offset: u64,
        when: FireAt,
    },
    /// Every function of a file whose name matches such a pattern (`uprobe.multi`).
    UprobeMulti {
        file: String,
        pattern: String,
        when: FireAt,
    },
    Usdt {
        file: String,
        provider: String,
        name: String,
    },
    /// Samples of a perf event: the section's, or that of the perf source in plugin.yaml that names the program.
    PerfEvent(Option<(Event, Rate)>),
    Xdp {
        interface: Option<String>,
    },
    Tc {
        direction: Direction,
        interface: Option<String>,
    },
    /// The root of the cgroup hierarchy, which covers every cgroup.
    Cgroup {
        kind: u32,
        attach_type: u32,
    },
    /// Nothing: the section has no target. `expected`: the form of one that has; `None`: programs of this type are never attached by a section.
    Unplaced {
        kind: u32,
        attach_type: u32,
        expected: Option<&'static str>,
    },
}

/// The kind of a hook that is found by its BTF type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Tracepoint,
    Entry,
    Exit,
    /// `fmod_ret`: the program decides the function's return value.
    ModifyReturn,
    Lsm,
    /// Runs when it is read, which the host does before it reads the maps.
    Iterator,
}

/// When a probe runs its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FireAt {
    Entry,
    Return,
    /// At both (`kprobe.session`, `uprobe.session`); the program can tell which.
    Both,
}

/// Whether the program may write to a raw tracepoint's arguments (`raw_tp.w`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArgumentAccess {
    ReadOnly,
    Writable,
}

/// The direction of packets that a `tc` program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

impl Attach {
    /// Whether the kernel loads a program of this type only for a target.
    pub(crate) fn is_loaded_for_its_target(&self) -> bool {
        let kind = self.kind().0;
        kind == kind::BPF_PROG_TYPE_TRACING as u32 || kind == kind::BPF_PROG_TYPE_LSM as u32
    }

    /// `enum bpf_prog_type` and `enum bpf_attach_type` that the program is loaded with.
    pub(crate) fn kind(&self) -> (u32, u32) {
        let (kind, attach_type) = match self {
            Self::Typed(Hook::Tracepoint, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_TRACE_RAW_TP),
            Self::Typed(Hook::Entry, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_TRACE_FENTRY),
            Self::Typed(Hook::Exit, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_TRACE_FEXIT),
            Self::Typed(Hook::ModifyReturn, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_MODIFY_RETURN),
            Self::Typed(Hook::Iterator, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_TRACE_ITER),
            Self::Typed(Hook::Lsm, _) => (kind::BPF_PROG_TYPE_LSM, at::BPF_LSM_MAC),
            Self::KprobeMulti { when: FireAt::Both, .. } => {
                return (kind::BPF_PROG_TYPE_KPROBE as u32, BPF_TRACE_KPROBE_SESSION);
            }
            Self::UprobeMulti { when: FireAt::Both, .. } => {
                return (kind::BPF_PROG_TYPE_KPROBE as u32, BPF_TRACE_UPROBE_SESSION);
            }
            Self::KprobeMulti { .. } => (kind::BPF_PROG_TYPE_KPROBE, at::BPF_TRACE_KPROBE_MULTI),
            // Kernels before 6.6 do not look at this.
            Self::UprobeMulti { .. } => (kind::BPF_PROG_TYPE_KPROBE, at::BPF_TRACE_UPROBE_MULTI),
            Self::Xdp { .. } => (kind::BPF_PROG_TYPE_XDP, at::BPF_XDP),
            Self::RawTracepoint(ArgumentAccess::ReadOnly, _) => return (kind::BPF_PROG_TYPE_RAW_TRACEPOINT as u32, 0),
            Self::RawTracepoint(ArgumentAccess::Writable, _) => {
                return (kind::BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE as u32, 0);
            }
            Self::Tracepoint { .. } => return (kind::BPF_PROG_TYPE_TRACEPOINT as u32, 0),
            Self::Kprobe { .. } | Self::Ksyscall { .. } | Self::Uprobe { .. } | Self::Usdt { .. } => {
                return (kind::BPF_PROG_TYPE_KPROBE as u32, 0);
            }
            Self::PerfEvent(_) => return (kind::BPF_PROG_TYPE_PERF_EVENT as u32, 0),
            Self::Tc { .. } => return (kind::BPF_PROG_TYPE_SCHED_CLS as u32, 0),
            Self::Cgroup { kind, attach_type } | Self::Unplaced { kind, attach_type, .. } => {
                return (*kind, *attach_type);
            }
        };
        (kind as u32, attach_type as u32)
    }
}
