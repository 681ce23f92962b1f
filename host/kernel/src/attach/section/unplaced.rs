//! Sections that say what a program is and not what it is attached to.
//!
//! libbpf loads such a program and leaves attaching it to its user, so they are known; here it is loaded and attached to nothing, and the reason
//! says which target its section could name.

use aya_obj::generated::{bpf_attach_type as at, bpf_prog_type as kind};

use super::{Attach, BPF_F_SLEEPABLE, Section};

/// Names that may end in `.s`.
const SLEEPABLE: [&str; 10] =
    ["fentry", "fexit", "fmod_ret", "lsm", "iter", "uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "usdt"];

/// Parses the section of a program without a target; `None`: no program type is called that.
pub(super) fn parse(section: &str) -> Option<Section> {
    if let Some(attach) = never_attached(section) {
        let flags = if section == "syscall" { BPF_F_SLEEPABLE } else { 0 };
        return Some(Section { attach, flags });
    }
    let name = section.split('/').next().unwrap_or_default();
    let (name, flags) = name.strip_suffix(".s").map_or((name, 0), |name| (name, BPF_F_SLEEPABLE));
    if flags != 0 && !SLEEPABLE.contains(&name) {
        return None;
    }
    let (kind, attach_type, expected) = match name {
        "kprobe" => (kind::BPF_PROG_TYPE_KPROBE, None, "kprobe/SYMBOL+OFFSET"),
        "kretprobe" => (kind::BPF_PROG_TYPE_KPROBE, None, "kretprobe/SYMBOL"),
        "kprobe.multi" => (kind::BPF_PROG_TYPE_KPROBE, Some(at::BPF_TRACE_KPROBE_MULTI), "kprobe.multi/PATTERN"),
        "kretprobe.multi" => (kind::BPF_PROG_TYPE_KPROBE, Some(at::BPF_TRACE_KPROBE_MULTI), "kretprobe.multi/PATTERN"),
        "ksyscall" => (kind::BPF_PROG_TYPE_KPROBE, None, "ksyscall/NAME"),
        "kretsyscall" => (kind::BPF_PROG_TYPE_KPROBE, None, "kretsyscall/NAME"),
        "uprobe" => (kind::BPF_PROG_TYPE_KPROBE, None, "uprobe/FILE:SYMBOL+OFFSET"),
        "uretprobe" => (kind::BPF_PROG_TYPE_KPROBE, None, "uretprobe/FILE:SYMBOL"),
        "uprobe.multi" => (kind::BPF_PROG_TYPE_KPROBE, Some(at::BPF_TRACE_UPROBE_MULTI), "uprobe.multi/FILE:PATTERN"),
        "uretprobe.multi" => {
            (kind::BPF_PROG_TYPE_KPROBE, Some(at::BPF_TRACE_UPROBE_MULTI), "uretprobe.multi/FILE:PATTERN")
        }
        "usdt" => (kind::BPF_PROG_TYPE_KPROBE, None, "usdt/FILE:PROVIDER:NAME"),
        "tp" | "tracepoint" => (kind::BPF_PROG_TYPE_TRACEPOINT, None, "tracepoint/CATEGORY/NAME"),
        "raw_tp" | "raw_tracepoint" => (kind::BPF_PROG_TYPE_RAW_TRACEPOINT, None, "raw_tp/NAME"),
        "raw_tp.w" | "raw_tracepoint.w" => (kind::BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, None, "raw_tp.w/NAME"),
        "perf_event" => (kind::BPF_PROG_TYPE_PERF_EVENT, None, "perf_event/type=T,config=C,frequency=F"),
        "tp_btf" => (kind::BPF_PROG_TYPE_TRACING, Some(at::BPF_TRACE_RAW_TP), "tp_btf/NAME"),
        "fentry" => (kind::BPF_PROG_TYPE_TRACING, Some(at::BPF_TRACE_FENTRY), "fentry/SYMBOL"),
        "fexit" => (kind::BPF_PROG_TYPE_TRACING, Some(at::BPF_TRACE_FEXIT), "fexit/SYMBOL"),
        "fmod_ret" => (kind::BPF_PROG_TYPE_TRACING, Some(at::BPF_MODIFY_RETURN), "fmod_ret/SYMBOL"),
        "iter" => (kind::BPF_PROG_TYPE_TRACING, Some(at::BPF_TRACE_ITER), "iter/KIND"),
        "lsm" => (kind::BPF_PROG_TYPE_LSM, Some(at::BPF_LSM_MAC), "lsm/HOOK"),
        _ => return None,
    };
    let attach_type = attach_type.map_or(0, |attach_type| attach_type as u32);
    Some(Section { attach: Attach::Unplaced { kind: kind as u32, attach_type, expected: Some(expected) }, flags })
}

/// Types that neither libbpf nor the host attaches by a section's name.
fn never_attached(section: &str) -> Option<Attach> {
    let (kind, attach_type) = match section {
        "socket" => (kind::BPF_PROG_TYPE_SOCKET_FILTER, None),
        "action" => (kind::BPF_PROG_TYPE_SCHED_ACT, None),
        "syscall" => (kind::BPF_PROG_TYPE_SYSCALL, None),
        "lwt_in" => (kind::BPF_PROG_TYPE_LWT_IN, None),
        "lwt_out" => (kind::BPF_PROG_TYPE_LWT_OUT, None),
        "lwt_xmit" => (kind::BPF_PROG_TYPE_LWT_XMIT, None),
        "lwt_seg6local" => (kind::BPF_PROG_TYPE_LWT_SEG6LOCAL, None),
        "sk_skb" => (kind::BPF_PROG_TYPE_SK_SKB, None),
        "sk_skb/stream_parser" => (kind::BPF_PROG_TYPE_SK_SKB, Some(at::BPF_SK_SKB_STREAM_PARSER)),
        "sk_skb/stream_verdict" => (kind::BPF_PROG_TYPE_SK_SKB, Some(at::BPF_SK_SKB_STREAM_VERDICT)),
        "sk_skb/verdict" => (kind::BPF_PROG_TYPE_SK_SKB, Some(at::BPF_SK_SKB_VERDICT)),
        "sk_msg" => (kind::BPF_PROG_TYPE_SK_MSG, Some(at::BPF_SK_MSG_VERDICT)),
        "sk_lookup" => (kind::BPF_PROG_TYPE_SK_LOOKUP, Some(at::BPF_SK_LOOKUP)),
        "sk_reuseport" => (kind::BPF_PROG_TYPE_SK_REUSEPORT, Some(at::BPF_SK_REUSEPORT_SELECT)),
        "sk_reuseport/migrate" => (kind::BPF_PROG_TYPE_SK_REUSEPORT, Some(at::BPF_SK_REUSEPORT_SELECT_OR_MIGRATE)),
        "lirc_mode2" => (kind::BPF_PROG_TYPE_LIRC_MODE2, Some(at::BPF_LIRC_MODE2)),
        "flow_dissector" => (kind::BPF_PROG_TYPE_FLOW_DISSECTOR, Some(at::BPF_FLOW_DISSECTOR)),
        "netfilter" => (kind::BPF_PROG_TYPE_NETFILTER, Some(at::BPF_NETFILTER)),
        _ => return None,
    };
    let attach_type = attach_type.map_or(0, |attach_type| attach_type as u32);
    Some(Attach::Unplaced { kind: kind as u32, attach_type, expected: None })
}
