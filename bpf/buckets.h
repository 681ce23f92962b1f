/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Histogram buckets with powers of two of a microsecond as bounds, exact in nanoseconds.
 *
 * Bucket 0 counts durations up to 1 µs, bucket k durations above 2^(k-1) µs and up to 2^k µs. So 2^k µs is
 * the exact upper bound (`le`). The slot after the last bound counts all longer durations (`+Inf`).
 */
#ifndef EBHOST_BUCKETS_H
#define EBHOST_BUCKETS_H

#include "bpf.h"

#define BOUNDS 28 /* 1 µs … 134 s */
#define SLOTS (BOUNDS + 1)

static __always_inline u32 log2(u64 v)
{
	u32 r = 0;

	if (v >> 32) { v >>= 32; r += 32; }
	if (v >> 16) { v >>= 16; r += 16; }
	if (v >> 8) { v >>= 8; r += 8; }
	if (v >> 4) { v >>= 4; r += 4; }
	if (v >> 2) { v >>= 2; r += 2; }
	return r + (v >> 1);
}

/*
 * The smallest k with ns <= 1000 << k, without a division by 1000, which would cost as much as all the rest:
 * the top ten bits of n = ns - 1 are 512 … 1023, so one comparison with 1000 decides between two powers.
 */
static __always_inline u32 bucket_of(u64 ns)
{
	u64 n = ns - !!ns;
	u32 top = log2(n), k;

	if (top < 9)
		return 0;
	k = top - 9;
	k += (n >> k) >= 1000;
	return k < BOUNDS ? k : BOUNDS;
}

#endif
