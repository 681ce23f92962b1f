// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Page faults by cgroup.
 *
 * The kernel counts the minor and major faults of each thread (getrusage shows them). This program reads those counts when the thread
 * faults in user mode, and when it exits, and counts what they grew by for the cgroup that the thread is in. So what a fault turned out to be
 * is known without a hook at its end, and faults in kernel mode are included. The last fault of a running thread is counted with its next one.
 *
 * Threads that are older than the programs begin with what they have. They are told by their start time, because new ones begin with 0.
 */
#include "current.h"
#include "ebhost/cgroup.h"
#include "ebhost/counts.h"
#include "ebhost/program.h"
#include "ebhost/stamps.h"

char LICENSE[] SEC("license") = "GPL";

enum type { TYPE_MINOR, TYPE_MAJOR, TYPES };

COUNTS(faults, u64, TYPES)
/* Of each thread, its counts as they were last: major faults in the upper half, minor ones in the lower. They wrap around. */
STAMPS_BY_TASK(seen)

/* When the first program ran. */
static u64 attached;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___faults {
	u64 min_flt;
	u64 maj_flt;
	u64 start_time;
};

#pragma clang attribute pop

static __always_inline int count_faults(struct task_struct *task)
{
	struct task_struct___faults *counted = (void *)task;
	u32 minor = counted->min_flt, major = counted->maj_flt;
	u64 before = seen_take(task), cgroup;

	if (!attached)
		attached = bpf_ktime_get_ns();
	/* A thread of the kernel, as a rule. */
	if (!minor && !major && !before)
		return 0;
	seen_set(task, (u64)major << 32 | minor);
	if (!before && counted->start_time < attached)
		return 0;
	cgroup = cg_of(task);
	minor -= before;
	major -= before >> 32;
	if (minor)
		faults_add(&cgroup, TYPE_MINOR, minor);
	if (major)
		faults_add(&cgroup, TYPE_MAJOR, major);
	return 0;
}

TP_BTF(page_fault_user)
{
	return count_faults(bpf_get_current_task_btf());
}

/* Where the architecture has no such tracepoint: when the thread leaves its CPU. */
TP_BTF(sched_switch, u64 preempt, struct task_struct *prev)
{
	return count_faults(prev);
}

TP_BTF(sched_process_exit, struct task_struct *task)
{
	return count_faults(task);
}
