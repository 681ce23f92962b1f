/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The kernel types of tasks, reduced to the fields that these programs read. CO-RE relocates their offsets.
 */
#ifndef EBHOST_TASK_H
#define EBHOST_TASK_H

#include "bpf.h"

#define COMM_BYTES 16

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not exited */
};

struct task_struct {
	int pid; /* thread id */
	int tgid; /* process id */
	struct task_struct *group_leader;
	u64 start_time;
	char comm[COMM_BYTES];
	struct signal_struct *signal;
	struct css_set *cgroups;
};

#pragma clang attribute pop

#endif
