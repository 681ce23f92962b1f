/* Shared by the small programs of this folder: a table of counts for each object, and how they recognize the process of the test. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef SEC
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, number) int (*name)[number]
#define __type(name, type) typeof(type) *name
#define __array(name, type) typeof(type) *name[]
#define __hidden __attribute__((visibility("hidden")))
#define __weak __attribute__((weak))
#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
};
/* gcc and clang write calls of helpers differently. */
#ifdef __clang__
#define HELPER(type, name, number, ...) static type (*const name)(__VA_ARGS__) = (void *)number
#else
#define HELPER(type, name, number, ...) extern type name(__VA_ARGS__) __attribute__((kernel_helper(number)))
#endif
HELPER(void *, bpf_map_lookup_elem, 1, void *map, const void *key);
HELPER(long, bpf_tail_call, 12, void *ctx, void *map, u32 index);
HELPER(u64, bpf_get_current_pid_tgid, 14, void);
HELPER(long, bpf_get_current_comm, 16, void *to, u32 size);
HELPER(long, bpf_perf_event_output, 25, void *ctx, void *map, u64 flags, void *data, u64 size);
HELPER(void *, bpf_get_current_task, 35, void);
HELPER(long, bpf_probe_read_kernel, 113, void *to, u32 size, const void *from);
#endif
#ifdef __clang__
#define __relocated __attribute__((preserve_access_index))
#else
#define __relocated
#endif
#define inlined static inline __attribute__((always_inline))

/* Numbers of system calls on x86_64. */
#define CONNECT 42
#define GETPPID 110
#define GETPGID 121

char LICENSE[] SEC("license") = "GPL";

#define COUNTS(name) \
	struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } name SEC(".maps"); \
	inlined void add(u32 slot, u64 amount) \
	{ \
		u64 *value = bpf_map_lookup_elem(&name, &slot); \
		if (value) \
			__sync_fetch_and_add(value, amount); \
	}

/* TARG_NAME: the command name of the test's process as one number. */
inlined int is_doer(void)
{
	u64 comm[2] = {};

	return bpf_get_current_comm(comm, sizeof(comm)) == 0 && comm[0] == TARG_NAME && comm[1] == 0;
}
