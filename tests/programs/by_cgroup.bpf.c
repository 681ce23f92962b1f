/* Counts getppid(2) by cgroup; of one process alone if CALLER is its pid. */

#define __uint(name, number) int (*name)[number]
#define __type(name, type) typeof(type) *name

#ifndef CALLER
#define CALLER 0
#endif

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_NOEXIST = 1,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} by_cgroup SEC(".maps");

/* Calls that found no room in the map. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;

SEC("raw_tp/sys_enter") int on_system_call(u64 *ctx)
{
	u64 id, one = 1, *count;
	u32 slot = 0;

	if (ctx[1] != 110 || (CALLER && bpf_get_current_pid_tgid() >> 32 != CALLER))
		return 0;
	id = bpf_get_current_cgroup_id();
	count = bpf_map_lookup_elem(&by_cgroup, &id);
	if (!count) {
		/* Only one process counts in each cgroup, so nobody else inserts it. */
		if (!bpf_map_update_elem(&by_cgroup, &id, &one, BPF_NOEXIST))
			return 0;
		count = bpf_map_lookup_elem(&lost, &slot);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
