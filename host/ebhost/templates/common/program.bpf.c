// Counts forks, execs and exits of processes: one entry for each event and command name.
#include "bpf.h"

enum { BPF_MAP_TYPE_LRU_HASH = 9 };

static long (*const bpf_get_current_comm)(void *buffer, u32 size) = (void *)16;

enum event {
	EVENT_FORK,
	EVENT_EXEC,
	EVENT_EXIT,
};

// The component declares the same struct: add members in both places. `ebhost check` compares the sizes.
struct key {
	u32 event;
	char comm[16];
};

// New command names appear as long as the machine runs. A map of this type that is full gives up the one that was counted longest ago: its series
// ends. An ordinary hash would take no new name any more.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct key);
	__type(value, u64);
} events SEC(".maps");

// Events that were not counted because the map `events` had no room.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

static __always_inline void count(u32 event)
{
	struct key key = { .event = event };
	u64 first = 1, *found;
	u32 zero = 0;

	bpf_get_current_comm(key.comm, sizeof(key.comm));
	found = bpf_map_lookup_elem(&events, &key);
	if (!found) {
		if (bpf_map_update_elem(&events, &key, &first, BPF_NOEXIST) == 0)
			return;
		found = bpf_map_lookup_elem(&events, &key); // another CPU was first, or the map is full
	}
	if (!found)
		found = bpf_map_lookup_elem(&lost, &zero);
	if (found)
		__sync_fetch_and_add(found, 1);
}

SEC("raw_tp/sched_process_fork")
int on_fork(void *ctx)
{
	count(EVENT_FORK);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int on_exec(void *ctx)
{
	count(EVENT_EXEC);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(void *ctx)
{
	count(EVENT_EXIT);
	return 0;
}

char _license[] SEC("license") = "GPL";
