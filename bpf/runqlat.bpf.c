// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How long tasks waited for a CPU, by cgroup: from being woken, or being switched out while they could run, to running.
#include "ebhost/counts.h"
#include "ebhost/program.h"
#include "ebhost/stamps.h"
#include "ebhost/task.h"

STAMPS_BY_TASK(queued)
LATENCIES(waits, u64)

static __always_inline int wait_begins(struct task_struct *task)
{
	if (task->pid) // the idle task never waits
		queued_set(task, bpf_ktime_get_ns());
	return 0;
}

TP_BTF(sched_wakeup, struct task_struct *task) { return wait_begins(task); }
TP_BTF(sched_wakeup_new, struct task_struct *task) { return wait_begins(task); }

TP_BTF(sched_switch, u64 preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 cgroup = cgroup_of(next), since;

	if (preempt || is_runnable(prev))
		wait_begins(prev);
	since = queued_take(next);
	if (since)
		waits_observe(&cgroup, bpf_ktime_get_ns() - since);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
