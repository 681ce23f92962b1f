// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How long tasks waited for a CPU: the scheduler's own accounting (run_delay in /proc/PID/schedstat), wait by wait.
//
// The scheduler notes when a task begins to wait. It accounts a wait that ends on another CPU in pieces, one at each change of the CPU, so
// a task's wait is what its run_delay grew by since it ran last, and the piece that ends now. No program runs at a wake-up.
#include "ebhost/associative.h"
#include "ebhost/cgroup.h"
#include "ebhost/durations.h"
#include "ebhost/program.h"
#include "ebhost/runqueue.h"
#include "ebhost/switch.h"

DURATIONS(waits, u64)

// The run_delay of each task when it began to run last.
ASSOCIATIVE_BY_TASK(delays, 4096)

TP_BTF(sched_switch, u64 preempt, struct task_struct *prev, struct task_struct *next)
{
	struct sched_info *info = sched_info_of(next);
	u64 queued = info->last_queued, before, wait, cgroup, *delay;

	if (switched_state(args) == STATE_DEAD)
		delays_forget(prev);
	if (!queued) // idle tasks do not wait
		return 0;
	wait = rq_of(next)->clock - queued;
	before = info->run_delay;
	delay = delays_at(next);
	if (delay && info->pcount) { // before 5.13 a new task may find what one of its id has left
		wait += before - *delay;
		*delay += wait;
	} else {
		// Seen for the first time: what it waited for before is not known, unless it is new.
		if (!info->pcount)
			wait += before;
		before = wait + (info->pcount ? before : 0);
		delays_set(next, before);
	}
	cgroup = cg_of(next);
	waits_time_alone(&cgroup, wait); // interrupts are disabled, and nothing else counts
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
