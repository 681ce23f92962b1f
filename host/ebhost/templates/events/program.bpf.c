// Sends an event for each executed program.
#include "ebhost/program.h"

enum { BPF_MAP_TYPE_RINGBUF = 27 };

static long (*const bpf_get_current_comm)(void *buffer, u32 size) = (void *)16;
static long (*const bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;

// The component declares the same struct: add members in both places. `ebhost check` compares the sizes.
struct event {
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

// Events that found no room. The host adds it to ebhost_events_lost_total.
u64 events_lost;

RAW_TP(sched_process_exec, void *task)
{
	struct event event = {};

	bpf_get_current_comm(event.comm, sizeof(event.comm));
	if (bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		__sync_fetch_and_add(&events_lost, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
