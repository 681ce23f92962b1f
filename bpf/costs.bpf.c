/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Programs to compare those of the packages with, for `cargo xtask bench cost`; not for users.
 *
 * For each hook there is one program that does nothing (`empty_HOOK`), and for each package one that does the same job as the
 * package's with ordinary BPF hashes (`PACKAGE_HOOK`), as most tools do it: start times by thread or CPU in a hash, and one
 * entry of a hash for each bucket.
 */
#include "buckets.h"
#include "ebhost/program.h"
#include "ebhost/switch.h"

char LICENSE[] SEC("license") = "GPL";

static long (*const probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*const probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;

struct times {
	u64 owner;
	u64 kind;
};

struct bucket {
	u64 owner;
	u32 kind;
	u32 slot;
	char name[32];
};

/* Start times. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct times);
	__type(value, u64);
} starts SEC(".maps");

/* Counts, each by its whole label set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct bucket);
	__type(value, u64);
} counts SEC(".maps");

static __always_inline int add(const struct bucket *key, u64 amount)
{
	u64 *count = bpf_map_lookup_elem(&counts, key), zero = 0;

	if (!count) {
		bpf_map_update_elem(&counts, key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&counts, key);
	}
	if (count)
		__sync_fetch_and_add(count, amount);
	return 0;
}

/* One observation: its bucket, and the sum. */
static __always_inline int observe(struct bucket *key, u64 ns)
{
	key->slot = bucket_of(ns);
	add(key, 1);
	key->slot = SLOTS;
	return add(key, ns);
}

static __always_inline void start(u64 owner, u64 kind)
{
	struct times key = { .owner = owner, .kind = kind };
	u64 ns = bpf_ktime_get_ns();

	bpf_map_update_elem(&starts, &key, &ns, BPF_ANY);
}

static __always_inline u64 taken(u64 owner, u64 kind)
{
	struct times key = { .owner = owner, .kind = kind };
	u64 *ns = bpf_map_lookup_elem(&starts, &key), passed;

	if (!ns)
		return 0;
	passed = bpf_ktime_get_ns() - *ns;
	bpf_map_delete_elem(&starts, &key);
	return passed;
}

#define AT(hook, name) SEC("tp_btf/" #hook) int name(u64 *args)
#define EMPTY(hook) AT(hook, empty_##hook) { return 0; }

EMPTY(sched_switch)
EMPTY(sched_wakeup)
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
	struct bucket key = {};
	u64 ns;

	if (prev->pid) {
		ns = taken(prev->pid, 1);
		if (ns)
			observe(&key, ns);
		start(prev->pid, 2);
	}
	if (next->pid) {
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

#pragma clang attribute pop

AT(irq_handler_entry, hardirqs_irq_handler_entry)
{
	start(bpf_get_smp_processor_id(), 4);
	return 0;
}

AT(irq_handler_exit, hardirqs_irq_handler_exit)
{
	struct bucket key = { .kind = args[0] };
	u64 ns = taken(bpf_get_smp_processor_id(), 4);

	probe_read_kernel_str(key.name, sizeof(key.name), ((struct irqaction *)args[1])->name);
	return ns ? observe(&key, ns) : 0;
}

AT(signal_generate, signals_signal_generate)
{
	struct bucket key = { .owner = args[0], .kind = args[4], .slot = 1 };

	return add(&key, 1);
}

AT(timer_start, timers_timer_start)
{
	struct bucket key = { .slot = 2 };

	probe_read_kernel(&key.owner, sizeof(key.owner), &((struct timer_list *)args[0])->function);
	return add(&key, 1);
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
