/* A perf event array with fewer entries than the machine has CPUs. */
#include "counts.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} small_events SEC(".maps");

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	u32 event = 7;

	/* BPF_F_CURRENT_CPU */
	if (ctx[1] == GETPPID && is_doer())
		bpf_perf_event_output(ctx, &small_events, 0xffffffff, &event, sizeof(event));
	return 0;
}
