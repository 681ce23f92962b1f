/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Counters of what went wrong, and of what took longer than usual. The component knows the numbers: append, never renumber.
 */
#ifndef EBHOST_LOST_H
#define EBHOST_LOST_H

#include "bpf.h"

/*
 * Requests that were not counted, each once, by reason. The kernel may skip a program: from 6.1 on if an
 * interrupt arrives while the same program runs on that CPU (recursion_misses in its statistics).
 */
enum lost {
	/* There was no room for the disk, operation and flags: the statistics of the tables have these. */
	LOST_BANKS_FULL,
	/* Its start was not recorded, after `parts` and `strays` had both been full. */
	LOST_STARTS_FULL,
	/* Its start was not recorded: it failed before its issue, or the program was skipped. */
	LOST_NO_START,
	/* Its completion was not seen. This is detected when its tag is used by the next request. */
	LOST_NO_END,
	LOST_REASONS,
};

/* Requests that were counted, but cost more than usual. */
enum slow {
	/* The CPU had no free bank: the statistics of the tables have these. */
	SLOW_BANKS_FULL,
	/* The tag had no part: timed in `strays`. */
	SLOW_STARTS_FULL,
	SLOW_REASONS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOST_REASONS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOW_REASONS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
} slow SEC(".maps");

static __always_inline void count_lost(u32 reason)
{
	u64 *count = bpf_map_lookup_elem(&lost, &reason);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void count_slow(u32 reason)
{
	u64 *count = bpf_map_lookup_elem(&slow, &reason);

	if (count)
		__sync_fetch_and_add(count, 1);
}

#endif
