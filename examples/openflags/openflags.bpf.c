// Counts openat(2): one entry for each set of flags and command name.
#include "bpf.h"

static long (*const bpf_get_current_comm)(void *buffer, u32 size) = (void *)16;

// The component has the same struct.
struct key {
	u32 flags;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct key);
	__type(value, u64);
} opens SEC(".maps");

// Calls that `opens` had no room for.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

// /sys/kernel/tracing/events/syscalls/sys_enter_openat/format: the same on every architecture.
struct sys_enter_openat {
	u64 common;
	u64 number;
	u64 dfd;
	u64 filename;
	u64 flags;
	u64 mode;
};

SEC("tracepoint/syscalls/sys_enter_openat")
int on_openat(struct sys_enter_openat *call)
{
	struct key key = { .flags = call->flags };
	u64 first = 1, *found;
	u32 zero = 0;

	bpf_get_current_comm(key.comm, sizeof(key.comm));
	found = bpf_map_lookup_elem(&opens, &key);
	if (!found) {
		if (bpf_map_update_elem(&opens, &key, &first, BPF_NOEXIST) == 0)
			return 0;
		found = bpf_map_lookup_elem(&opens, &key); // another CPU was first, or the map is full
	}
	if (!found)
		found = bpf_map_lookup_elem(&lost, &zero);
	if (found)
		__sync_fetch_and_add(found, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
