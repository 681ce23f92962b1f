// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Processes that the kernel chose to kill because memory ran out, by their cgroup.
 *
 * Kernels without the victim among the tracepoint's arguments (its process id alone) name the cgroup of the task that ran out of memory. That is
 * the victim's, or one below the same limit, unless the whole machine ran out.
 */
#include "ebhost/cgroup.h"
#include "ebhost/counts.h"
#include "ebhost/program.h"

char LICENSE[] SEC("license") = "GPL";

/* By cgroup. */
COUNTS(kills, u64, 1)

/* Without attribution: an entry that is there from the start, so that the first kill is an increase. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
} total SEC(".maps");

/* Before 6.8, unless the change was backported. The leading pointer is the tracepoint's private data. */
typedef void (*btf_trace_mark_victim___pid)(void *, int);

/* The cgroup of the task that was chosen. */
static __always_inline u64 cgroup_of_victim(struct task_struct *victim)
{
	if (bpf_core_type_exists(btf_trace_mark_victim___pid))
		return current_cg();
	barrier_var(victim);
	return cg_of(victim);
}

TP_BTF(mark_victim, struct task_struct *victim)
{
	u64 cgroup, *count;
	u32 zero = 0;

	if (targ_cg) {
		cgroup = cgroup_of_victim(victim);
		kills_add(&cgroup, 0, 1);
		return 0;
	}
	count = bpf_map_lookup_elem(&total, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
