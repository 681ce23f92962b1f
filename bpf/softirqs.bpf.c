// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Softirqs by vector: the time from being raised to running, and the time that they ran.
//
// A softirq runs on the CPU that raised it, and is raised once however often it is asked for before it runs. So the times are in slots of the
// CPU, and no program interrupts another one that uses the same slot or counts in the same table.
#include "ebhost/durations.h"
#include "ebhost/program.h"

#define VECTORS 16 // the kernel has ten
#define BEGAN VECTORS // the slot of the time at which the one that runs began
#define SLOTS_OF_CPU (VECTORS + 1)

DURATIONS(waits, u32)
DURATIONS(runs, u32)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS_OF_CPU);
	__type(key, u32);
	__type(value, u64);
} times SEC(".maps");

static __always_inline u64 *slot(u32 number)
{
	u32 index = bpf_get_smp_processor_id() * SLOTS_OF_CPU + number;

	return number < SLOTS_OF_CPU ? bpf_map_lookup_elem(&times, &index) : NULL;
}

TP_BTF(softirq_raise, u64 vector)
{
	u64 *raised = vector < VECTORS ? slot(vector) : NULL;

	if (raised && !*raised)
		*raised = bpf_ktime_get_ns();
	return 0;
}

TP_BTF(softirq_entry, u64 vector)
{
	u64 now = bpf_ktime_get_ns(), *raised = vector < VECTORS ? slot(vector) : NULL, *began = slot(BEGAN);
	u32 key = vector;

	if (began)
		*began = now;
	if (!raised || !*raised)
		return 0;
	waits_time_alone(&key, now - *raised);
	*raised = 0;
	return 0;
}

TP_BTF(softirq_exit, u64 vector)
{
	u64 *began = slot(BEGAN);
	u32 key = vector;

	if (!began || !*began)
		return 0;
	runs_time_alone(&key, bpf_ktime_get_ns() - *began);
	*began = 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
