/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A set-associative table: one number for each key, in an array instead of a hash. For what is remembered for a while, such as start times.
 *
 *	ASSOCIATIVE(begun, 1024)               begun_put(key, ns)      begun_find(key)     begun_remove(key, &ns)
 *	ASSOCIATIVE_OF(passes, 64, struct pass)                        the same with values of any type of whole words
 *	STAMPS_BY_NUMBER(begun, 1024, 4096)    begun_set(key, ns)      ns = begun_take(key)
 *	ASSOCIATIVE_BY_TASK(delays, 4096)      delays_set(task, ns)    delays_at(task)      delays_forget(task), ns = delays_take(task)
 *
 * The second argument is the number of rows, a power of two. A key belongs into the row that its hash says, which has room for three. `put` fails
 * if they are three others; then STAMPS_BY_NUMBER uses a hash, with as many entries as its third argument says, and ASSOCIATIVE_BY_TASK
 * the storage of the task (stamps.h). With as many rows as there are keys at the same time, one key in forty finds no room in its row. If plugin.yaml makes the
 * map smaller, keys of the rows that are missing find none.
 *
 * A key is a thread id, or an address as associative_key() has it; never 0. ASSOCIATIVE_BY_TASK has the addresses of tasks, so a program
 * has to call NAME_forget or NAME_take when it will not use the task's number again: at the latest on tp_btf/sched_process_free. Its names have at
 * most nine letters.
 *
 * Cost: a lookup in an array, which is inlined, at most three comparisons in one cache line, and an atomic addition when a key is put or removed: a
 * fifth of what an insertion into a hash and a deletion take. Memory: 64 bytes a row. Nothing is allocated later.
 *
 * Why this is right. Only one CPU works with a key at a time: the one on which the thread runs, or which has locked the socket. Rows are shared,
 * and a program may be interrupted by one that works in the same row.
 *
 * - A place has one owner: whoever adds 1 to `claims` and reads 1 has it, until it takes the claim back. Whoever comes second tries the
 *   next place.
 * - Only the owner writes the place. All others see a key that is not theirs.
 * - A place is claimed only if its key is 0. So the claimant has seen the last owner's store, and its own stores come after that. That
 *   store depends on the value that was read before it, so no later value can be read instead.
 */
#ifndef EBHOST_ASSOCIATIVE_H
#define EBHOST_ASSOCIATIVE_H

#include "stamps.h"

#define ASSOCIATIVE_WAYS 3

/* The verifier knows of addresses only their differences. */
static volatile u64 associative_origin;

static __always_inline u64 associative_key(const void *address)
{
	return (u64)address - (u64)&associative_origin;
}

/* Claims a place that has no key. */
static __always_inline bool associative_claim(u32 *claims, u64 *key)
{
	if (READ_ONCE(*key) || READ_ONCE(*claims))
		return false;
	__sync_fetch_and_add(claims, 1);
	if (READ_ONCE(*claims) == 1)
		return true;
	__sync_fetch_and_add(claims, -1);
	return false;
}

#define ASSOCIATIVE_OF(name, rows, value_type)                                                               \
	struct name##_row {                                                                                  \
		u32 claims[ASSOCIATIVE_WAYS];                                                                \
		/* Whether one of its keys was ever kept elsewhere, because there was no room. */            \
		u32 has_more;                                                                                \
		u64 keys[ASSOCIATIVE_WAYS];                                                                  \
		value_type values[ASSOCIATIVE_WAYS];                                                         \
	};                                                                                                   \
                                                                                                             \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                            \
		__uint(max_entries, rows);                                                                   \
		__type(key, u32);                                                                            \
		__type(value, struct name##_row);                                                            \
	} name SEC(".maps");                                                                                 \
                                                                                                             \
	STAMPS_UNUSED struct name##_row *name##_row_of(u64 key)                                              \
	{                                                                                                    \
		u32 index = (key * 0x9e3779b97f4a7c15ull >> 32) & ((rows) - 1);                              \
                                                                                                             \
		return bpf_map_lookup_elem(&name, &index);                                                   \
	}                                                                                                    \
                                                                                                             \
	STAMPS_UNUSED value_type *name##_in(struct name##_row *row, u64 key)                                 \
	{                                                                                                    \
		if (READ_ONCE(row->keys[0]) == key)                                                          \
			return &row->values[0];                                                              \
		if (READ_ONCE(row->keys[1]) == key)                                                          \
			return &row->values[1];                                                              \
		return READ_ONCE(row->keys[2]) == key ? &row->values[2] : NULL;                              \
	}                                                                                                    \
                                                                                                             \
	/* The value of a key; NULL: it has none. */                                                         \
	STAMPS_UNUSED value_type *name##_find(u64 key)                                                       \
	{                                                                                                    \
		struct name##_row *row = name##_row_of(key);                                                 \
                                                                                                             \
		return row ? name##_in(row, key) : NULL;                                                     \
	}                                                                                                    \
                                                                                                             \
	/* Sets the value of a key; false: there is no room. */                                              \
	STAMPS_UNUSED bool name##_put_in(struct name##_row *row, u64 key, value_type value)                  \
	{                                                                                                    \
		value_type *known = name##_in(row, key);                                                     \
                                                                                                             \
		if (known) {                                                                                 \
			*known = value;                                                                      \
			return true;                                                                         \
		}                                                                                            \
		_Pragma("clang loop unroll(full)") for (u32 way = 0; way < ASSOCIATIVE_WAYS; way++) {        \
			if (!associative_claim(&row->claims[way], &row->keys[way]))                          \
				continue;                                                                    \
			row->values[way] = value;                                                            \
			WRITE_ONCE(row->keys[way], key);                                                     \
			return true;                                                                         \
		}                                                                                            \
		return false;                                                                                \
	}                                                                                                    \
                                                                                                             \
	STAMPS_UNUSED bool name##_put(u64 key, value_type value)                                             \
	{                                                                                                    \
		struct name##_row *row = name##_row_of(key);                                                 \
                                                                                                             \
		return row && name##_put_in(row, key, value);                                                \
	}                                                                                                    \
                                                                                                             \
	/* Returns the value of a key in `value`, and forgets it; false: it has none. */                     \
	STAMPS_UNUSED bool name##_remove_from(struct name##_row *row, u64 key, value_type *value)            \
	{                                                                                                    \
		_Pragma("clang loop unroll(full)") for (u32 way = 0; way < ASSOCIATIVE_WAYS; way++) {        \
			u64 last, gone;                                                                      \
                                                                                                             \
			if (READ_ONCE(row->keys[way]) != key)                                                \
				continue;                                                                    \
			*value = row->values[way];                                                           \
			/* 0, in a way that the CPU waits for the value with. */                             \
			last = gone = *(u64 *)value;                                                         \
			barrier_var(gone);                                                                   \
			WRITE_ONCE(row->keys[way], gone - last);                                             \
			__sync_fetch_and_add(&row->claims[way], -1);                                         \
			return true;                                                                         \
		}                                                                                            \
		return false;                                                                                \
	}                                                                                                    \
                                                                                                             \
	STAMPS_UNUSED bool name##_remove(u64 key, value_type *value)                                         \
	{                                                                                                    \
		struct name##_row *row = name##_row_of(key);                                                 \
                                                                                                             \
		return row && name##_remove_from(row, key, value);                                           \
	}

#define ASSOCIATIVE(name, rows) ASSOCIATIVE_OF(name, rows, u64)

/* Start times by a number. What finds no room here and in NAME_more is counted in the global NAME_more_lost. */
#define STAMPS_BY_NUMBER(name, rows, more)                                                                   \
	ASSOCIATIVE(name, rows)                                                                              \
	STAMPS_BY_KEY(name##_more, u64, more)                                                                \
                                                                                                             \
	STAMPS_UNUSED bool name##_set(u64 key, u64 ns)                                                       \
	{                                                                                                    \
		struct name##_row *row = name##_row_of(key);                                                 \
                                                                                                             \
		if (row && row->has_more)                                                                    \
			name##_more_take(&key);                                                              \
		if (row && name##_put_in(row, key, ns))                                                      \
			return true;                                                                         \
		if (row)                                                                                     \
			row->has_more = 1;                                                                   \
		return name##_more_set(&key, ns);                                                            \
	}                                                                                                    \
                                                                                                             \
	STAMPS_UNUSED u64 name##_take(u64 key)                                                               \
	{                                                                                                    \
		struct name##_row *row = name##_row_of(key);                                                 \
		u64 ns = 0;                                                                                  \
                                                                                                             \
		if (!row || (!name##_remove_from(row, key, &ns) && row->has_more))                           \
			ns = name##_more_take(&key);                                                         \
		return ns;                                                                                   \
	}

/* Numbers of tasks, as STAMPS_BY_TASK has them. */
#define ASSOCIATIVE_BY_TASK(name, rows)                                                                      \
	ASSOCIATIVE(name, rows)                                                                              \
	STAMPS_BY_TASK(name##_s)                                                                             \
                                                                                                             \
	STAMPS_UNUSED u64 *name##_at(struct task_struct *task)                                               \
	{                                                                                                    \
		u64 key = associative_key(task), *known;                                                     \
		struct name##_row *row = name##_row_of(key);                                                 \
                                                                                                             \
		if (!row)                                                                                    \
			return name##_s_at(task);                                                            \
		known = name##_in(row, key);                                                                 \
		return !known && row->has_more ? name##_s_at(task) : known;                                  \
	}                                                                                                    \
                                                                                                             \
	STAMPS_UNUSED bool name##_set(struct task_struct *task, u64 ns)                                      \
	{                                                                                                    \
		u64 key = associative_key(task);                                                             \
		struct name##_row *row = name##_row_of(key);                                                 \
                                                                                                             \
		if (row && name##_put_in(row, key, ns))                                                      \
			return true;                                                                         \
		if (row)                                                                                     \
			row->has_more = 1;                                                                   \
		return name##_s_set(task, ns);                                                               \
	}                                                                                                    \
                                                                                                             \
	/* The number of a task that ends; 0: it has none. */                                                \
	STAMPS_UNUSED u64 name##_take(struct task_struct *task)                                              \
	{                                                                                                    \
		u64 key = associative_key(task), ns = 0;                                                     \
		struct name##_row *row = name##_row_of(key);                                                 \
                                                                                                             \
		if (!row || (!name##_remove_from(row, key, &ns) && row->has_more))                           \
			ns = name##_s_take(task);                                                            \
		return ns;                                                                                   \
	}                                                                                                    \
                                                                                                             \
	/* The task ends, and its storage with it. */                                                        \
	STAMPS_UNUSED void name##_forget(struct task_struct *task)                                           \
	{                                                                                                    \
		u64 ns;                                                                                      \
                                                                                                             \
		name##_remove(associative_key(task), &ns);                                                   \
	}

#endif
