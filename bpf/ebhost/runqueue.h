/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The scheduler's accounting of tasks and run queues. Kernels with CONFIG_SCHED_INFO (selected by CONFIG_SCHEDSTATS and by
 * CONFIG_TASK_DELAY_ACCT) and CONFIG_FAIR_GROUP_SCHED have it, as distributions' do.
 *
 * Its times are of the run queue's clock, which is up to date in sched_switch and is not the clock of bpf_ktime_get_ns().
 */
#ifndef EBHOST_RUNQUEUE_H
#define EBHOST_RUNQUEUE_H

#include "task.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sched_info {
	u64 pcount; /* how often it got a CPU after it had waited */
	u64 run_delay; /* ns that it waited, in all */
	u64 last_queued; /* since when it waits; 0: it does not */
};

struct rq {
	u32 nr_running;
	u64 clock;
};

struct cfs_rq {
	struct rq *rq;
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
};

struct task_struct___sched {
	struct sched_info sched_info;
	struct sched_entity se;
};

#pragma clang attribute pop

static __always_inline struct sched_info *sched_info_of(struct task_struct *task)
{
	return &((struct task_struct___sched *)task)->sched_info;
}

/* The run queue of the CPU on which a task runs or waits. Not by the symbol `runqueues`, which kernels without CONFIG_KALLSYMS_ALL hide. */
static __always_inline struct rq *rq_of(struct task_struct *task)
{
	return ((struct task_struct___sched *)task)->se.cfs_rq->rq;
}

#endif
