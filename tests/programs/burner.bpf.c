/* Takes 50 µs at each sample of a CPU clock, and counts the samples. */

#define __uint(name, number) int (*name)[number]
#define __type(name, type) typeof(type) *name

enum { BPF_MAP_TYPE_ARRAY = 2 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} samples_total SEC(".maps");

/* Nothing else in the object reads it; a test sets its size. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} large SEC(".maps");

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;

const volatile u32 targ_ns = 50000;

SEC("perf_event")
int burn(void *ctx)
{
	u64 start = bpf_ktime_get_ns();
	u32 slot = 0;
	u64 *count = bpf_map_lookup_elem(&samples_total, &slot);

	if (count)
		__sync_fetch_and_add(count, 1);
	count = bpf_map_lookup_elem(&large, &slot);
	if (count)
		*count = start;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 5000; i++)
		if (bpf_ktime_get_ns() - start > targ_ns)
			break;
	return 0;
}
