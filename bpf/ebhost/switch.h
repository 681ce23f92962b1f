/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The state in which a task leaves its CPU, for programs on tp_btf/sched_switch, and the CPU of a task.
 */
#ifndef EBHOST_SWITCH_H
#define EBHOST_SWITCH_H

#include "task.h"

/* Bits of a task's state, the same in all kernels; 0: it could run. */
#define STATE_INTERRUPTIBLE 1
#define STATE_UNINTERRUPTIBLE 2
#define STATE_DEAD 0x80 /* it has run for the last time */
#define STATE_STOPPED (4 | 8) /* by a signal or a debugger */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct thread_info___cpu {
	u32 cpu; /* from 5.16 on, if the architecture has it there */
};

struct task_struct___thread_info {
	struct thread_info___cpu thread_info;
};

struct task_struct___cpu {
	u32 cpu;
};

#pragma clang attribute pop

/* From 5.18 on the tracepoint has the state that decided, which a signal that arrives at this moment does not change. The leading pointer
 * is the tracepoint's private data. */
typedef void (*btf_trace_sched_switch___state)(void *, bool, struct task_struct *, struct task_struct *, unsigned int);

/* The state of the task that leaves the CPU. `args` are those of the program. */
static __always_inline u32 switched_state(u64 *args)
{
	struct task_struct *prev = (void *)args[1];

	if (bpf_core_type_exists(btf_trace_sched_switch___state))
		return args[3];
	return bpf_core_field_exists(((struct task_struct___state *)prev)->__state) ?
		       ((struct task_struct___state *)prev)->__state :
		       ((struct task_struct___long *)prev)->state;
}

/* The CPU on which a task runs, or ran last. */
static __always_inline u32 cpu_of(struct task_struct *task)
{
	struct task_struct___thread_info *with_info = (void *)task;
	struct task_struct___cpu *with_cpu = (void *)task;

	return bpf_core_field_exists(with_cpu->cpu) ? with_cpu->cpu : with_info->thread_info.cpu;
}

#endif
