/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The jobs of the packages about the scheduler, interrupts, processes and system calls. */
#ifndef EBHOST_COSTS_TASKS_H
#define EBHOST_COSTS_TASKS_H

#include "../ebhost/runqueue.h"
#include "hash.h"

EMPTY(sched_switch)
EMPTY(sched_wakeup)
EMPTY(sched_wakeup_new)
EMPTY(sched_migrate_task)
EMPTY(sched_process_fork)
EMPTY(sched_process_exec)
EMPTY(sched_process_exit)
EMPTY(softirq_raise)
EMPTY(softirq_entry)
EMPTY(softirq_exit)
EMPTY(irq_handler_entry)
EMPTY(irq_handler_exit)
EMPTY(signal_generate)
EMPTY(timer_start)
EMPTY(hrtimer_start)
EMPTY(sys_enter)
EMPTY(sys_exit)

AT(sched_wakeup, runqlat_sched_wakeup)
{
	start(((struct task_struct *)args[0])->pid, 0);
	return 0;
}

AT(sched_wakeup_new, runqlat_sched_wakeup_new)
{
	start(((struct task_struct *)args[0])->pid, 0);
	return 0;
}

AT(sched_switch, runqlat_sched_switch)
{
	struct task_struct *prev = (void *)args[1], *next = (void *)args[2];
	struct bucket key = { .owner = cgroup_of(next) };
	u64 ns;

	if (prev->pid && is_runnable(prev))
		start(prev->pid, 0);
	ns = taken(next->pid, 0);
	return ns ? observe(&key, ns) : 0;
}

AT(sched_switch, sched_sched_switch)
{
	struct bucket key = { .kind = (u8)args[0] || !switched_state(args) };

	return add(&key, 1);
}

AT(sched_migrate_task, sched_sched_migrate_task)
{
	struct bucket key = { .kind = 2 };

	return add(&key, 1);
}

AT(sched_switch, oncpu_sched_switch)
{
	struct task_struct *prev = (void *)args[1], *next = (void *)args[2];
	struct bucket key = { .owner = cgroup_of(prev) };
	u64 ns;

	if (prev->pid) {
		ns = taken(prev->pid, 1);
		if (ns)
			observe(&key, ns);
		start(prev->pid, 2);
	}
	if (next->pid) {
		key.owner = cgroup_of(next);
		key.kind = 1;
		ns = taken(next->pid, 2);
		if (ns)
			observe(&key, ns);
		start(next->pid, 1);
	}
	return 0;
}

AT(softirq_raise, softirqs_softirq_raise)
{
	start(bpf_get_smp_processor_id(), 16 + args[0]);
	return 0;
}

AT(softirq_entry, softirqs_softirq_entry)
{
	struct bucket key = { .kind = args[0] };
	u64 ns = taken(bpf_get_smp_processor_id(), 16 + args[0]);

	start(bpf_get_smp_processor_id(), 3);
	return ns ? observe(&key, ns) : 0;
}

AT(softirq_exit, softirqs_softirq_exit)
{
	struct bucket key = { .kind = 64 + args[0] };
	u64 ns = taken(bpf_get_smp_processor_id(), 3);

	return ns ? observe(&key, ns) : 0;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct irqaction {
	const char *name;
};

struct timer_list {
	void *function;
};

struct hrtimer {
	void *function;
};

struct pt_regs___x86 {
	u64 orig_ax;
};

#pragma clang attribute pop

AT(irq_handler_entry, hardirqs_irq_handler_entry)
{
	start(bpf_get_smp_processor_id(), 4);
	return 0;
}

AT(irq_handler_exit, hardirqs_irq_handler_exit)
{
	struct named_bucket key = { .bucket.kind = args[0] };
	u64 ns = taken(bpf_get_smp_processor_id(), 4);

	probe_read_kernel_str(key.name, sizeof(key.name), ((struct irqaction *)args[1])->name);
	return ns ? observe_named(&key, ns) : 0;
}

AT(signal_generate, signals_signal_generate)
{
	struct bucket key = { .owner = args[0], .kind = args[4], .slot = 1 };

	return add(&key, 1);
}

static __always_inline int count_timer(const void *function_field, u32 kind)
{
	struct bucket key = { .kind = kind, .slot = 2 };

	probe_read_kernel(&key.owner, sizeof(key.owner), function_field);
	return add(&key, 1);
}

AT(timer_start, timers_timer_start)
{
	return count_timer(&((struct timer_list *)args[0])->function, 0);
}

AT(hrtimer_start, timers_hrtimer_start)
{
	return count_timer(&((struct hrtimer *)args[0])->function, 1);
}

AT(sched_process_fork, processes_sched_process_fork)
{
	struct bucket key = { .slot = 3 };

	return add(&key, 1);
}

AT(sched_process_exec, processes_sched_process_exec)
{
	struct bucket key = { .slot = 4 };

	return add(&key, 1);
}

AT(sched_process_exit, processes_sched_process_exit)
{
	struct task_struct *task = (void *)args[0];
	struct bucket key = { .slot = 5 };

	if (task->signal->live.counter)
		return 0;
	add(&key, 1);
	key.kind = 1;
	return observe(&key, bpf_ktime_get_ns() - task->group_leader->start_time);
}

AT(sys_enter, syscalls_sys_enter)
{
	struct bucket key = { .kind = args[1], .slot = 6 };

	return add(&key, 1);
}

AT(sys_exit, syscalls_sys_exit)
{
	struct bucket key = { .slot = 7 };

	if ((s64)args[1] >= 0)
		return 0;
	key.owner = args[1];
	key.kind = bpf_core_field_exists(((struct pt_regs___x86 *)0)->orig_ax) ? ((struct pt_regs___x86 *)args[0])->orig_ax : 0;
	return add(&key, 1);
}

/* With start times. */
AT(sys_enter, calltimes_sys_enter)
{
	struct bucket key = { .kind = args[1], .slot = 6 };

	start(current_thread(), 6);
	return add(&key, 1);
}

AT(sys_exit, calltimes_sys_exit)
{
	u32 call = bpf_core_field_exists(((struct pt_regs___x86 *)0)->orig_ax) ? ((struct pt_regs___x86 *)args[0])->orig_ax : 0;
	struct bucket key = { .owner = args[1], .kind = call, .slot = 7 }, times = { .owner = 1, .kind = call };
	u64 ns = taken(current_thread(), 6);

	if (ns)
		observe(&times, ns);
	return (s64)args[1] < 0 ? add(&key, 1) : 0;
}

/* The host puts events into these. */
struct {
	__uint(type, 4); /* BPF_MAP_TYPE_PERF_EVENT_ARRAY */
	__uint(max_entries, 0);
	__type(key, u32);
	__type(value, u32);
} references SEC(".maps"), misses SEC(".maps");

struct reading {
	u64 counter, enabled, running;
};

static long (*const perf_event_read_value)(void *map, u64 flags, struct reading *value, u32 size) = (void *)55;

/* Charges what an event of this CPU grew by to the cgroup of a task. */
static __always_inline void charge(void *event, u32 kind, struct task_struct *task)
{
	u64 cpu = start_key(bpf_get_smp_processor_id(), kind), *last = bpf_map_lookup_elem(&starts, &cpu);
	struct bucket key = { .owner = cgroup_of(task), .kind = kind };
	struct reading now;

	if (perf_event_read_value(event, 0xffffffffull, &now, sizeof(now)))
		return;
	if (last && now.counter > *last)
		add(&key, now.counter - *last);
	bpf_map_update_elem(&starts, &cpu, &now.counter, BPF_ANY);
}

AT(sched_switch, llcstat_sched_switch)
{
	charge(&references, 9, (void *)args[1]);
	charge(&misses, 10, (void *)args[1]);
	return 0;
}

SEC("perf_event") int empty_sample(void *ctx) { return 0; }

SEC("perf_event") int runqlen_sample(void *ctx)
{
	struct bucket key = { .owner = bpf_get_smp_processor_id(), .kind = 8 };
	u32 length = rq_of(bpf_get_current_task_btf())->nr_running;

	return observe_in(&key, length < 64 ? length : 64, length);
}

#endif
