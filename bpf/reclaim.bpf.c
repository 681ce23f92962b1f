// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * How long tasks had to free or compact memory themselves before they got any, and how often kswapd was woken to do it.
 *
 * A task reclaims because the machine is short of memory (`machine`) or because its cgroup is at a limit (`cgroup`).
 * Start times are by thread. Storage of the task would be allocated here, where memory is short.
 */
#include "current.h"
#include "ebhost/associative.h"
#include "ebhost/cgroup.h"
#include "ebhost/counts.h"
#include "ebhost/durations.h"
#include "ebhost/program.h"
#include "task.h"

char LICENSE[] SEC("license") = "GPL";

/* The component's configuration knows the numbers. */
enum scope { SCOPE_MACHINE, SCOPE_CGROUP };

struct stall {
	u64 cgroup;
	u32 scope;
	u32 zero;
};

DURATIONS(stalls, struct stall)
DURATIONS(compact, u64)
COUNTS(wakes, u32, 1)
STAMPS_BY_NUMBER(reclaims, 512, 4096)
STAMPS_BY_NUMBER(compacts, 512, 4096)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___flags {
	u32 flags;
};

#pragma clang attribute pop

#define PF_KTHREAD 0x00200000

static long (*const bpf_probe_read_kernel)(void *to, u32 bytes, const void *from) = (void *)113;

/* Whether the current task is a thread of the kernel, such as kcompactd, for which nobody waits. */
static __always_inline bool is_kernel_thread(void)
{
	struct task_struct___flags *task = (void *)bpf_get_current_task();
	u32 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), &task->flags);
	return flags & PF_KTHREAD;
}

static __always_inline int begin_reclaim(void)
{
	reclaims_set(current_thread(), bpf_ktime_get_ns());
	return 0;
}

static __always_inline int end_reclaim(enum scope scope)
{
	struct stall stall = { .cgroup = current_cg(), .scope = scope };
	u64 since = reclaims_take(current_thread());

	if (since)
		stalls_time(&stall, bpf_ktime_get_ns() - since);
	return 0;
}

TP_BTF(mm_vmscan_direct_reclaim_begin) { return begin_reclaim(); }
TP_BTF(mm_vmscan_direct_reclaim_end) { return end_reclaim(SCOPE_MACHINE); }
TP_BTF(mm_vmscan_memcg_reclaim_begin) { return begin_reclaim(); }
TP_BTF(mm_vmscan_memcg_reclaim_end) { return end_reclaim(SCOPE_CGROUP); }

TP_BTF(mm_compaction_begin)
{
	if (!is_kernel_thread())
		compacts_set(current_thread(), bpf_ktime_get_ns());
	return 0;
}

TP_BTF(mm_compaction_end)
{
	u64 since = compacts_take(current_thread()), cgroup = current_cg();

	if (since)
		compact_time(&cgroup, bpf_ktime_get_ns() - since);
	return 0;
}

TP_BTF(mm_vmscan_kswapd_wake, u64 node)
{
	u32 key = node;

	wakes_add(&key, 0, 1);
	return 0;
}
