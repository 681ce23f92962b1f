// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Signals that were sent, by number and by what became of them.
#include "ebhost/counts.h"
#include "ebhost/program.h"

// Results of the kernel: delivered, ignored, already pending, queue full, delivered without its details. A power of two, because older
// verifiers follow a mask and not a comparison.
#define RESULTS 8

COUNTS(signals, u32, RESULTS)

TP_BTF(signal_generate, u64 number, void *info, void *task, u64 is_group, u64 result)
{
	u32 key = number;

	signals_add(&key, result & (RESULTS - 1), 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
