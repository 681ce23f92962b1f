/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Powers of two of a microsecond, exact in nanoseconds.
 *
 * Bucket 0 holds what took at most 1 µs, bucket k what took more than 2^(k-1) µs and at most 2^k µs: 2^k µs
 * is then the bound itself (`le`), not an approximation of it. The slot after the last bound holds the rest.
 */
#ifndef EBHOST_BUCKETS_H
#define EBHOST_BUCKETS_H

#include "bpf.h"

#define BOUNDS 28 /* 1 µs … 134 s */
#define SLOTS (BOUNDS + 1)

static inline u32 log2(u64 v)
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
 * The least k with ns <= 1000 << k. A division by 1000 would cost as much as all the rest; but n = ns - 1 cut
 * to its top ten bits is 512 … 1023, so the power of two is known up to one comparison with 1000.
 */
static inline u32 bucket_of(u64 ns)
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
