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

COUNTS(events, u64, EVENTS)

static __always_inline int count(struct task_struct *task, enum event event)
{
	u64 cgroup = cg_of(task);

	events_add(&cgroup, event, 1);
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
