/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A task as latency tools see it: its cgroup, its process, whether it still wants a CPU. CO-RE relocates the fields.
 */
#ifndef EBHOST_TASK_OF_H
#define EBHOST_TASK_OF_H

#include "../task.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___state {
	u32 __state; /* from 5.14 on */
};

struct task_struct___long {
	long state;
};

#pragma clang attribute pop

/* The id of its cgroup in the cgroup v2 hierarchy: a key of the lookup table `cgroup`. */
static __always_inline u64 cgroup_of(struct task_struct *task)
{
	return task->cgroups->dfl_cgrp->kn->id;
}

/* Whether it could run: it is not asleep, stopped or gone. */
static __always_inline bool is_runnable(struct task_struct *task)
{
	struct task_struct___state *now = (void *)task;
	struct task_struct___long *before = (void *)task;

	return bpf_core_field_exists(now->__state) ? now->__state == 0 : before->state == 0;
}

#endif
