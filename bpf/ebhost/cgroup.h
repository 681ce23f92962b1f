/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Attribution to cgroups, if the option `cg` of a package says so:
 *
 *	options: { cg: { …, when: { cgroup: { globals: { targ_cg: true } }, unit: { globals: { targ_cg: true } } } } }
 *
 * A key has 8 bytes for the cgroup, whatever is chosen; they are 0 without the option, and then all cgroups share one key.
 */
#ifndef EBHOST_CGROUP_H
#define EBHOST_CGROUP_H

#include "task.h"

const volatile bool targ_cg = false;

static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;

/* The cgroup of a task that the verifier knows, as an argument of a program on tp_btf is. */
static __always_inline u64 cg_of(struct task_struct *task)
{
	return targ_cg ? cgroup_of(task) : 0;
}

/* The cgroup of the task that runs on this CPU. */
static __always_inline u64 current_cg(void)
{
	return targ_cg ? bpf_get_current_cgroup_id() : 0;
}

#endif
