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
#include "ebhost/associative.h"
#include "ebhost/cgroup.h"
#include "ebhost/counts.h"
#include "ebhost/program.h"

char LICENSE[] SEC("license") = "GPL";

#define PF_EXITING 0x4

enum type { TYPE_MINOR, TYPE_MAJOR, TYPES };

COUNTS(faults, u64, TYPES)
/* The counts of each thread as they were last: major faults in the upper half, minor ones in the lower. They wrap around. */
ASSOCIATIVE_BY_TASK(seen, 4096)

/* When the first program ran. */
static u64 attached;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___faults {
	u64 min_flt;
	u64 maj_flt;
	u64 start_time;
	u32 flags;
};

#pragma clang attribute pop

static __always_inline u64 faults_of(struct task_struct *task)
{
	struct task_struct___faults *counted = (void *)task;

	return counted->maj_flt << 32 | (u32)counted->min_flt;
}

/* Counts what the faults of a thread grew by since they were `before`; 0: they were not seen before. */
static __always_inline int count_growth(struct task_struct *task, u64 before, u64 now)
{
	struct task_struct___faults *counted = (void *)task;
	u32 minor = (u32)now - (u32)before, major = (now >> 32) - (before >> 32);
	u64 cgroup, *values;

	/* Counts do not fall: a task that had this address before ended unseen, and left its own. */
	if ((int)minor < 0 || (int)major < 0) {
		before = 0;
		minor = now;
		major = now >> 32;
	}
	if (!before) {
		if (!attached)
			attached = bpf_ktime_get_ns();
		if (counted->start_time < attached)
			return 0;
	}
	if (!minor && !major)
		return 0;
	cgroup = cg_of(task);
	values = faults_values(&cgroup, NULL);
	if (values && minor)
		__sync_fetch_and_add(&values[TYPE_MINOR], minor);
	if (values && major)
		__sync_fetch_and_add(&values[TYPE_MAJOR], major);
	return 0;
}

static __always_inline int count_faults(struct task_struct *task)
{
	u64 now = faults_of(task), before = 0, *last;

	/* A thread of the kernel, as a rule. */
	if (!now)
		return 0;
	last = seen_at(task);
	if (last) {
		before = *last;
		*last = now;
	} else {
		seen_set(task, now);
	}
	return count_growth(task, before, now);
}

TP_BTF(page_fault_user)
{
	return count_faults(bpf_get_current_task_btf());
}

/* Where the architecture has no such tracepoint, and before Linux 5.11: when the thread leaves its CPU. */
TP_BTF(sched_switch, u64 preempt, struct task_struct *prev)
{
	/* Its faults were counted when it exited. */
	if (((struct task_struct___faults *)prev)->flags & PF_EXITING)
		return 0;
	return count_faults(prev);
}

TP_BTF(sched_process_exit, struct task_struct *task)
{
	return count_growth(task, seen_take(task), faults_of(task));
}
