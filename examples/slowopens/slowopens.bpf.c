// Times openat(2): an event for each call that took long, with ids for a span of its own.
#include "bpf.h"

static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_get_current_comm)(void *buffer, u32 size) = (void *)16;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *event, u64 flags) = (void *)132;

// Shorter calls are of no interest. plugin.yaml sets it.
const volatile u64 slower_than_ns = 1000000;

// The component has the same struct.
struct event {
	u32 trace[4];
	u32 span[2];
	u64 start;
	u64 duration;
	long long result;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} began SEC(".maps");

struct {
	__uint(type, 27); // BPF_MAP_TYPE_RINGBUF
	__uint(max_entries, 65536);
} opens SEC(".maps");

// Events that `opens` had no room for: the host adds them to ebhost_events_lost_total.
u64 opens_lost;

SEC("tracepoint/syscalls/sys_enter_openat")
int on_enter(void *call)
{
	u64 thread = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();

	bpf_map_update_elem(&began, &thread, &now, BPF_ANY);
	return 0;
}

// /sys/kernel/tracing/events/syscalls/sys_exit_openat/format: the same on every architecture.
struct sys_exit_openat {
	u64 common;
	u64 number;
	long long result;
};

SEC("tracepoint/syscalls/sys_exit_openat")
int on_exit(struct sys_exit_openat *call)
{
	u64 thread = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	u64 *start = bpf_map_lookup_elem(&began, &thread);
	struct event *event;

	if (!start || now - *start < slower_than_ns)
		return 0;
	event = bpf_ringbuf_reserve(&opens, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&opens_lost, 1);
		return 0;
	}
	for (int i = 0; i < 4; i++)
		event->trace[i] = bpf_get_prandom_u32();
	for (int i = 0; i < 2; i++)
		event->span[i] = bpf_get_prandom_u32();
	event->start = *start;
	event->duration = now - *start;
	event->result = call->result;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
