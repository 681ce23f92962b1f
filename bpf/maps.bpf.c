/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A map of every type that the host reads, for the benchmark and the tests of the read path. User space fills the tables. The one
 * program, which only tests run, writes an event into both event buffers for each getppid(2) of one process.
 */
#include "bpf.h"

enum {
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,

	BPF_F_ZERO_SEED = 1 << 6,
};

char LICENSE[] SEC("license") = "GPL";

struct key {
	u64 id;
	u32 group;
	u32 kind;
};

/* plugin.yaml sets max_entries. */
#define TABLE(map, map_type, flags, key_type) \
	struct { \
		__uint(type, map_type); \
		__uint(max_entries, 1); \
		__uint(map_flags, flags); \
		__type(key, key_type); \
		__type(value, u64); \
	} map SEC(".maps")

TABLE(hash, BPF_MAP_TYPE_HASH, 0, struct key);
/* With a hash seed of 0 a test can compute the bucket of a key, and fill one bucket. */
TABLE(crowded, BPF_MAP_TYPE_HASH, BPF_F_ZERO_SEED, struct key);
TABLE(lru, BPF_MAP_TYPE_LRU_HASH, 0, struct key);
TABLE(per_cpu_hash, BPF_MAP_TYPE_PERCPU_HASH, 0, struct key);
TABLE(array, BPF_MAP_TYPE_ARRAY, 0, u32);
TABLE(mapped_array, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, u32);
TABLE(per_cpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 0, u32);

struct event {
	u64 number; /* from 1 */
	u32 kind;
	u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 0); /* the loader sets it to the number of CPUs */
	__type(key, u32);
	__type(value, u32);
} output SEC(".maps");

/* Events that found no room in `ring`; the host reads a global of this name. */
u64 ring_lost;
u64 events;

const volatile u32 targ_tgid = 0;
const volatile u32 targ_getppid = 110;

#define BPF_F_CURRENT_CPU 0xffffffffull
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
		__sync_fetch_and_add(&ring_lost, 1);
	/* The kernel counts the events that find no room here. */
	bpf_perf_event_output(ctx, &output, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return 0;
}
