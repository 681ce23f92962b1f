/* Counts getppid(2) of processes in the cgroups that the host has put into a map: a hash, or with STORAGE cgroup storage. */

#define __uint(name, number) int (*name)[number]
#define __type(name, type) typeof(type) *name

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_CGRP_STORAGE = 32,

	BPF_F_NO_PREALLOC = 1,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} array SEC(".maps");

struct {
#ifdef STORAGE
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
#else
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u64);
#endif
	__type(value, u64);
} cgroups SEC(".maps");

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static void *(*const bpf_cgrp_storage_get)(void *map, void *cgroup, void *value, u64 flags) = (void *)210;
static void *(*const bpf_get_current_task_btf)(void) = (void *)158;

struct cgroup { int level; } __attribute__((preserve_access_index));
struct css_set { struct cgroup *dfl_cgrp; } __attribute__((preserve_access_index));
struct task_struct { struct css_set *cgroups; } __attribute__((preserve_access_index));

SEC("tp_btf/sys_enter") int on_system_call(u64 *ctx)
{
	u32 slot = 1;
	u64 *value, *matches;
#ifdef STORAGE
	struct task_struct *task = bpf_get_current_task_btf();

	matches = ctx[1] == 110 ? bpf_cgrp_storage_get(&cgroups, task->cgroups->dfl_cgrp, 0, 0) : 0;
#else
	u64 id = bpf_get_current_cgroup_id();

	matches = ctx[1] == 110 ? bpf_map_lookup_elem(&cgroups, &id) : 0;
#endif
	if (!matches)
		return 0;
	value = bpf_map_lookup_elem(&array, &slot);
	if (value)
		__sync_fetch_and_add(value, *matches);
	return 0;
}
