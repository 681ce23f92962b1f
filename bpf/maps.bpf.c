/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Maps of every kind that is read, for the benchmark and the tests of the hot path: user space fills them. Buffers of events are
 * filled by the one program, which runs in tests alone: an event in both for each getppid(2) of one process.
 */
#include "bpf.h"

enum {
	MAP_TYPE_PERF_EVENT_ARRAY = 4,
	MAP_TYPE_PERCPU_HASH = 5,
	MAP_TYPE_PERCPU_ARRAY = 6,
	MAP_TYPE_LRU_HASH = 9,
	MAP_TYPE_RINGBUF = 27,

	MAP_ZERO_SEED = 1 << 6,
};

char LICENSE[] SEC("license") = "GPL";

struct key {
	u64 id;
	u32 group;
	u32 kind;
};

/* Sizes are set by plugin.yaml. */
#define TABLE(map, map_type, flags, key_type) \
	struct { \
		__uint(type, map_type); \
		__uint(max_entries, 1); \
		__uint(map_flags, flags); \
		__type(key, key_type); \
		__type(value, u64); \
	} map SEC(".maps")

TABLE(hash, MAP_TYPE_HASH, 0, struct key);
/* Of this one a test can tell which bucket a key falls into, and crowd it. */
TABLE(crowded, MAP_TYPE_HASH, MAP_ZERO_SEED, struct key);
TABLE(lru, MAP_TYPE_LRU_HASH, 0, struct key);
TABLE(per_cpu_hash, MAP_TYPE_PERCPU_HASH, 0, struct key);
TABLE(array, MAP_TYPE_ARRAY, 0, u32);
TABLE(mapped_array, MAP_TYPE_ARRAY, MAP_MMAPABLE, u32);
TABLE(per_cpu_array, MAP_TYPE_PERCPU_ARRAY, 0, u32);

struct event {
	u64 number; /* from 1 */
	u32 kind;
	u32 unused;
};

struct {
	__uint(type, MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 0); /* one a CPU, by the loader */
	__type(key, u32);
	__type(value, u32);
} output SEC(".maps");

/* What found no room in `ring`: the host looks for a global of this name. */
u64 ring_lost;
u64 events;

const volatile u32 targ_tgid = 0;
const volatile u32 targ_getppid = 110;

#define CURRENT_CPU 0xffffffffull
#define KINDS 8

static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_perf_event_output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static long (*const bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;

SEC("raw_tp/sys_enter")
int getppid(u64 *ctx)
{
	struct event event = {};

	if (ctx[1] != targ_getppid || bpf_get_current_pid_tgid() >> 32 != targ_tgid)
		return 0;
	event.number = ++events;
	event.kind = event.number % KINDS;
	if (bpf_ringbuf_output(&ring, &event, sizeof(event), 0))
		atomic_add(&ring_lost, 1);
	/* What finds no room here the kernel counts. */
	bpf_perf_event_output(ctx, &output, CURRENT_CPU, &event, sizeof(event));
	return 0;
}
