/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Programs that count, for the benchmark and the tests of ebhost/counts.h; not for users.
 *
 * - Cost: four programs on one hook count with the same keys, in banks, in a hash, in a per-CPU hash, and not at all.
 * - Nothing is lost: a program in process context (getppid(2) of threads with one name) and one in interrupts (samples of the CPU clock), which
 *   interrupts the first, count in the same tables and, independently, in `truth`.
 * - Nothing is lost when keys come and go: a program counts with one key after another.
 */
#include "ebhost/counts.h"

enum {
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
};

static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static long (*const bpf_get_current_comm)(void *comm, u32 size) = (void *)16;

char LICENSE[] SEC("license") = "GPL";

/* Keys are made of ids from 0 on. */
const volatile u32 targ_ids = 1024;
/* The first 8 bytes of the name of the threads that count. */
const volatile u64 targ_comm = 0;
const volatile u32 targ_getppid = 110;

/* As in maps.bpf.c. */
struct key {
	u64 id;
	u32 group;
	u32 kind;
};

COUNTS(calls, struct key, 1)
LATENCIES(times, u64)

#define TABLE(map, map_type, flags, key_type) \
	struct { \
		__uint(type, map_type); \
		__uint(max_entries, 1); \
		__uint(map_flags, flags); \
		__type(key, key_type); \
		__type(value, u64); \
	} map SEC(".maps")

TABLE(hash, BPF_MAP_TYPE_HASH, 0, struct key);
TABLE(per_cpu_hash, BPF_MAP_TYPE_PERCPU_HASH, 0, struct key);
TABLE(truth, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, u32);
/* 0: calls in process context; 1: in interrupts; 2: interrupts of the program in process context. */
TABLE(contexts, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, u32);
/* Whether the CPU is inside the program in process context. */
TABLE(inside, BPF_MAP_TYPE_PERCPU_ARRAY, 0, u32);

static __always_inline struct key key_of(u64 id)
{
	return (struct key){ .id = id, .group = id >> 3 & 0xff, .kind = id & 7 };
}

/* ---- cost ---- */

static u64 empty_runs, banks_runs, hash_runs, per_cpu_runs;

#define NEXT_KEY(runs) key_of(((runs)++ & 0xffffff) % targ_ids)

static __always_inline void count_in(void *map, const struct key *key)
{
	u64 *count = bpf_map_lookup_elem(map, key), zero = 0;

	if (!count) {
		bpf_map_update_elem(map, key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(map, key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
}

SEC("raw_tp/sys_enter")
int cost_empty(u64 *ctx)
{
	struct key key = NEXT_KEY(empty_runs);

	barrier_var(key.id);
	return 0;
}

SEC("raw_tp/sys_enter")
int cost_banks(u64 *ctx)
{
	struct key key = NEXT_KEY(banks_runs);

	calls_add(&key, 0, 1);
	return 0;
}

SEC("raw_tp/sys_enter")
int cost_hash(u64 *ctx)
{
	struct key key = NEXT_KEY(hash_runs);

	count_in(&hash, &key);
	return 0;
}

SEC("raw_tp/sys_enter")
int cost_per_cpu_hash(u64 *ctx)
{
	struct key key = NEXT_KEY(per_cpu_runs);

	count_in(&per_cpu_hash, &key);
	return 0;
}

/* ---- nothing is lost ---- */

/* Whether a thread that counts runs here. When all of them have ended, nothing is counted any more. */
static __always_inline bool is_counted(void)
{
	u64 comm[2] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	return comm[0] == targ_comm;
}

static __always_inline void note(void *map, u32 index)
{
	u64 *count = bpf_map_lookup_elem(map, &index);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void count_one(u32 context)
{
	u64 id = bpf_get_prandom_u32() % targ_ids;
	struct key key = key_of(id);

	calls_add(&key, 0, 1);
	times_observe(&id, 1000 * id);
	note(&truth, id);
	note(&contexts, context);
}

SEC("raw_tp/sys_enter")
int in_process(u64 *ctx)
{
	u32 zero = 0;
	u64 *here;

	if (ctx[1] != targ_getppid || !is_counted())
		return 0;
	here = bpf_map_lookup_elem(&inside, &zero);
	if (!here)
		return 0;
	WRITE_ONCE(*here, 1);
	count_one(0);
	WRITE_ONCE(*here, 0);
	return 0;
}

/* Where interrupts are disabled, so that nothing interrupts it: without atomic instructions. */
SEC("raw_tp/sched_switch")
int in_switch(u64 *ctx)
{
	u64 id = bpf_get_prandom_u32() % targ_ids;
	struct key key = key_of(id);

	if (!is_counted())
		return 0;
	calls_add_alone(&key, 0, 1);
	times_observe_alone(&id, 1000 * id);
	note(&truth, id);
	return 0;
}

/* Calls of one thread. */
static u64 passing_calls;

/* Counts with ids that come and go: each for targ_ids calls. */
SEC("raw_tp/sys_enter")
int in_passing(u64 *ctx)
{
	u64 id;
	struct key key;

	if (ctx[1] != targ_getppid || !is_counted())
		return 0;
	id = passing_calls++ / targ_ids;
	key = key_of(id);
	calls_add(&key, 0, 1);
	times_observe(&id, 1000 * id);
	return 0;
}

/* The CPU clock, every 20 µs. */
SEC("perf_event/type=1,config=0,sample_period=20000")
int in_interrupt(void *ctx)
{
	u32 zero = 0;
	u64 *here = bpf_map_lookup_elem(&inside, &zero);

	if (!is_counted())
		return 0;
	count_one(1);
	if (here && READ_ONCE(*here))
		note(&contexts, 2);
	return 0;
}
