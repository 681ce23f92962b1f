//! Section names as libbpf and ebpf_exporter write them.

use super::*;

fn parse(section: &str) -> Option<Attach> {
    Section::parse(section).map(|section| section.attach)
}

#[test]
fn sections_are_read_as_libbpf_reads_them() {
    let typed = |hook, name: &str| Some(Attach::Typed(hook, name.into()));
    assert_eq!(parse("tp_btf/block_rq_issue"), typed(Hook::Tracepoint, "block_rq_issue"));
    assert_eq!(parse("fmod_ret/f"), typed(Hook::ModifyReturn, "f"));
    assert_eq!(parse("iter/task"), typed(Hook::Iterator, "task"));
    assert_eq!(parse("raw_tracepoint/x"), Some(Attach::RawTracepoint(ArgumentAccess::ReadOnly, "x".into())));
    assert_eq!(parse("raw_tp.w/x"), Some(Attach::RawTracepoint(ArgumentAccess::Writable, "x".into())));
    assert_eq!(
        parse("tp/block/block_rq_issue"),
        Some(Attach::Tracepoint { category: "block".into(), name: "block_rq_issue".into() })
    );
    let kprobe = |symbol: &str, offset, when| Some(Attach::Kprobe { symbol: symbol.into(), offset, when });
    assert_eq!(parse("kprobe/do_sys_open+0x10"), kprobe("do_sys_open", 16, FireAt::Entry));
    assert_eq!(parse("kretprobe/do_sys_open"), kprobe("do_sys_open", 0, FireAt::Return));
    assert!(matches!(parse("kretprobe/do_sys_open+4"), Some(Attach::Unplaced { .. })));
    assert_eq!(parse("kprobe.multi/tcp_*"), Some(Attach::KprobeMulti { pattern: "tcp_*".into(), when: FireAt::Entry }));
    assert_eq!(parse("xdp/eth0"), Some(Attach::Xdp { interface: Some("eth0".into()) }));
    assert_eq!(
        parse("tcx/egress/eth0"),
        Some(Attach::Tc { direction: Direction::Egress, interface: Some("eth0".into()) })
    );
    assert_eq!(parse("tc"), Some(Attach::Tc { direction: Direction::Ingress, interface: None }));
    assert_eq!(parse("cgroup_skb/egress"), Some(Attach::Cgroup { kind: 8, attach_type: 1 }));
    assert_eq!(parse("cgroup/connect4"), Some(Attach::Cgroup { kind: 18, attach_type: 10 }));
}

/// The numbers are those of the kernel's `enum bpf_prog_type` and `enum bpf_attach_type`.
#[test]
fn every_section_of_a_cgroup_program_has_the_kernels_numbers() {
    const SKB: u32 = 8;
    const SOCK: u32 = 9;
    const SOCK_OPS: u32 = 13;
    const DEVICE: u32 = 15;
    const SOCK_ADDR: u32 = 18;
    const SYSCTL: u32 = 23;
    const SOCKOPT: u32 = 25;
    for (section, kind, attach_type) in [
        ("cgroup_skb/ingress", SKB, 0),
        ("cgroup_skb/egress", SKB, 1),
        ("cgroup/sock_create", SOCK, 2),
        ("cgroup/sock", SOCK, 2),
        ("cgroup/sock_release", SOCK, 34),
        ("cgroup/post_bind4", SOCK, 12),
        ("cgroup/post_bind6", SOCK, 13),
        ("cgroup/bind4", SOCK_ADDR, 8),
        ("cgroup/bind6", SOCK_ADDR, 9),
        ("cgroup/connect4", SOCK_ADDR, 10),
        ("cgroup/connect6", SOCK_ADDR, 11),
        ("cgroup/sendmsg4", SOCK_ADDR, 14),
        ("cgroup/sendmsg6", SOCK_ADDR, 15),
        ("cgroup/recvmsg4", SOCK_ADDR, 19),
        ("cgroup/recvmsg6", SOCK_ADDR, 20),
        ("cgroup/getpeername4", SOCK_ADDR, 29),
        ("cgroup/getpeername6", SOCK_ADDR, 30),
        ("cgroup/getsockname4", SOCK_ADDR, 31),
        ("cgroup/getsockname6", SOCK_ADDR, 32),
        ("cgroup/getsockopt", SOCKOPT, 21),
        ("cgroup/setsockopt", SOCKOPT, 22),
        ("cgroup/sysctl", SYSCTL, 18),
        ("cgroup/dev", DEVICE, 6),
        ("sockops", SOCK_OPS, 3),
    ] {
        assert_eq!(parse(section), Some(Attach::Cgroup { kind, attach_type }), "{section}");
    }
    assert!(!matches!(parse("cgroup/connect5"), Some(Attach::Cgroup { .. })));
}

#[test]
fn the_names_of_a_kind_of_program_differ_in_what_they_say() {
    let typed = |hook| Some(Attach::Typed(hook, "f".into()));
    for (section, expected) in [
        ("fentry/f", typed(Hook::Entry)),
        ("fexit/f", typed(Hook::Exit)),
        ("fmod_ret/f", typed(Hook::ModifyReturn)),
        ("lsm/f", typed(Hook::Lsm)),
        ("raw_tp/f", Some(Attach::RawTracepoint(ArgumentAccess::ReadOnly, "f".into()))),
        ("raw_tracepoint.w/f", Some(Attach::RawTracepoint(ArgumentAccess::Writable, "f".into()))),
        ("tracepoint/a/f", Some(Attach::Tracepoint { category: "a".into(), name: "f".into() })),
        ("kretprobe.multi/f*", Some(Attach::KprobeMulti { pattern: "f*".into(), when: FireAt::Return })),
        ("kprobe.session/f*", Some(Attach::KprobeMulti { pattern: "f*".into(), when: FireAt::Both })),
        ("ksyscall/f", Some(Attach::Ksyscall { name: "f".into(), when: FireAt::Entry })),
        ("kretsyscall/f", Some(Attach::Ksyscall { name: "f".into(), when: FireAt::Return })),
        ("xdp", Some(Attach::Xdp { interface: None })),
        ("classifier", Some(Attach::Tc { direction: Direction::Ingress, interface: None })),
        ("tc/egress", Some(Attach::Tc { direction: Direction::Egress, interface: None })),
        ("tcx/ingress/f", Some(Attach::Tc { direction: Direction::Ingress, interface: Some("f".into()) })),
    ] {
        assert_eq!(parse(section), expected, "{section}");
    }
}

#[test]
fn probes_in_files_have_a_file_and_a_location() {
    let uprobe = |file: &str, symbol: Option<&str>, offset, when| {
        Some(Attach::Uprobe { file: file.into(), symbol: symbol.map(str::to_owned), offset, when })
    };
    assert_eq!(parse("uprobe/libc.so.6:malloc"), uprobe("libc.so.6", Some("malloc"), 0, FireAt::Entry));
    assert_eq!(parse("uretprobe//bin/bash:readline"), uprobe("/bin/bash", Some("readline"), 0, FireAt::Return));
    assert_eq!(parse("uprobe//bin/x:main+0x8"), uprobe("/bin/x", Some("main"), 8, FireAt::Entry));
    assert_eq!(parse("uprobe//bin/x:0x1234"), uprobe("/bin/x", None, 0x1234, FireAt::Entry));
    let uprobes = |file: &str, pattern: &str, when| {
        Some(Attach::UprobeMulti { file: file.into(), pattern: pattern.into(), when })
    };
    assert_eq!(parse("uprobe.multi/libc.so.6:str*"), uprobes("libc.so.6", "str*", FireAt::Entry));
    assert_eq!(parse("uprobe.session//bin/x:a*"), uprobes("/bin/x", "a*", FireAt::Both));
    assert_eq!(parse("uretprobe.multi.s//bin/x:?"), uprobes("/bin/x", "?", FireAt::Return));
    assert_eq!(
        parse("usdt/python3:python:function__entry"),
        Some(Attach::Usdt { file: "python3".into(), provider: "python".into(), name: "function__entry".into() })
    );
}

#[test]
fn sleepable_sections_set_the_flag() {
    assert_eq!(Section::parse("fentry.s/f").map(|section| section.flags), Some(BPF_F_SLEEPABLE));
    assert_eq!(Section::parse("lsm.s/bprm_committed_creds").map(|section| section.flags), Some(BPF_F_SLEEPABLE));
    assert_eq!(Section::parse("xdp.frags/eth0").map(|section| section.flags), Some(BPF_F_XDP_HAS_FRAGS));
    assert_eq!(Section::parse("tp_btf.s/x"), None);
    assert_eq!(Section::parse("kprobe.s/x"), None);
}

#[test]
fn samples_have_an_event_and_a_rate() {
    let sampled = parse("perf_event/type=0,config=3,frequency=99");
    assert_eq!(sampled, Some(Attach::PerfEvent(Some((Event::fixed(0, 3), Rate::Frequency(99))))));
    let sampled = parse("perf_event/type=1,config=0x2,sample_period=100");
    assert_eq!(sampled, Some(Attach::PerfEvent(Some((Event::fixed(1, 2), Rate::Period(100))))));
    assert_eq!(parse("perf_event"), Some(Attach::PerfEvent(None)));
}

#[test]
fn other_names_are_not_known() {
    for unknown in
        ["kprobbe/x", "uprobe.session/libc", "kprobes", "fentry.session/x", "xdp/", "tcx/ingress/", "struct_ops/x", ""]
    {
        assert_eq!(Section::parse(unknown), None, "{unknown}");
    }
}

#[test]
fn sections_without_a_target_are_known_and_say_what_they_lack() {
    for (section, expected) in [
        ("uprobe", "uprobe/FILE:SYMBOL+OFFSET"),
        ("uprobe.s", "uprobe/FILE:SYMBOL+OFFSET"),
        ("uretprobe/readline", "uretprobe/FILE:SYMBOL"),
        ("uprobe.multi/libc:", "uprobe.multi/FILE:PATTERN"),
        ("usdt/x", "usdt/FILE:PROVIDER:NAME"),
        ("kprobe/+4", "kprobe/SYMBOL+OFFSET"),
        ("tracepoint/block", "tracepoint/CATEGORY/NAME"),
        ("tp_btf/", "tp_btf/NAME"),
        ("fentry", "fentry/SYMBOL"),
        ("perf_event/x", "perf_event/type=T,config=C,frequency=F"),
        ("perf_event/type=0,config=3", "perf_event/type=T,config=C,frequency=F"),
        ("perf_event/type=0,config=3,frequency=0", "perf_event/type=T,config=C,frequency=F"),
        ("perf_event/type=0,config=3,frequency=1,x=1", "perf_event/type=T,config=C,frequency=F"),
    ] {
        let Some(Attach::Unplaced { expected: found, .. }) = parse(section) else { panic!("{section}") };
        assert_eq!(found, Some(expected), "{section}");
    }
    assert!(matches!(parse("socket"), Some(Attach::Unplaced { kind: 1, expected: None, .. })));
}
