//! The packages whose programs can be driven here: their programs, and the load that does so.

use super::load::{self, Load};

/// A package, the programs that are compared, and the load under which they are.
pub(super) struct Case {
    pub(super) package: &'static str,
    /// The prefix of the programs of `bpf/costs` that do the same job.
    pub(super) compared: &'static str,
    /// Values of its options, as in the settings file.
    pub(super) options: &'static str,
    pub(super) programs: &'static [&'static str],
    /// The load, in words.
    pub(super) under: &'static str,
    pub(super) loads: &'static [Load],
}

impl Case {
    const fn of(
        package: &'static str,
        programs: &'static [&'static str],
        under: &'static str,
        loads: &'static [Load],
    ) -> Self {
        Self { package, compared: package, options: "", programs, under, loads }
    }

    const fn with(self, options: &'static str) -> Self {
        Self { options, ..self }
    }
}

/// Cases in the order of the packages' names.
pub(super) const CASES: [Case; 26] = [
    Case::of("biolatency", &["block_rq_issue", "block_rq_complete"], "random reads of a disk by fio", &[load::disk]),
    Case::of(
        "cachestat",
        &["mm_filemap_get_pages", "mm_filemap_fault", "mm_filemap_add_to_page_cache", "writeback_dirty_folio"],
        "reads and writes of a file of ext4, warm and cold",
        &[load::files, load::processes],
    ),
    Case::of("dns", &["query", "response"], "queries to a server on loopback", &[load::queries]),
    Case::of("drops", &["kfree_skb"], "datagrams to a closed port", &[load::closed_port]),
    Case::of(
        "hardirqs",
        &["irq_handler_entry", "irq_handler_exit"],
        "a mixed load",
        &[load::switches, load::processes, load::files],
    ),
    Case::of("llcstat", &["sched_switch"], "two threads that wait for each other", &[load::switches])
        .with("by: cgroup, events: faults"),
    Case::of(
        "oncpu",
        &["sched_switch"],
        "two threads that wait for each other, forks",
        &[load::switches, load::processes],
    )
    .with("cg: cgroup"),
    Case::of(
        "packets",
        &["net_dev_start_xmit", "netif_receive_skb"],
        "segments of TCP on loopback, back and forth",
        &[load::round_trips],
    ),
    Case::of(
        "pagefaults",
        &["page_fault_user", "sched_process_exit"],
        "new memory, forks",
        &[load::memory, load::processes],
    )
    .with("cg: cgroup"),
    Case::of(
        "processes",
        &["sched_process_fork", "sched_process_exec", "sched_process_exit"],
        "forks and execs",
        &[load::processes, load::processes],
    ),
    Case::of(
        "reclaim",
        &["mm_vmscan_memcg_reclaim_begin", "mm_vmscan_memcg_reclaim_end"],
        "a file that is larger than the limit of its cgroup",
        &[load::reclaims],
    ),
    Case::of(
        "runqlat",
        &["sched_switch", "sched_wakeup", "sched_wakeup_new"],
        "two threads that wait for each other, forks",
        &[load::switches, load::processes],
    )
    .with("cg: cgroup"),
    Case::of("runqlen", &["sample"], "99 samples a second", &[load::switches, load::processes]),
    Case::of(
        "sched",
        &["sched_switch", "sched_migrate_task"],
        "two threads that wait for each other, forks",
        &[load::switches, load::processes],
    ),
    Case::of("signals", &["signal_generate"], "signals of shells, children that end", &[load::signals, load::signals]),
    Case::of(
        "softirqs",
        &["softirq_raise", "softirq_entry", "softirq_exit"],
        "datagrams on loopback, forks",
        &[load::closed_port, load::processes],
    ),
    Case::of(
        "syscalls",
        &["sys_enter", "sys_exit"],
        "calls that do next to nothing, one in nine fails",
        &[load::calls],
    ),
    Case {
        compared: "calltimes",
        ..Case::of("syscalls", &["sys_enter", "sys_exit"], "the same, with the option `seconds`", &[load::calls])
            .with("seconds: classic")
    },
    Case::of("tcpconnect", &["inet_sock_set_state"], "connections on loopback", &[load::connections]),
    Case::of("tcplife", &["inet_sock_set_state"], "connections on loopback", &[load::connections]),
    Case::of("tcploss", &["tcp_send_reset", "tcp_receive_reset"], "connections to a closed port", &[load::refused]),
    Case::of("tcploss", &["tcp_retransmit_skb"], "a wire that loses one in twenty segments", &[load::losses]),
    Case::of("tcprtt", &["tcp_probe"], "segments of TCP on loopback, back and forth", &[load::round_trips]),
    Case::of(
        "timers",
        &["timer_start", "hrtimer_start"],
        "short sleeps, segments of TCP",
        &[load::sleeps, load::round_trips],
    ),
    Case::of("udp", &["udp_fail_queue_rcv_skb"], "datagrams to a socket that nobody reads", &[load::overflow]),
    Case::of(
        "writeback",
        &["writeback_start", "writeback_written"],
        "a file of ext4 that is written and synced",
        &[load::synced_files],
    ),
];
