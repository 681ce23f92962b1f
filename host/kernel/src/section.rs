//! Section names: what a program is, and what it is attached to.
//!
//! The names are libbpf's, with two more: an interface after `xdp/`, as ebpf_exporter has it, and after `tc/ingress/` and the like.

use aya_obj::generated::{bpf_attach_type as at, bpf_prog_type as kind};

use ebhost_package::perf::{Event, Rate, number};

/// The section names that are known, as messages list them.
pub(super) const SECTIONS: [&str; 23] = [
    "tp_btf/NAME",
    "raw_tp/NAME",
    "raw_tp.w/NAME",
    "tracepoint/CATEGORY/NAME",
    "kprobe/SYMBOL+OFFSET",
    "kretprobe/SYMBOL",
    "kprobe.multi/PATTERN",
    "kretprobe.multi/PATTERN",
    "kprobe.session/PATTERN",
    "ksyscall/NAME",
    "kretsyscall/NAME",
    "fentry/SYMBOL",
    "fexit/SYMBOL",
    "fmod_ret/SYMBOL",
    "lsm/HOOK",
    "iter/KIND",
    "uprobe/FILE:SYMBOL+OFFSET",
    "uprobe.multi/FILE:PATTERN",
    "uprobe.session/FILE:PATTERN",
    "usdt/FILE:PROVIDER:NAME",
    "perf_event/type=T,config=C,frequency=F",
    "xdp/INTERFACE, tcx/ingress/INTERFACE",
    "cgroup_skb/ingress, cgroup/connect4 and the like",
];

/// `BPF_TRACE_KPROBE_SESSION` and `BPF_TRACE_UPROBE_SESSION`, for which aya has no names.
pub(super) const KPROBE_SESSION: u32 = 56;
pub(super) const UPROBE_SESSION: u32 = 57;

const SLEEPABLE: u32 = 1 << 4;
const XDP_FRAGMENTS: u32 = 1 << 5;

/// What a section name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) attach: Attach,
    /// `BPF_F_*` that the program is loaded with.
    pub(super) flags: u32,
}

/// Where a program is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attach {
    /// A place that the kernel's types know, such as a function.
    Typed(Hook, String),
    RawTracepoint(Writes, String),
    Tracepoint {
        category: String,
        name: String,
    },
    Kprobe {
        symbol: String,
        offset: u64,
        when: When,
    },
    /// Every function whose name fits a pattern with `*` and `?`.
    Kprobes {
        pattern: String,
        when: When,
    },
    /// The kernel's function for a system call.
    SystemCall {
        name: String,
        when: When,
    },
    Uprobe {
        file: String,
        symbol: Option<String>,
        offset: u64,
        when: When,
    },
    /// Every function of a file whose name fits such a pattern.
    Uprobes {
        file: String,
        pattern: String,
        when: When,
    },
    Usdt {
        file: String,
        provider: String,
        name: String,
    },
    /// Samples of a perf event: the section's own, or that of the perf source in plugin.yaml that names the program.
    PerfEvent(Option<(Event, Rate)>),
    Xdp {
        interface: Option<String>,
    },
    Tc {
        direction: Direction,
        interface: Option<String>,
    },
    /// The root of the cgroup hierarchy, and so every cgroup.
    Cgroup {
        kind: u32,
        attach_type: u32,
    },
}

/// A place that the kernel's types know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Tracepoint,
    Entry,
    Exit,
    /// A function whose return value the program decides.
    Return,
    Lsm,
    /// Run when it is read, which the host does before it reads the maps.
    Iterator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Entry,
    Return,
    /// At both, as one program knows it: where a pattern names the functions.
    Both,
}

/// Whether a raw tracepoint lets the program write to its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    Nothing,
    Arguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Section {
    /// Reads a section name; none: not a known one.
    pub(super) fn parse(section: &str) -> Option<Self> {
        let plain = |attach| Some(Self { attach, flags: 0 });
        if let Some((kind, attach_type)) = cgroup(section) {
            return plain(Attach::Cgroup { kind, attach_type });
        }
        if let Some(attach) = network(section) {
            return plain(attach);
        }
        match section {
            "perf_event" => return plain(Attach::PerfEvent(None)),
            "xdp" => return plain(Attach::Xdp { interface: None }),
            "xdp.frags" => return Some(Self { attach: Attach::Xdp { interface: None }, flags: XDP_FRAGMENTS }),
            _ => {}
        }
        let (kind, target) = section.split_once('/')?;
        if target.is_empty() {
            return None;
        }
        let (kind, flags) = kind.strip_suffix(".s").map_or((kind, 0), |kind| (kind, SLEEPABLE));
        let (kind, flags) = kind.strip_suffix(".frags").map_or((kind, flags), |kind| (kind, XDP_FRAGMENTS));
        let attach = attach(kind, target)?;
        let takes = match attach {
            Attach::Typed(Hook::Tracepoint, _) => 0,
            Attach::Typed(..) | Attach::Uprobe { .. } | Attach::Uprobes { .. } | Attach::Usdt { .. } => SLEEPABLE,
            Attach::Xdp { .. } => XDP_FRAGMENTS,
            _ => 0,
        };
        (flags & !takes == 0).then_some(Self { attach, flags })
    }
}

fn attach(kind: &str, target: &str) -> Option<Attach> {
    let name = target.to_owned();
    let (entry, ret) = (When::Entry, When::Return);
    Some(match kind {
        "tp_btf" => Attach::Typed(Hook::Tracepoint, name),
        "fentry" => Attach::Typed(Hook::Entry, name),
        "fexit" => Attach::Typed(Hook::Exit, name),
        "fmod_ret" => Attach::Typed(Hook::Return, name),
        "lsm" => Attach::Typed(Hook::Lsm, name),
        "iter" => Attach::Typed(Hook::Iterator, name),
        "raw_tp" | "raw_tracepoint" => Attach::RawTracepoint(Writes::Nothing, name),
        "raw_tp.w" | "raw_tracepoint.w" => Attach::RawTracepoint(Writes::Arguments, name),
        "tp" | "tracepoint" => {
            let (category, name) = target.split_once('/')?;
            Attach::Tracepoint { category: category.to_owned(), name: name.to_owned() }
        }
        "kprobe" | "kretprobe" => {
            let (symbol, offset) = with_offset(target)?;
            let when = if kind == "kprobe" { entry } else { ret };
            // A return has no offset.
            (when == entry || offset == 0).then_some(Attach::Kprobe { symbol, offset, when })?
        }
        "kprobe.multi" => Attach::Kprobes { pattern: name, when: entry },
        "kretprobe.multi" => Attach::Kprobes { pattern: name, when: ret },
        "ksyscall" => Attach::SystemCall { name, when: entry },
        "kretsyscall" => Attach::SystemCall { name, when: ret },
        "uprobe" => uprobe(target, entry)?,
        "uretprobe" => uprobe(target, ret)?,
        "uprobe.multi" => uprobes(target, entry)?,
        "uretprobe.multi" => uprobes(target, ret)?,
        "kprobe.session" => Attach::Kprobes { pattern: name, when: When::Both },
        "uprobe.session" => uprobes(target, When::Both)?,
        "usdt" => {
            let (rest, name) = target.rsplit_once(':')?;
            let (file, provider) = rest.rsplit_once(':')?;
            Attach::Usdt { file: file.to_owned(), provider: provider.to_owned(), name: name.to_owned() }
        }
        "perf_event" => Attach::PerfEvent(Some(sampled(target)?)),
        "xdp" => Attach::Xdp { interface: Some(name) },
        _ => return None,
    })
}

fn uprobe(target: &str, when: When) -> Option<Attach> {
    let (file, place) = target.rsplit_once(':')?;
    let file = Some(file.to_owned()).filter(|file| !file.is_empty())?;
    // A number alone is a place in the file itself.
    if let Some(offset) = number(place) {
        return Some(Attach::Uprobe { file, symbol: None, offset, when });
    }
    let (symbol, offset) = with_offset(place)?;
    Some(Attach::Uprobe { file, symbol: Some(symbol), offset, when })
}

fn uprobes(target: &str, when: When) -> Option<Attach> {
    let (file, pattern) = target.rsplit_once(':')?;
    let is_whole = !file.is_empty() && !pattern.is_empty();
    is_whole.then(|| Attach::Uprobes { file: file.to_owned(), pattern: pattern.to_owned(), when })
}

fn with_offset(target: &str) -> Option<(String, u64)> {
    let (symbol, offset) = match target.split_once('+') {
        Some((symbol, offset)) => (symbol, number(offset)?),
        None => (target, 0),
    };
    (!symbol.is_empty()).then(|| (symbol.to_owned(), offset))
}

/// `tc`, `tc/ingress`, `tcx/egress` and the same with an interface behind.
fn network(section: &str) -> Option<Attach> {
    let mut parts = section.splitn(3, '/');
    let direction = match (parts.next()?, parts.next()) {
        ("tc" | "classifier", None) | ("tc" | "tcx", Some("ingress")) => Direction::Ingress,
        ("tc" | "tcx", Some("egress")) => Direction::Egress,
        _ => return None,
    };
    let interface = parts.next().map(str::to_owned);
    Some(Attach::Tc { direction, interface }).filter(|_| !section.ends_with('/'))
}

fn cgroup(section: &str) -> Option<(u32, u32)> {
    let (kind, attach_type) = match section {
        "cgroup_skb/ingress" => (kind::BPF_PROG_TYPE_CGROUP_SKB, at::BPF_CGROUP_INET_INGRESS),
        "cgroup_skb/egress" => (kind::BPF_PROG_TYPE_CGROUP_SKB, at::BPF_CGROUP_INET_EGRESS),
        "cgroup/sock_create" | "cgroup/sock" => (kind::BPF_PROG_TYPE_CGROUP_SOCK, at::BPF_CGROUP_INET_SOCK_CREATE),
        "cgroup/sock_release" => (kind::BPF_PROG_TYPE_CGROUP_SOCK, at::BPF_CGROUP_INET_SOCK_RELEASE),
        "cgroup/post_bind4" => (kind::BPF_PROG_TYPE_CGROUP_SOCK, at::BPF_CGROUP_INET4_POST_BIND),
        "cgroup/post_bind6" => (kind::BPF_PROG_TYPE_CGROUP_SOCK, at::BPF_CGROUP_INET6_POST_BIND),
        "cgroup/bind4" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_INET4_BIND),
        "cgroup/bind6" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_INET6_BIND),
        "cgroup/connect4" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_INET4_CONNECT),
        "cgroup/connect6" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_INET6_CONNECT),
        "cgroup/sendmsg4" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_UDP4_SENDMSG),
        "cgroup/sendmsg6" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_UDP6_SENDMSG),
        "cgroup/recvmsg4" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_UDP4_RECVMSG),
        "cgroup/recvmsg6" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_UDP6_RECVMSG),
        "cgroup/getpeername4" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_INET4_GETPEERNAME),
        "cgroup/getpeername6" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_INET6_GETPEERNAME),
        "cgroup/getsockname4" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_INET4_GETSOCKNAME),
        "cgroup/getsockname6" => (kind::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at::BPF_CGROUP_INET6_GETSOCKNAME),
        "cgroup/getsockopt" => (kind::BPF_PROG_TYPE_CGROUP_SOCKOPT, at::BPF_CGROUP_GETSOCKOPT),
        "cgroup/setsockopt" => (kind::BPF_PROG_TYPE_CGROUP_SOCKOPT, at::BPF_CGROUP_SETSOCKOPT),
        "cgroup/sysctl" => (kind::BPF_PROG_TYPE_CGROUP_SYSCTL, at::BPF_CGROUP_SYSCTL),
        "cgroup/dev" => (kind::BPF_PROG_TYPE_CGROUP_DEVICE, at::BPF_CGROUP_DEVICE),
        "sockops" => (kind::BPF_PROG_TYPE_SOCK_OPS, at::BPF_CGROUP_SOCK_OPS),
        _ => return None,
    };
    Some((kind as u32, attach_type as u32))
}

/// The event and the rate in `type=T,config=C,frequency=F`, or with `sample_period=P` in the last place; all are numbers.
fn sampled(terms: &str) -> Option<(Event, Rate)> {
    let (mut kind, mut config, mut rate) = (None, None, None);
    for term in terms.split(',') {
        let (name, value) = term.split_once('=')?;
        let value = number(value.trim())?;
        match name.trim() {
            "type" => kind = Some(u32::try_from(value).ok()?),
            "config" => config = Some(value),
            "frequency" if rate.is_none() && value > 0 => rate = Some(Rate::Frequency(value)),
            "sample_period" if rate.is_none() && value > 0 => rate = Some(Rate::Period(value)),
            _ => return None,
        }
    }
    Some((Event::fixed(kind?, config?), rate?))
}

impl Attach {
    /// `enum bpf_prog_type` and `enum bpf_attach_type` that a program of this kind is loaded with.
    pub(super) fn kind(&self) -> (u32, u32) {
        let (kind, attach_type) = match self {
            Self::Typed(Hook::Tracepoint, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_TRACE_RAW_TP),
            Self::Typed(Hook::Entry, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_TRACE_FENTRY),
            Self::Typed(Hook::Exit, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_TRACE_FEXIT),
            Self::Typed(Hook::Return, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_MODIFY_RETURN),
            Self::Typed(Hook::Iterator, _) => (kind::BPF_PROG_TYPE_TRACING, at::BPF_TRACE_ITER),
            Self::Typed(Hook::Lsm, _) => (kind::BPF_PROG_TYPE_LSM, at::BPF_LSM_MAC),
            Self::Kprobes { when: When::Both, .. } => return (kind::BPF_PROG_TYPE_KPROBE as u32, KPROBE_SESSION),
            Self::Uprobes { when: When::Both, .. } => return (kind::BPF_PROG_TYPE_KPROBE as u32, UPROBE_SESSION),
            Self::Kprobes { .. } => (kind::BPF_PROG_TYPE_KPROBE, at::BPF_TRACE_KPROBE_MULTI),
            // Kernels before 6.6 do not look at this.
            Self::Uprobes { .. } => (kind::BPF_PROG_TYPE_KPROBE, at::BPF_TRACE_UPROBE_MULTI),
            Self::Xdp { .. } => (kind::BPF_PROG_TYPE_XDP, at::BPF_XDP),
            Self::RawTracepoint(Writes::Nothing, _) => return (kind::BPF_PROG_TYPE_RAW_TRACEPOINT as u32, 0),
            Self::RawTracepoint(Writes::Arguments, _) => {
                return (kind::BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE as u32, 0);
            }
            Self::Tracepoint { .. } => return (kind::BPF_PROG_TYPE_TRACEPOINT as u32, 0),
            Self::Kprobe { .. } | Self::SystemCall { .. } | Self::Uprobe { .. } | Self::Usdt { .. } => {
                return (kind::BPF_PROG_TYPE_KPROBE as u32, 0);
            }
            Self::PerfEvent(_) => return (kind::BPF_PROG_TYPE_PERF_EVENT as u32, 0),
            Self::Tc { .. } => return (kind::BPF_PROG_TYPE_SCHED_CLS as u32, 0),
            Self::Cgroup { kind, attach_type } => return (*kind, *attach_type),
        };
        (kind as u32, attach_type as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Option<Attach> {
        Section::parse(section).map(|section| section.attach)
    }

    #[test]
    fn sections_are_read_as_libbpf_reads_them() {
        let typed = |hook, name: &str| Some(Attach::Typed(hook, name.into()));
        assert_eq!(read("tp_btf/block_rq_issue"), typed(Hook::Tracepoint, "block_rq_issue"));
        assert_eq!(read("fmod_ret/f"), typed(Hook::Return, "f"));
        assert_eq!(read("iter/task"), typed(Hook::Iterator, "task"));
        assert_eq!(read("raw_tracepoint/x"), Some(Attach::RawTracepoint(Writes::Nothing, "x".into())));
        assert_eq!(read("raw_tp.w/x"), Some(Attach::RawTracepoint(Writes::Arguments, "x".into())));
        assert_eq!(
            read("tp/block/block_rq_issue"),
            Some(Attach::Tracepoint { category: "block".into(), name: "block_rq_issue".into() })
        );
        let kprobe = |symbol: &str, offset, when| Some(Attach::Kprobe { symbol: symbol.into(), offset, when });
        assert_eq!(read("kprobe/do_sys_open+0x10"), kprobe("do_sys_open", 16, When::Entry));
        assert_eq!(read("kretprobe/do_sys_open"), kprobe("do_sys_open", 0, When::Return));
        assert_eq!(read("kretprobe/do_sys_open+4"), None);
        assert_eq!(read("kprobe.multi/tcp_*"), Some(Attach::Kprobes { pattern: "tcp_*".into(), when: When::Entry }));
        assert_eq!(read("xdp/eth0"), Some(Attach::Xdp { interface: Some("eth0".into()) }));
        assert_eq!(
            read("tcx/egress/eth0"),
            Some(Attach::Tc { direction: Direction::Egress, interface: Some("eth0".into()) })
        );
        assert_eq!(read("tc"), Some(Attach::Tc { direction: Direction::Ingress, interface: None }));
        assert_eq!(read("cgroup_skb/egress"), Some(Attach::Cgroup { kind: 8, attach_type: 1 }));
        assert_eq!(read("cgroup/connect4"), Some(Attach::Cgroup { kind: 18, attach_type: 10 }));
    }

    #[test]
    fn programs_in_files_have_a_file_and_a_place() {
        let uprobe = |file: &str, symbol: Option<&str>, offset, when| {
            Some(Attach::Uprobe { file: file.into(), symbol: symbol.map(str::to_owned), offset, when })
        };
        assert_eq!(read("uprobe/libc.so.6:malloc"), uprobe("libc.so.6", Some("malloc"), 0, When::Entry));
        assert_eq!(read("uretprobe//bin/bash:readline"), uprobe("/bin/bash", Some("readline"), 0, When::Return));
        assert_eq!(read("uprobe//bin/x:main+0x8"), uprobe("/bin/x", Some("main"), 8, When::Entry));
        assert_eq!(read("uprobe//bin/x:0x1234"), uprobe("/bin/x", None, 0x1234, When::Entry));
        let uprobes = |file: &str, pattern: &str, when| {
            Some(Attach::Uprobes { file: file.into(), pattern: pattern.into(), when })
        };
        assert_eq!(read("uprobe.multi/libc.so.6:str*"), uprobes("libc.so.6", "str*", When::Entry));
        assert_eq!(read("uprobe.session//bin/x:a*"), uprobes("/bin/x", "a*", When::Both));
        assert_eq!(read("uretprobe.multi.s//bin/x:?"), uprobes("/bin/x", "?", When::Return));
        assert_eq!(
            read("usdt/python3:python:function__entry"),
            Some(Attach::Usdt { file: "python3".into(), provider: "python".into(), name: "function__entry".into() })
        );
    }

    #[test]
    fn what_may_sleep_says_so() {
        assert_eq!(Section::parse("fentry.s/f").map(|section| section.flags), Some(SLEEPABLE));
        assert_eq!(Section::parse("lsm.s/bprm_committed_creds").map(|section| section.flags), Some(SLEEPABLE));
        assert_eq!(Section::parse("xdp.frags/eth0").map(|section| section.flags), Some(XDP_FRAGMENTS));
        assert_eq!(Section::parse("tp_btf.s/x"), None);
        assert_eq!(Section::parse("kprobe.s/x"), None);
    }

    #[test]
    fn samples_have_an_event_and_a_rate() {
        let sampled = read("perf_event/type=0,config=3,frequency=99");
        assert_eq!(sampled, Some(Attach::PerfEvent(Some((Event::fixed(0, 3), Rate::Frequency(99))))));
        let sampled = read("perf_event/type=1,config=0x2,sample_period=100");
        assert_eq!(sampled, Some(Attach::PerfEvent(Some((Event::fixed(1, 2), Rate::Period(100))))));
        assert_eq!(read("perf_event"), Some(Attach::PerfEvent(None)));
    }

    #[test]
    fn other_names_are_unknown() {
        for unknown in [
            "perf_event/type=0,config=3",
            "perf_event/type=0,config=3,frequency=0",
            "perf_event/x",
            "perf_event/type=0,config=3,frequency=1,x=1",
            "tp_btf",
            "tp_btf/",
            "tracepoint/block",
            "kprobbe/x",
            "usdt/x",
            "uprobe/libc",
            "uprobe.multi/libc",
            "uprobe.multi/libc:",
            "uprobe.session/libc",
            "fentry.session/x",
            "kprobe/+4",
            "xdp/",
            "tcx/ingress/",
            "struct_ops/x",
            "",
        ] {
            assert_eq!(Section::parse(unknown), None, "{unknown}");
        }
    }
}
