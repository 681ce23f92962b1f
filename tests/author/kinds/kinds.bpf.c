// Maps for a component that has every kind of family. The recording says what they hold.
#include "bpf.h"

struct key {
	u32 disk;
	u32 kind;
};

struct value {
	u64 slots[3];
	u64 sum;
	u64 depth;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct key);
	__type(value, struct value);
} requests SEC(".maps");

struct {
	__uint(type, 6); // BPF_MAP_TYPE_PERCPU_ARRAY
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} runs SEC(".maps");

SEC("raw_tp/sched_switch")
int count(void *ctx)
{
	u32 zero = 0;
	u64 *found = bpf_map_lookup_elem(&runs, &zero);

	if (found)
		++*found;
	return 0;
}

char _license[] SEC("license") = "GPL";
