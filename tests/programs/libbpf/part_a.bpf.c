/* One of two files that bpftool links statically: it calls a function, and counts into a map, of the other one. */
#include "counts.h"

extern struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } linked SEC(".maps");
extern int amount(int of);

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	u32 slot = 0;
	u64 *value = bpf_map_lookup_elem(&linked, &slot);

	if (value && ctx[1] == GETPPID && is_doer())
		__sync_fetch_and_add(value, amount(2));
	return 0;
}
