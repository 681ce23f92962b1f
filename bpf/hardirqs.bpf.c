// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The time that handlers of interrupts ran, by interrupt and handler. Handlers of one CPU run one after the other.
#include "ebhost/durations.h"
#include "ebhost/program.h"

#define NAME_BYTES 32

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct irqaction {
	const char *name;
};

#pragma clang attribute pop

struct handler {
	u32 irq;
	char name[NAME_BYTES];
};

DURATIONS(runs, struct handler)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} began SEC(".maps");

static long (*const bpf_probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;

TP_BTF(irq_handler_entry)
{
	u32 cpu = bpf_get_smp_processor_id();
	u64 *ns = bpf_map_lookup_elem(&began, &cpu);

	if (ns)
		*ns = bpf_ktime_get_ns();
	return 0;
}

TP_BTF(irq_handler_exit, u64 irq, struct irqaction *action)
{
	struct handler handler = { .irq = irq };
	u32 cpu = bpf_get_smp_processor_id();
	u64 *ns = bpf_map_lookup_elem(&began, &cpu), now = bpf_ktime_get_ns();

	if (!ns || !*ns)
		return 0;
	bpf_probe_read_kernel_str(handler.name, sizeof(handler.name), action->name);
	runs_time_alone(&handler, now - *ns);
	*ns = 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
