// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Processes: those that were started, what they executed, how they ended and how long they lived.
#include "ebhost/cgroup.h"
#include "ebhost/counts.h"
#include "ebhost/program.h"

#define SIGNAL_GROUP_EXIT 4
#define TERMINATING_SIGNAL 0x7f // in an exit code

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct signal_struct___exit {
	int nr_threads;
	u32 flags;
	int group_exit_code;
};

struct task_struct___exit {
	int exit_code;
	struct signal_struct___exit *signal;
};

#pragma clang attribute pop

enum event {
	PROCESS_FORKED,
	THREAD_FORKED,
	EXECUTED,
	SUCCEEDED,
	FAILED,
	KILLED,
	EVENTS,
};

COUNTS(events, u64, EVENTS)
POWERS_OF_TWO(lives, u64, 10, 36) // µs: 1 ms to 19 h

struct process {
	u64 started;
	u64 id;
};

// Processes with several threads that have ended, so that each is counted once: their last threads may run here at the same time.
struct {
	__uint(type, 9); // BPF_MAP_TYPE_LRU_HASH
	__uint(max_entries, 4096);
	__type(key, struct process);
	__type(value, u64);
} ended SEC(".maps");

// Newer kernels tell whether it is the last thread. The leading pointer is the tracepoint's private data.
typedef void (*btf_trace_sched_process_exit___dead)(void *, struct task_struct *, bool);

static __always_inline int count(struct task_struct *task, enum event event)
{
	u64 cgroup = cg_of(task);

	events_add(&cgroup, event, 1);
	return 0;
}

TP_BTF(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	return count(child, child->pid == child->tgid ? PROCESS_FORKED : THREAD_FORKED);
}

TP_BTF(sched_process_exec, struct task_struct *task)
{
	return count(task, EXECUTED);
}

// Whether the process ends with this thread.
static __always_inline bool is_last_thread(struct task_struct *task, u64 *args)
{
	struct process process = { .started = task->group_leader->start_time, .id = task->tgid };
	u64 ns;

	if (bpf_core_type_exists(btf_trace_sched_process_exit___dead))
		return (u8)args[1];
	if (task->signal->live.counter)
		return false;
	if (((struct task_struct___exit *)task)->signal->nr_threads == 1)
		return true;
	ns = bpf_ktime_get_ns();
	return !bpf_map_update_elem(&ended, &process, &ns, BPF_NOEXIST);
}

TP_BTF(sched_process_exit, struct task_struct *task)
{
	struct task_struct___exit *exiting = (void *)task;
	int code = exiting->exit_code;
	u64 cgroup;

	if (!is_last_thread(task, args))
		return 0;
	if (exiting->signal->flags & SIGNAL_GROUP_EXIT)
		code = exiting->signal->group_exit_code;
	cgroup = cg_of(task);
	lives_observe(&cgroup, (bpf_ktime_get_ns() - task->group_leader->start_time) / 1000);
	return count(task, code & TERMINATING_SIGNAL ? KILLED : code ? FAILED : SUCCEEDED);
}

char LICENSE[] SEC("license") = "GPL";
