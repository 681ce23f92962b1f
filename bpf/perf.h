/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Perf events read from a program. The host fills arrays of events; a program reads the event of its own CPU.
 */
#ifndef EBHOST_PERF_H
#define EBHOST_PERF_H

#include "bpf.h"

enum {
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
};

#define BPF_F_CURRENT_CPU 0xffffffffull

struct perf_value {
	u64 counter;
	u64 enabled; /* ns for which the event was enabled */
	u64 running; /* ns for which it had a hardware counter */
};

static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_get_current_comm)(void *comm, u32 size) = (void *)16;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
static long (*const bpf_perf_event_read_value)(void *map, u64 flags, struct perf_value *value, u32 size) = (void *)55;
static long (*const bpf_perf_prog_read_value)(void *ctx, struct perf_value *value, u32 size) = (void *)56;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;

/*
 * The increase of an event since `last`, which becomes `now`. An event that had no hardware counter in between counted nothing
 * known: the result is 0 and `last` stays. One that had a counter for part of the time is scaled up to all of it.
 */
static __always_inline u64 increase(struct perf_value *last, const struct perf_value *now)
{
	u64 more = now->counter - last->counter;
	u64 enabled = now->enabled - last->enabled, running = now->running - last->running;

	if (now->enabled < last->enabled) {
		/* The event was reopened, for example because its CPU was offline. */
		more = now->counter;
		enabled = now->enabled;
		running = now->running;
	}
	if (!running)
		return 0;
	*last = *now;
	if (enabled - running <= enabled >> 10 || enabled < running)
		return more;
	enabled = (enabled >> 10) + 1;
	running = (running >> 10) + 1;
	return more / running * enabled + more % running * enabled / running;
}

#endif
