// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Attributes two perf events to tasks: at each context switch, the increase on that CPU since the last switch is charged to the
 * task that is switched out.
 *
 * The host opens the events and puts them into `references` and `misses`; plugin.yaml says which events these are. Every increase is
 * charged once: to the owner that ran (its cgroup, comm or process, by targ_by), to `other` if there is no room for the owner, or
 * to `unattributed` if a switch was missed (the kernel skips a program while another one of the same kind runs on that CPU).
 * The running task is charged when it is switched out, not before.
 *
 * On machines where a program cannot read the events, sample_references and sample_misses run at samples instead. They charge the
 * increase since the CPU's last sample to the task that runs at the sample: the amounts are exact, the owners an estimate.
 *
 * The programs read nothing of a task but what identifies it.
 */
#include "ebhost/counts.h"
#include "notes.h"
#include "perf.h"
#include "task.h"

char LICENSE[] SEC("license") = "GPL";

enum by {
	BY_NONE,
	BY_CGROUP,
	BY_COMM,
	BY_PID,
};

const volatile u32 targ_by = BY_NONE;

#define EVENTS 2
/* Banks of an exited process are looked for on so many CPUs at a time: the verifier looks at the search once, whatever their number is. */
#define CPUS_AT_ONCE 32
/* As many CPUs as any kernel has. */
#define MOST_CPUS 8192

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 0); /* the loader sets it to the number of CPUs */
	__type(key, u32);
	__type(value, u32);
} references SEC(".maps"), misses SEC(".maps");

/* The owner: a cgroup's id, a comm, or a process (its pid and start time, because pids are reused). */
struct who {
	u64 words[2];
};

/* The note of the owner: whether it has exited. */
struct fate {
	u64 has_exited; /* 1: it was a process */
};

static __always_inline void charges_describe(struct fate *fate, void *has_exited)
{
	fate->has_exited = (u64)has_exited;
}

static __always_inline bool charges_may_end(const struct who *who)
{
	return true;
}

/* Events of each owner on each CPU, one number for each kind. */
COUNTS_TABLE(charges, struct who, struct fate, EVENTS)
CHANGE_NOTE(charges, struct who, struct fate)

/* Charges of each CPU without an owner. */
enum folded {
	FOLDED_OTHER,
	FOLDED_UNATTRIBUTED,
	FOLDED_KINDS,
};

struct counts {
	u64 of[EVENTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FOLDED_KINDS * 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct counts);
} folded SEC(".maps");

/* State of one CPU. */
struct cpu {
	struct perf_value at_switch[EVENTS];
	struct perf_value at_sample[EVENTS];
	u32 runs; /* the thread that was switched in last */
	u8 is_known; /* whether `at_switch` and `runs` are valid */
	u8 is_sampled[EVENTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu);
} cpus SEC(".maps");

static __always_inline void fold(u32 kind, const u64 *more)
{
	u32 index = bpf_get_smp_processor_id() * FOLDED_KINDS + kind;
	struct counts *counts = bpf_map_lookup_elem(&folded, &index);

	if (!counts)
		return;
	counts->of[0] += more[0];
	counts->of[1] += more[1];
}

/*
 * `has_exited`: the owner is an exiting process, charged for its last steps, perhaps on a CPU where it had no bank until then. `is_alone`: no other
 * program that charges can interrupt this one.
 */
static __always_inline void charge(const struct who *who, const u64 *more, bool has_exited, bool is_alone)
{
	bool is_own;
	u64 *counts = charges_values_of(who, (void *)(u64)has_exited, &is_own);
	u32 cpu = bpf_get_smp_processor_id();

	if (!counts) {
		fold(FOLDED_OTHER, more);
		return;
	}
	COUNTS_ADD(counts[0], more[0], is_alone && is_own);
	COUNTS_ADD(counts[1], more[1], is_alone && is_own);
	if (has_exited)
		charges_note_on(who, (void *)1, cpu, 1);
}

static __always_inline void who_is(struct task_struct *task, struct who *who)
{
	who->words[0] = 0;
	who->words[1] = 0;
	if (targ_by == BY_CGROUP) {
		who->words[0] = task->cgroups->dfl_cgrp->kn->id;
	} else if (targ_by == BY_COMM) {
		/* Not by a helper that reads any memory: a kernel that is locked down forbids those. */
		who->words[0] = *(u64 *)task->comm;
		who->words[1] = *(u64 *)(task->comm + sizeof(u64));
	} else {
		who->words[0] = (u32)task->tgid;
		who->words[1] = task->group_leader->start_time;
	}
}

/* The owner that runs now, for programs in which the verifier does not know the type of the current task. */
static __always_inline void who_runs(struct who *who)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *leader = NULL;

	who->words[0] = 0;
	who->words[1] = 0;
	if (targ_by == BY_CGROUP) {
		who->words[0] = bpf_get_current_cgroup_id();
	} else if (targ_by == BY_COMM) {
		bpf_get_current_comm(who, COMM_BYTES);
	} else {
		who->words[0] = bpf_get_current_pid_tgid() >> 32;
		bpf_probe_read_kernel(&leader, sizeof(leader), &task->group_leader);
		bpf_probe_read_kernel(&who->words[1], sizeof(u64), &leader->start_time);
	}
}

static __always_inline bool has_current_exited(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct signal_struct *signal = NULL;
	int live = 1;

	bpf_probe_read_kernel(&signal, sizeof(signal), &task->signal);
	bpf_probe_read_kernel(&live, sizeof(live), &signal->live.counter);
	return !live;
}

/* ---- programs ---- */

SEC("tp_btf/sched_switch")
int sched_switch(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	struct perf_value now[EVENTS];
	u64 more[EVENTS];
	struct who who;
	struct cpu *own;
	u32 zero = 0, runs;
	bool was_known;

	own = bpf_map_lookup_elem(&cpus, &zero);
	if (!own)
		return 0;
	/* This CPU has no event: it is absent, or not opened yet. */
	if (bpf_perf_event_read_value(&references, BPF_F_CURRENT_CPU, &now[0], sizeof(now[0])) ||
	    bpf_perf_event_read_value(&misses, BPF_F_CURRENT_CPU, &now[1], sizeof(now[1]))) {
		own->is_known = false;
		return 0;
	}
	runs = own->runs;
	was_known = own->is_known;
	own->runs = next->pid;
	own->is_known = true;
	if (!was_known) {
		own->at_switch[0] = now[0];
		own->at_switch[1] = now[1];
		return 0;
	}
	more[0] = increase(&own->at_switch[0], &now[0]);
	more[1] = increase(&own->at_switch[1], &now[1]);
	if (!(more[0] | more[1]))
		return 0;
	if (runs != prev->pid) {
		fold(FOLDED_UNATTRIBUTED, more);
		return 0;
	}
	who_is(prev, &who);
	charge(&who, more, targ_by == BY_PID && !prev->signal->live.counter, true);
	return 0;
}

/* Notes on CPUS_AT_ONCE CPUs that a process has exited. Returns whether the table ends before or among them. */
__attribute__((noinline)) int note_exited(u64 first_word, u64 second_word, u32 first_cpu)
{
	struct who who = { .words = { first_word, second_word } };

	return charges_note_on(&who, (void *)1, first_cpu, CPUS_AT_ONCE);
}

SEC("tp_btf/sched_process_exit")
int sched_process_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct who who;

	if (targ_by != BY_PID || task->signal->live.counter)
		return 0;
	who_is(task, &who);
	for (u32 cpu = 0; cpu < MOST_CPUS; cpu += CPUS_AT_ONCE) {
		if (note_exited(who.words[0], who.words[1], cpu))
			break;
	}
	charges_note_shared(&who, (void *)1);
	return 0;
}

static __always_inline int sampled(void *ctx, u32 event)
{
	struct perf_value now;
	u64 more[EVENTS] = {};
	struct who who;
	struct cpu *own;
	u32 zero = 0;

	own = bpf_map_lookup_elem(&cpus, &zero);
	if (!own || bpf_perf_prog_read_value(ctx, &now, sizeof(now)))
		return 0;
	if (!own->is_sampled[event]) {
		/* The event counts from its opening on. */
		own->is_sampled[event] = true;
		own->at_sample[event] = (struct perf_value){};
	}
	more[event] = increase(&own->at_sample[event], &now);
	if (!more[event])
		return 0;
	who_runs(&who);
	charge(&who, more, targ_by == BY_PID && has_current_exited(), false);
	return 0;
}

SEC("perf_event")
int sample_references(void *ctx)
{
	return sampled(ctx, 0);
}

SEC("perf_event")
int sample_misses(void *ctx)
{
	return sampled(ctx, 1);
}
