// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How long tasks ran at a stretch, and how long they were off the CPU between, by why they were.
#include "ebhost/cgroup.h"
#include "ebhost/durations.h"
#include "ebhost/program.h"
#include "ebhost/switch.h"

#define STATE_NO_LOAD 0x400 // kernel threads that wait for work

enum reason {
	ON_CPU,
	RUNNABLE,
	INTERRUPTIBLE,
	UNINTERRUPTIBLE,
	STOPPED,
	OTHER,
};

struct off {
	u64 cgroup;
	u32 reason;
	u32 padding;
};

DURATIONS(running, u64)
DURATIONS(waiting, struct off)

struct stretch {
	u64 since;
	u64 reason;
};

struct {
	__uint(type, 29); // BPF_MAP_TYPE_TASK_STORAGE
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct stretch);
} stretches SEC(".maps");

static struct stretch *(*const task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
#define CREATE 1

static __always_inline enum reason reason_of(u32 state)
{
	if (!state)
		return RUNNABLE;
	if (state & STATE_STOPPED)
		return STOPPED;
	if (state & STATE_NO_LOAD)
		return OTHER;
	if (state & STATE_UNINTERRUPTIBLE)
		return UNINTERRUPTIBLE;
	return state & STATE_INTERRUPTIBLE ? INTERRUPTIBLE : OTHER;
}

// Begins a stretch of a task; returns the one that ends.
static __always_inline struct stretch next_stretch(struct task_struct *task, u64 now, enum reason reason)
{
	struct stretch *slot = task_storage_get(&stretches, task, NULL, CREATE), ended = {};

	if (!slot)
		return ended;
	ended = *slot;
	slot->since = now;
	slot->reason = reason;
	return ended;
}

// Interrupts are disabled, and nothing else counts.
TP_BTF(sched_switch, u64 preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 now = bpf_ktime_get_ns();
	struct stretch ended;

	if (prev->pid) {
		u64 cgroup = cg_of(prev);

		ended = next_stretch(prev, now, (u8)preempt ? RUNNABLE : reason_of(switched_state(args)));
		if (ended.since && ended.reason == ON_CPU)
			running_time_alone(&cgroup, now - ended.since);
	}
	if (next->pid) {
		struct off off = { .cgroup = cg_of(next) };

		ended = next_stretch(next, now, ON_CPU);
		off.reason = ended.reason;
		if (ended.since && ended.reason != ON_CPU)
			waiting_time_alone(&off, now - ended.since);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
