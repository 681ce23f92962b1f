/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Counting maps that user space reads without a system call.
 *
 *	COUNTS(reads, struct key, 2)            two u64 for each key               reads_add(&key, 0, 1)
 *	LATENCIES(waits, u64)                   ns, bounds 1 µs … 134 s            waits_observe(&key, ns)
 *	NATIVE_LATENCIES(waits, u64)            ns, native buckets of schema 3     waits_observe(&key, ns)
 *	POWERS_OF_TWO(sizes, struct key, 9, 20) bounds 2^9 … 2^20                  sizes_observe(&key, bytes)
 *	LINEAR(depths, u32, 0, 4, 16)           16 bounds: 0, 4, … 60              depths_observe(&key, depth)
 *
 * The SDK reads them with `Banks::counts`, `latencies`, `native_latencies` and `histogram`, which know this layout: a plugin declares the
 * key alone. As in every BPF map, the padding of a key must be zero. The name of a table has at most nine letters, so that those of its
 * maps fit into the kernel's fifteen.
 *
 * `NAME_add_alone` and `NAME_observe_alone` do the same without atomic instructions, which are half of the cost. They are right only if
 * no program that counts in the table can interrupt another one that does: for example if all of them run where the kernel has interrupts
 * disabled, as on sched_switch. What a key has in NAME_spill is added atomically all the same, because all CPUs share it.
 *
 * A table NAME is three maps:
 *
 * - NAME, an array in memory that the host has mapped. It is one hash table of *banks* for each CPU, in which a key may have one
 *   of eight neighbours. A bank belongs to one key on one CPU, and carries the key, so that the host needs to know nothing else.
 * - NAME_spill, an ordinary BPF hash that all CPUs share, for the keys that find no free bank.
 * - NAME_stats, which counts what was spilled and what was lost, and has the number of keys in NAME_spill. A count is lost only when
 *   NAME_spill is full, and then counted there.
 *
 * Sizes: `max_entries: { NAME: 128 per cpu, NAME_spill: 4096 }` in plugin.yaml, and nowhere else: the programs read how many banks a CPU has
 * from the map itself. They use the largest power of two of them, from 2 on. Memory is 8 bytes + key + values for each bank; NAME_spill needs
 * as much and another key for each entry, and is preallocated, because a program that runs in the scheduler or in an NMI must not allocate.
 *
 * Cost of a call: one lookup in an array, which is inlined, about 30 instructions, and two atomic additions (one in COUNTS), when the key has
 * a bank at its first place; at most 8 such lookups. When it has none: 32 of them and one in the hash; when that lacks the key 3 map
 * operations more, and 3 for each of 4 entries of others that it looks at (12 when the hash is more than half full). No loop is longer.
 *
 * Reuse: a bank in which nobody counted for `targ_counts_keep_ns` may go to another key when its CPU has no free one, and an entry of
 * NAME_spill is deleted then, in steps that new keys take. A series ends then, and starts at 0 when its key comes back. Nothing
 * is lost by that as long as the host reads more often than that.
 */
#ifndef EBHOST_COUNTS_H
#define EBHOST_COUNTS_H

#include "../native.h"
#include "table.h"

/* A function that a program need not use. */
#define COUNTS_UNUSED __attribute__((unused)) static __always_inline

/* Adds to a value of the table, atomically unless its caller is alone. */
#define COUNTS_ADD(value, more, is_alone)                                                                    \
	do {                                                                                                 \
		if (is_alone)                                                                                \
			WRITE_ONCE(value, READ_ONCE(value) + (more));                                        \
		else                                                                                         \
			__sync_fetch_and_add(&(value), more);                                                \
	} while (0)

#define COUNTS_OBSERVE(name, key, about, value, n, slot_of, is_alone)                                        \
	do {                                                                                                 \
		bool is_own_;                                                                                \
		u64 *values_ = name##_values_of(key, about, &is_own_);                                       \
		u32 slot_ = slot_of(value);                                                                  \
                                                                                                             \
		if (!values_)                                                                                \
			break;                                                                               \
		barrier_var(slot_);                                                                          \
		if (slot_ >= (n))                                                                            \
			slot_ = (n) - 1;                                                                     \
		COUNTS_ADD(values_[0], value, (is_alone) && is_own_);                                        \
		COUNTS_ADD(values_[1 + slot_], 1, (is_alone) && is_own_);                                    \
	} while (0)

/* A histogram: the sum, then `n` slots. `slot_of(value)` is the number of the slot. */
#define HISTOGRAM(name, key_type, n, slot_of)                                                                \
	COUNTS_NO_NOTE(name, key_type)                                                                       \
	COUNTS_TABLE(name, key_type, struct counts_no_note, (n) + 1)                                         \
	COUNTS_UNUSED void name##_observe(const key_type *key, u64 value)                                    \
	{                                                                                                    \
		COUNTS_OBSERVE(name, key, NULL, value, n, slot_of, false);                                   \
	}                                                                                                    \
	COUNTS_UNUSED void name##_observe_alone(const key_type *key, u64 value)                              \
	{                                                                                                    \
		COUNTS_OBSERVE(name, key, NULL, value, n, slot_of, true);                                    \
	}

/*
 * A histogram whose keys have notes, of eight bytes or a multiple: NAME_observe_about(&key, about, value). NAME_describe and NAME_may_end have
 * to be there already, see COUNTS_TABLE; `about` is handed to the former. In the SDK the table is one by keys that end with the note, with
 * `Banks::noted`.
 */
#define HISTOGRAM_ABOUT(name, key_type, note_type, n, slot_of)                                               \
	COUNTS_TABLE(name, key_type, note_type, (n) + 1)                                                     \
	COUNTS_UNUSED void name##_observe_about(const key_type *key, void *about, u64 value)                 \
	{                                                                                                    \
		COUNTS_OBSERVE(name, key, about, value, n, slot_of, false);                                  \
	}

#define COUNTS_ADD_TO(name, key_type, n, suffix, is_alone)                                                   \
	COUNTS_UNUSED void name##_add##suffix(const key_type *key, u32 index, u64 amount)                    \
	{                                                                                                    \
		bool is_own;                                                                                 \
		u64 *values = name##_values_of(key, NULL, &is_own);                                          \
                                                                                                             \
		if (values && index < (n))                                                                   \
			COUNTS_ADD(values[index], amount, (is_alone) && is_own);                             \
	}

/* `n` numbers that only grow. */
#define COUNTS(name, key_type, n)                                                                            \
	COUNTS_NO_NOTE(name, key_type)                                                                       \
	COUNTS_TABLE(name, key_type, struct counts_no_note, n)                                               \
	COUNTS_ADD_TO(name, key_type, n, , false)                                                            \
	COUNTS_ADD_TO(name, key_type, n, _alone, true)

/* Nanoseconds, with bounds at powers of two of a microsecond: 1 µs … 134 s. */
#define LATENCIES(name, key_type) HISTOGRAM(name, key_type, SLOTS, bucket_of)

/* Nanoseconds, in native buckets of schema 3. */
#define NATIVE_LATENCIES(name, key_type) HISTOGRAM(name, key_type, NATIVE_SLOTS, native_bucket_of)

/* The smallest k from `first` to `last` with value <= 2^k, from 0; one more above that. */
static __always_inline u32 power_of_two(u64 value, u32 first, u32 last)
{
	u32 k = value > 1 ? log2(value - 1) + 1 : 0;

	k = k > first ? k - first : 0;
	return k <= last - first ? k : last - first + 1;
}

#define POWERS_OF_TWO(name, key_type, first, last)                                                           \
	static __always_inline u32 name##_slot(u64 value)                                                    \
	{                                                                                                    \
		return power_of_two(value, first, last);                                                     \
	}                                                                                                    \
	HISTOGRAM(name, key_type, (last) - (first) + 2, name##_slot)

/* `bounds` bounds: first, first + step, first + 2 * step … */
#define LINEAR(name, key_type, first, step, bounds)                                                          \
	static __always_inline u32 name##_slot(u64 value)                                                    \
	{                                                                                                    \
		u64 slot = value <= (first) ? 0 : (value - (first) - 1) / (step) + 1;                        \
                                                                                                             \
		return slot < (bounds) ? slot : (bounds);                                                    \
	}                                                                                                    \
	HISTOGRAM(name, key_type, (bounds) + 1, name##_slot)

#endif
