/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Prometheus' native histogram buckets of schema 3, exact in nanoseconds: eight per octave, with the upper bounds 2^(i/8) seconds.
 *
 * Slot 0 counts durations up to 2^-20 s (953 ns), slot s durations above 2^((s-161)/8) s and up to 2^((s-160)/8) s, which is
 * native bucket s - 160. The last slot counts all longer durations, above 1024 s.
 */
#ifndef EBHOST_NATIVE_H
#define EBHOST_NATIVE_H

#include "buckets.h"

#define NATIVE_BUCKETS 240 /* -159 .. 80 */
#define NATIVE_SLOTS (NATIVE_BUCKETS + 2)

/* One object: clang would put an array of sixteen bytes into a section (.rodata.cst16) that loaders do not know. */
static const struct {
	/* Upper bounds of one octave: floor(2^(10 + j/8) s in ns). Those of lower octaves are these shifted right, which is exact. */
	u64 ends[8];
	/*
	 * A second is 2^29.897 ns, so bounds have the same positions in every octave of ns. A sixteenth of an octave is narrower than a
	 * bucket, so it contains at most one bound. skip[i]: the number of the octave's bounds below sixteenth i.
	 */
	u8 skip[16];
} native = {
	{
		1024000000000ull,
		1116679918249ull,
		1217748085762ull,
		1327963703962ull,
		1448154687870ull,
		1579223885217ull,
		1722155858439ull,
		1878024280483ull,
	},
	{ 0, 1, 2, 2, 3, 3, 4, 5, 5, 5, 6, 6, 7, 7, 8, 8 },
};

/* The smallest slot whose upper bound is not below ns: one comparison with an exact bound, no rounding. */
static __always_inline u32 native_bucket_of(u64 ns)
{
	u32 top, slot;

	if (ns <= native.ends[0] >> 30)
		return 0;
	top = log2(ns);
	slot = 8 * top - 79 + native.skip[ns >> (top - 4) & 15];
	if (slot <= NATIVE_BUCKETS)
		slot += ns > native.ends[slot & 7] >> (30 - (slot >> 3) & 31);
	return slot < NATIVE_SLOTS ? slot : NATIVE_SLOTS - 1;
}

#endif
