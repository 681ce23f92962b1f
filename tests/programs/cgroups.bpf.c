/* Counts system calls of processes in cgroups that the host has put into a map, by the kind of map. */

#define TYPE(number) int (*type)[number]

struct { TYPE(2); int (*max_entries)[4]; u32 *key; u64 *value; } array SEC(".maps");
#ifdef STORAGE
struct { TYPE(32); int (*map_flags)[1]; int *key; u64 *value; } cgroups SEC(".maps");
#else
struct { TYPE(1); int (*max_entries)[64]; u64 *key; u64 *value; } cgroups SEC(".maps");
#endif

static void *(*const lookup)(void *map, const void *key) = (void *)1;
static u64 (*const current_cgroup_id)(void) = (void *)80;
static void *(*const storage_get)(void *map, void *cgroup, void *value, u64 flags) = (void *)210;
static void *(*const current_task)(void) = (void *)158;

struct cgroup { int level; } __attribute__((preserve_access_index));
struct css_set { struct cgroup *dfl_cgrp; } __attribute__((preserve_access_index));
struct task_struct { struct css_set *cgroups; } __attribute__((preserve_access_index));

SEC("tp_btf/sys_enter") int on_system_call(u64 *ctx)
{
	u32 slot = 1;
	u64 *value, *matches;
#ifdef STORAGE
	struct task_struct *task = current_task();

	matches = ctx[1] == 110 ? storage_get(&cgroups, task->cgroups->dfl_cgrp, 0, 0) : 0;
#else
	u64 id = current_cgroup_id();

	matches = ctx[1] == 110 ? lookup(&cgroups, &id) : 0;
#endif
	if (!matches)
		return 0;
	value = lookup(&array, &slot);
	if (value)
		__sync_fetch_and_add(value, *matches);
	return 0;
}
