/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Latencies in classic or in native buckets, as the option `histograms` of a package says:
 *
 *	DURATIONS(waits, u64)    waits_time(&key, ns), or waits_time_alone(&key, ns), see counts.h
 *
 * is LATENCIES(waits, u64) and NATIVE_LATENCIES(waits_n, u64), of which one is used; plugin.yaml gives the other one entry.
 * The name of such a table has at most seven letters.
 */
#ifndef EBHOST_DURATIONS_H
#define EBHOST_DURATIONS_H

#include "counts.h"

const volatile bool targ_native = false;

#define DURATIONS(name, key_type)                                                                            \
	LATENCIES(name, key_type)                                                                            \
	NATIVE_LATENCIES(name##_n, key_type)                                                                 \
                                                                                                             \
	COUNTS_UNUSED void name##_time(const key_type *key, u64 ns)                                          \
	{                                                                                                    \
		if (targ_native)                                                                             \
			name##_n_observe(key, ns);                                                           \
		else                                                                                         \
			name##_observe(key, ns);                                                             \
	}                                                                                                    \
	COUNTS_UNUSED void name##_time_alone(const key_type *key, u64 ns)                                    \
	{                                                                                                    \
		if (targ_native)                                                                             \
			name##_n_observe_alone(key, ns);                                                     \
		else                                                                                         \
			name##_observe_alone(key, ns);                                                       \
	}

#endif
