// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How long a CPU quota kept the tasks of a cgroup from a CPU: what the scheduler adds to throttled_usec in cpu.stat, one time after the other.
//
// The scheduler notes when a cgroup's queue on a CPU is throttled. It takes the time when it ends that, with the lock of the run queue, and
// sets the run queue's clock first. So the start is read before that function, and the clock after it.
#include "ebhost/counts.h"
#include "ebhost/durations.h"
#include "ebhost/program.h"
#include "ebhost/task.h"
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct task_group {
	struct cgroup_subsys_state css;
};

struct rq {
	u64 clock;
};

struct cfs_rq {
	struct rq *rq;
	struct task_group *tg;
	u64 throttled_clock;
};

#pragma clang attribute pop

struct ending {
	struct cfs_rq *queue;
	u64 since;
};

DURATIONS(waits, u64)

// The throttling that ends on each CPU.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ending);
} endings SEC(".maps");

static __always_inline struct ending *slot(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&endings, &cpu);
}

static __always_inline int begin(struct cfs_rq *queue)
{
	struct ending *ending = slot();

	if (ending) {
		ending->queue = queue;
		ending->since = READ(queue->throttled_clock);
	}
	return 0;
}

static __always_inline int end(void)
{
	struct ending *ending = slot();
	struct cfs_rq *queue;
	struct rq *rq;
	struct task_group *group;
	struct cgroup *cgroup;
	struct kernfs_node *node;
	u64 id, clock;

	if (!ending || !ending->since)
		return 0;
	queue = ending->queue;
	rq = READ(queue->rq);
	clock = READ(rq->clock);
	group = READ(queue->tg);
	cgroup = READ(group->css.cgroup);
	node = READ(cgroup->kn);
	id = READ(node->id);
	if (clock > ending->since)
		waits_time(&id, clock - ending->since);
	ending->since = 0;
	return 0;
}

SEC("fentry/unthrottle_cfs_rq") int begin_fentry(u64 *args) { return begin((void *)args[0]); }
SEC("fexit/unthrottle_cfs_rq") int end_fexit(u64 *args) { return end(); }

// For kernels without these.
SEC("kprobe/unthrottle_cfs_rq") int begin_kprobe(void *registers) { return begin(first_argument(registers)); }
SEC("kretprobe/unthrottle_cfs_rq") int end_kretprobe(void *registers) { return end(); }

char LICENSE[] SEC("license") = "GPL";
