// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Signals that were sent, by number and by what became of them.
#include "ebhost/counts.h"
#include "ebhost/program.h"

enum result {
	DELIVERED,
	IGNORED,
	ALREADY_PENDING,
	OVERFLOW_FAIL,
	LOSE_INFO,
	RESULTS,
};

COUNTS(signals, u32, RESULTS)

TP_BTF(signal_generate, u64 number, void *info, void *task, u64 is_group, u64 result)
{
	u32 key = number;

	signals_add(&key, result, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
