/* Maps whose entries the object gives: programs of a program array, maps of an array of maps. */
#include "counts.h"

COUNTS(initial_values)

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, u64);
} inner_first SEC(".maps"), inner_second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [1] = &inner_first, [3] = &inner_second } };

int jumped_to(u64 *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(u32));
	__array(values, int(u64 *));
} jumps SEC(".maps") = { .values = { [2] = &jumped_to } };

inlined void add_inner(u32 which, u64 amount)
{
	void *map = bpf_map_lookup_elem(&outer, &which);
	u32 slot = 0;
	u64 *value = map ? bpf_map_lookup_elem(map, &slot) : 0;

	if (value)
		__sync_fetch_and_add(value, amount);
	else
		add(7, 1);
}

SEC("raw_tp") int jumped_to(u64 *ctx)
{
	add(0, 1);
	return 0;
}

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	if (ctx[1] != GETPPID || !is_doer())
		return 0;
	add_inner(1, 1);
	add_inner(3, 2);
	bpf_tail_call(ctx, &jumps, 2);
	add(6, 1);
	return 0;
}
