// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Context switches by their kind, and migrations of tasks between CPUs, as the scheduler itself counts them.
#include "ebhost/counts.h"
#include "ebhost/cgroup.h"
#include "ebhost/program.h"
#include "ebhost/switch.h"

enum event {
	VOLUNTARY, // the task gave up its CPU: voluntary_ctxt_switches in /proc/PID/status
	INVOLUNTARY, // it could have run on: nonvoluntary_ctxt_switches
	FROM_IDLE, // from the idle task
	MIGRATION,
	EVENTS,
};

// By cgroup.
COUNTS(events, u64, EVENTS)

// Without attribution: the counts of each CPU. A key would cost more than the rest.
struct totals {
	u64 counts[EVENTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct totals);
} totals SEC(".maps");

// Both programs run with interrupts disabled, so neither interrupts the other: nothing is added atomically.
static __always_inline int count(struct task_struct *task, enum event event)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct totals *own;
	u64 cgroup;

	if (targ_cg) {
		cgroup = cgroup_of(task);
		events_add_alone(&cgroup, event, 1);
		return 0;
	}
	own = bpf_map_lookup_elem(&totals, &cpu);
	if (own)
		own->counts[event]++;
	return 0;
}

TP_BTF(sched_switch, u64 preempt, struct task_struct *prev)
{
	if (!prev->pid)
		return count(prev, FROM_IDLE);
	return count(prev, (u8)preempt || !switched_state(args) ? INVOLUNTARY : VOLUNTARY);
}

TP_BTF(sched_migrate_task, struct task_struct *task, u64 cpu)
{
	if (cpu_of(task) == (u32)cpu) // it stays; the kernel does not count it either
		return 0;
	return count(task, MIGRATION);
}

char LICENSE[] SEC("license") = "GPL";
