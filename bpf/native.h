/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Prometheus' native buckets of schema 3, exact in nanoseconds: eight to an octave, ending at 2^(i/8) seconds.
 *
 * Slot 0 holds what took at most 2^-20 s (953 ns), slot s what took more than 2^((s-161)/8) s and at most
 * 2^((s-160)/8) s: native bucket s - 160. The last slot holds the rest, above 1024 s.
 */
#ifndef EBHOST_NATIVE_H
#define EBHOST_NATIVE_H

#include "buckets.h"

#define NATIVE_BUCKETS 240 /* -159 .. 80 */
#define NATIVE_SLOTS (NATIVE_BUCKETS + 2)

/* In one object, because clang would put sixteen bytes alone into a section that loaders do not know. */
static const struct {
	/* floor(2^(10 + j/8) s in ns). The floor of a floor's half is the floor of the half: other ends come by shifts. */
	u64 ends[8];
	/*
	 * A second is 2^29.897 ns, so where bounds lie in an octave of ns is always the same. One sixteenth of it is
	 * narrower than a bucket: it holds one end at most, and this is how many of the octave's ends lie before that.
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

/* The least slot whose end is not below ns: one comparison with a true end, no rounding anywhere. */
static inline u32 native_bucket_of(u64 ns)
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
