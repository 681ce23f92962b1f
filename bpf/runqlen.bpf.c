// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How many tasks of a CPU run or wait to run, sampled.
#include "ebhost/counts.h"
#include "ebhost/runqueue.h"

// Bounds: 0 to 4, then 6, 8, 12, 16, 24, 32, 48, 64.
#define BOUNDS_OF_LENGTH 13

static __always_inline u32 slot_of_length(u64 length)
{
	u32 top;

	if (length <= 4)
		return length;
	if (length > 64)
		return BOUNDS_OF_LENGTH;
	// Two bounds for each power of two: 1.5 times the one before, and itself.
	top = log2(length - 1);
	return 2 * top + 1 + ((length - 1) >> (top - 1) & 1);
}

HISTOGRAM(lengths, u32, BOUNDS_OF_LENGTH + 1, slot_of_length)

static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

SEC("perf_event")
int sample(void *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();

	lengths_observe(&cpu, rq_of(bpf_get_current_task_btf())->nr_running);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
