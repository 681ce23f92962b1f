/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The task that runs while a program does, and start times that belong to it:
 *
 *	STAMPS_BY_CURRENT(started)    started_begin(ns)    ns = started_end()
 *
 * is STAMPS_BY_TASK(started) for the current task, also on Linux 5.10, where programs do not get the task in a form that can own a stamp.
 * There and up to 5.12 it is a hash by thread id.
 */
#ifndef EBHOST_CURRENT_H
#define EBHOST_CURRENT_H

#include "ebhost/stamps.h"
#include "task.h"

static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
/* From Linux 5.11 on. The verifier knows its type, so it can own a stamp. */
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

/* Its thread id. */
static __always_inline u32 current_thread(void)
{
	return bpf_get_current_pid_tgid();
}

#define STAMPS_BY_CURRENT(name)                                                  \
	STAMPS_BY_TASK(name)                                                     \
                                                                                 \
	STAMPS_UNUSED void name##_begin(u64 ns)                                  \
	{                                                                        \
		u32 thread = current_thread();                                   \
                                                                                 \
		if (STAMPS_KERNEL_HAS(for_each_map_elem))                        \
			name##_set(bpf_get_current_task_btf(), ns);              \
		else                                                             \
			name##_old_set(&thread, ns);                             \
	}                                                                        \
	STAMPS_UNUSED u64 name##_end(void)                                       \
	{                                                                        \
		u32 thread = current_thread();                                   \
                                                                                 \
		if (STAMPS_KERNEL_HAS(for_each_map_elem))                        \
			return name##_take(bpf_get_current_task_btf());          \
		return name##_old_take(&thread);                                 \
	}

#endif
