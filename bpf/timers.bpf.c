// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Timers that were started, by the function that they call: those of the timer wheel, and high-resolution ones.
#include "ebhost/counts.h"
#include "ebhost/program.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct timer_list {
	void *function;
};

struct hrtimer {
	void *function;
};

#pragma clang attribute pop

static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;

enum kind {
	WHEEL,
	HIGH_RESOLUTION,
	KINDS,
};

COUNTS(starts, u64, KINDS)

// Counts the start of a timer. The field is read as a number: the verifier knows it as a pointer, which is no key.
static __always_inline int count(const void *function_field, enum kind kind)
{
	u64 function = 0;

	bpf_probe_read_kernel(&function, sizeof(function), function_field);
	starts_add(&function, kind, 1);
	return 0;
}

TP_BTF(timer_start, struct timer_list *timer) { return count(&timer->function, WHEEL); }
TP_BTF(hrtimer_start, struct hrtimer *timer) { return count(&timer->function, HIGH_RESOLUTION); }

char LICENSE[] SEC("license") = "GPL";
