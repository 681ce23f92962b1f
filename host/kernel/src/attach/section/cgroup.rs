//! Sections of programs that are attached to a cgroup.

use aya_obj::generated::{bpf_attach_type as at, bpf_prog_type as kind};

use super::Attach;

/// Parses the section of a cgroup program; `None`: it is none.
pub(super) fn parse(section: &str) -> Option<Attach> {
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
    Some(Attach::Cgroup { kind: kind as u32, attach_type: attach_type as u32 })
}
