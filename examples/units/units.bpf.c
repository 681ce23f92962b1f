// Counts programs that were executed: one entry for each cgroup.
#include "bpf.h"

static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64); // the cgroup's id
	__type(value, u64);
} execs SEC(".maps");

// Execs that `execs` had no room for.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

SEC("raw_tp/sched_process_exec")
int on_exec(void *ctx)
{
	u64 cgroup = bpf_get_current_cgroup_id(), first = 1, *found;
	u32 zero = 0;

	found = bpf_map_lookup_elem(&execs, &cgroup);
	if (!found) {
		if (bpf_map_update_elem(&execs, &cgroup, &first, BPF_NOEXIST) == 0)
			return 0;
		found = bpf_map_lookup_elem(&execs, &cgroup); // another CPU was first, or the map is full
	}
	if (!found)
		found = bpf_map_lookup_elem(&lost, &zero);
	if (found)
		__sync_fetch_and_add(found, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
