/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Maps of every kind that is read, for the benchmark and the tests of the hot path: user space fills them.
 *
 * Nothing here runs. The program is there because an object without one is refused as a mistake.
 */
#include "bpf.h"

enum {
	MAP_TYPE_PERCPU_HASH = 5,
	MAP_TYPE_PERCPU_ARRAY = 6,
	MAP_TYPE_LRU_HASH = 9,

	MAP_ZERO_SEED = 1 << 6,
};

char LICENSE[] SEC("license") = "Dual Apache-2.0/GPL";

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

SEC("raw_tp/sys_enter")
int nothing(void *ctx)
{
	return 0;
}
