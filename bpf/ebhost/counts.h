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
 * A table NAME is three maps:
 *
 * - NAME, an array in memory that the host has mapped. It is one hash table of *banks* for each CPU, with linear probing. A bank belongs to
 *   one key on one CPU, and carries the key, so that the host needs to know nothing else.
 * - NAME_spill, an ordinary BPF hash that all CPUs share, for the keys that find no free bank.
 * - NAME_stats, which counts what was spilled and what was lost. A count is lost only when NAME_spill is full, and then counted there.
 *
 * Sizes: `max_entries: { NAME: 128 per cpu, NAME_spill: 4096 }` in plugin.yaml, and nowhere else: the programs read how many banks a CPU has
 * from the map itself. Memory is 16 bytes + key + values for each bank; NAME_spill needs as much for each entry, and is preallocated,
 * because a program that runs in the scheduler or in an NMI must not allocate.
 *
 * Cost of a call: one lookup in an array, which is inlined, about 40 instructions, and two atomic additions (one in COUNTS), when the key has
 * a bank at its first place; at most 8 such lookups. When it has none: 8 lookups, one in the hash, and 3 map operations more when the hash
 * lacks the key. No loop is longer than that.
 *
 * Reuse: a bank in which nobody counted for `targ_counts_keep_ns` may go to another key when its CPU has no free one, and so may
 * an entry of NAME_spill when that is more than half full. A series ends then, and starts at 0 when its key comes back. Nothing
 * is lost by that as long as the host reads more often than that.
 *
 * Why this is right. A program can be interrupted at any instruction by another one, or by itself, that counts in the same
 * table on the same CPU (or, where programs can be preempted, interleave with it).
 *
 * - Counts are added atomically: whoever has the right bank may add at any time.
 * - A bank has one claimant (see claim_alone): whoever adds 1 to `claims` and reads 1 has it alone, on every architecture, because all
 *   accesses are to one variable. Who comes second goes on to the next bank. Two claimants with the same key get a bank each, and the
 *   host adds both up.
 * - A bank is given up only long after `used` became 0. Who counts and saw `used` before it saw the owner has all that time. Who saw 0 sets
 *   `used` and looks at the owner again after that: either the bank was given up before, and the second look tells, or `used` was seen,
 *   and the bank stays.
 * - An entry of NAME_spill is deleted in three steps, minutes and then seconds apart: seen unused; marked as dying; deleted. Whoever finds a
 *   dying entry revives it under the lock under which entries are deleted, so no count goes to a deleted entry.
 *
 * The host reads each word whole, but in any order, and on arm64 sees this CPU's writes in any order:
 *
 * - `check` is computed from the key. A reader that sees a part of another key, or one without its `check`, passes the bank over
 *   until next time. x86-64 shows `check` last, because it is written last; no other order is needed.
 * - Counts are never set back. What a bank counts for its second owner is what it grew by since the host read it last, and it has no owner
 *   for several seconds in between. In that time its CPU has passed many full barriers (each context switch has one), so
 *   whoever sees counts of the new owner sees that the old one is gone.
 */
#ifndef EBHOST_COUNTS_H
#define EBHOST_COUNTS_H

#include "../native.h"

/* How long a key that is not counted keeps its bank where others need one. The host must read more often. */
const volatile u64 targ_counts_keep_ns = 120000000000ull;

/* The longest probe for a bank. */
#define COUNTS_PROBES 8
/* Entries of the shared hash that a count may look at, to find one that can be deleted, when it inserts its own. */
#define COUNTS_SWEEP 2
/* Times are kept in ticks of 2^32 ns, modulo 2^16. How many of them a bank, or a dying entry, is left alone. */
#define COUNTS_REST 2

/* The check is next to the key, so that the host compares one piece of memory to see whether the owner is the same. */
struct bank_head {
	u32 claims;
	u16 used; /* whether somebody counted since this was set to 0 */
	u16 since; /* tick at which `used` was set to 0, or the owner gone; 0: never */
	u64 check; /* of the key, see counts_check; 0: no owner */
};

enum entry_state {
	ENTRY_NEW, /* not in the ring */
	ENTRY_LINKED,
	ENTRY_DYING,
};

struct entry_head {
	u32 state;
	u16 used;
	u16 since;
};

/* Slots of NAME_stats. The SDK knows the numbers. */
enum counts_stat {
	COUNTS_SPILLED,
	COUNTS_LOST_FULL, /* NAME_spill is full */
	COUNTS_LOST_BUSY, /* the key's entry was being deleted by another program at this moment */
	COUNTS_STATS,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bpf_map {
	u32 max_entries;
};

#pragma clang attribute pop

/* A perf event array (type 4) without events: loaders give it one entry for each possible CPU, so its size is their number. */
struct {
	__uint(type, 4);
	__uint(max_entries, 0);
	__type(key, u32);
	__type(value, u32);
} counts_cpus SEC(".maps");

static __always_inline u32 counts_size(void *map)
{
	return ((struct bpf_map *)map)->max_entries;
}

static __always_inline u16 counts_tick(u64 ns)
{
	return ns >> 32;
}

/* Ticks from `since` to `now`. */
static __always_inline u16 counts_age(u16 now, u16 since)
{
	return now - since;
}

/* The tick as a mark; 0 means that there is none. */
static __always_inline u16 counts_mark(u16 now)
{
	return now ? now : 1;
}

static __always_inline u16 counts_keep(void)
{
	return targ_counts_keep_ns >> 32 < 0x7fff ? targ_counts_keep_ns >> 32 : 0x7fff;
}

/* Adds a claim; returns whether it is the only one besides `others`. Without compare-and-swap, which needs 5.12. */
static __always_inline bool counts_claim(u32 *claims, u32 others)
{
	__sync_fetch_and_add(claims, 1);
	if (READ_ONCE(*claims) == others + 1)
		return true;
	__sync_fetch_and_add(claims, -1);
	return false;
}

/* A number made of all bits of a key, never 0. The SDK computes the same. */
static __always_inline u64 counts_check(const u64 *words, u32 count)
{
	u64 sum = 0xcbf29ce484222325ull;

#pragma unroll
	for (u32 i = 0; i < count; i++) {
		sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15ull;
		sum ^= sum >> 32;
	}
	return sum | 1;
}

/*
 * Counting reads a key by halves of words: a member of four bytes that was just written is then not waited for, as it would be by a load
 * that spans two of them.
 */

/* Where the search for a key's bank begins, as a fraction of 2^32. Cheaper than its check, because every count needs it. */
static __always_inline u32 counts_start(const u32 *halves, u32 count)
{
	u64 sum = 0;

#pragma unroll
	for (u32 i = 0; i < count; i++)
		sum += halves[i] * (0x9e3779b97f4a7c15ull + 2 * i * 0xd1b54a32d192ed03ull);
	return sum >> 32;
}

/* Whether a bank belongs to this key; if so, it stays with it until it has been unused for long. The key follows the head. */
static __always_inline bool bank_is(struct bank_head *bank, const u32 *halves, u32 count)
{
	u16 used = READ_ONCE(bank->used);
	u64 check = READ_ONCE(bank->check);

	if (!check)
		return false;
#pragma unroll
	for (u32 i = 0; i < count; i++) {
		if (((u32 *)(bank + 1))[i] != halves[i])
			return false;
	}
	if (used)
		return true;
	WRITE_ONCE(bank->used, 1);
	return READ_ONCE(bank->check) == check;
}

/* Makes this key the owner of a bank, if the bank is free. */
static __always_inline bool bank_take(struct bank_head *bank, const u64 *words, u32 count, u16 now)
{
	if (READ_ONCE(bank->claims) || (bank->since && counts_age(now, bank->since) <= COUNTS_REST))
		return false;
	if (!counts_claim(&bank->claims, 0))
		return false;
#pragma unroll
	for (u32 i = 0; i < count; i++)
		WRITE_ONCE(((u64 *)(bank + 1))[i], words[i]);
	WRITE_ONCE(bank->used, 1);
	WRITE_ONCE(bank->check, counts_check(words, count));
	return true;
}

/* Takes a bank from a key that did not use it for long; notes when a bank is found to be unused. */
static __always_inline void bank_age(struct bank_head *bank, u16 now)
{
	if (!READ_ONCE(bank->check))
		return;
	if (READ_ONCE(bank->used)) {
		WRITE_ONCE(bank->since, counts_mark(now));
		WRITE_ONCE(bank->used, 0);
	} else if (counts_age(now, bank->since) > counts_keep() && counts_claim(&bank->claims, 1)) {
		WRITE_ONCE(bank->since, counts_mark(now));
		WRITE_ONCE(bank->check, 0);
		/* Its own claim, and the owner's. */
		__sync_fetch_and_add(&bank->claims, -2);
	}
}

static __always_inline void counts_note(void *stats, u32 stat)
{
	u64 *count = bpf_map_lookup_elem(stats, &stat);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Words of a key, the last one filled up with zeros. */
#define COUNTS_WORDS(key) ((sizeof(key) + 7) / 8)

/* A table with `n` u64 for each key. NAME_values finds the values of a key. */
#define COUNTS_TABLE(name, key_type, n)                                                                      \
	union name##_key {                                                                                   \
		key_type key;                                                                                \
		u64 words[COUNTS_WORDS(key_type)];                                                           \
		u32 halves[2 * COUNTS_WORDS(key_type)];                                                      \
	};                                                                                                   \
                                                                                                             \
	struct name##_bank {                                                                                 \
		struct bank_head head;                                                                       \
		union name##_key owner;                                                                      \
		u64 values[n];                                                                               \
	};                                                                                                   \
                                                                                                             \
	struct name##_entry {                                                                                \
		struct entry_head head;                                                                      \
		union name##_key next; /* in the ring of all entries */                                      \
		u64 values[n];                                                                               \
	};                                                                                                   \
                                                                                                             \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                            \
		__uint(max_entries, 256);                                                                    \
		__uint(map_flags, BPF_F_MMAPABLE);                                                           \
		__type(key, u32);                                                                            \
		__type(value, struct name##_bank);                                                           \
	} name SEC(".maps");                                                                                 \
                                                                                                             \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_HASH);                                                             \
		__uint(max_entries, 1024);                                                                   \
		__type(key, key_type);                                                                       \
		__type(value, struct name##_entry);                                                          \
	} name##_spill SEC(".maps");                                                                         \
                                                                                                             \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                            \
		__uint(max_entries, COUNTS_STATS);                                                           \
		__uint(map_flags, BPF_F_MMAPABLE);                                                           \
		__type(key, u32);                                                                            \
		__type(value, u64);                                                                          \
	} name##_stats SEC(".maps");                                                                         \
                                                                                                             \
	/* The host does not read an empty NAME_spill. */                                                    \
	u64 name##_spill_inserted;                                                                           \
	static const struct name##_entry name##_zero;                                                        \
	/* Banks of a CPU; 0: not computed yet. */                                                           \
	static volatile u32 name##_banks;                                                                    \
	/* The lock of the ring, the entry before the one that is looked at next, and the number of entries in the ring. */ \
	static u32 name##_claims;                                                                            \
	static union name##_key name##_hand;                                                                 \
	static volatile u32 name##_linked;                                                                   \
                                                                                                             \
	/* Looks at the next entry of the ring, under its lock. */                                           \
	static __noinline void name##_sweep(u16 now)                                                         \
	{                                                                                                    \
		struct name##_entry *before = bpf_map_lookup_elem(&name##_spill, &name##_hand), *entry;      \
		union name##_key key;                                                                        \
                                                                                                             \
		if (!before)                                                                                 \
			return;                                                                              \
		key = before->next;                                                                          \
		entry = bpf_map_lookup_elem(&name##_spill, &key);                                            \
		if (!entry)                                                                                  \
			return;                                                                              \
		if (READ_ONCE(entry->head.used)) {                                                           \
			WRITE_ONCE(entry->head.since, now);                                                  \
			WRITE_ONCE(entry->head.used, 0);                                                     \
			WRITE_ONCE(entry->head.state, ENTRY_LINKED);                                         \
		} else if (entry->head.state != ENTRY_DYING) {                                               \
			if (counts_age(now, entry->head.since) > counts_keep()) {                            \
				WRITE_ONCE(entry->head.since, now);                                          \
				WRITE_ONCE(entry->head.state, ENTRY_DYING);                                  \
			}                                                                                    \
		} else if (name##_linked > 1 && counts_age(now, entry->head.since) > COUNTS_REST) {          \
			before->next = entry->next;                                                          \
			bpf_map_delete_elem(&name##_spill, &key);                                            \
			name##_linked--;                                                                     \
			return;                                                                              \
		}                                                                                            \
		name##_hand = key;                                                                           \
	}                                                                                                    \
                                                                                                             \
	/* Puts an entry into the ring, under its lock. */                                                   \
	static __always_inline void name##_link(struct name##_entry *entry, const union name##_key *own)     \
	{                                                                                                    \
		struct name##_entry *before = NULL;                                                          \
                                                                                                             \
		if (name##_linked)                                                                           \
			before = bpf_map_lookup_elem(&name##_spill, &name##_hand);                           \
		if (before) {                                                                                \
			entry->next = before->next;                                                          \
			before->next = *own;                                                                 \
		} else {                                                                                     \
			entry->next = *own;                                                                  \
			name##_hand = *own;                                                                  \
		}                                                                                            \
		WRITE_ONCE(entry->head.state, ENTRY_LINKED);                                                 \
		name##_linked++;                                                                             \
	}                                                                                                    \
                                                                                                             \
	/* The entry of a key that has none yet, or one that is not (or no longer) in use. */                \
	static __noinline u64 *name##_admit(const union name##_key *own, u16 now)                            \
	{                                                                                                    \
		bool is_mine = counts_claim(&name##_claims, 0);                                              \
		struct name##_entry *entry;                                                                  \
                                                                                                             \
		if (is_mine && name##_linked > counts_size(&name##_spill) / 2) {                             \
			for (u32 i = 0; i < COUNTS_SWEEP; i++)                                               \
				name##_sweep(now);                                                           \
		}                                                                                            \
		/* Another CPU may insert it first. Either way the lookup finds it, unless the map is full. */ \
		if (!bpf_map_update_elem(&name##_spill, own, &name##_zero, BPF_NOEXIST))                     \
			__sync_fetch_and_add(&name##_spill_inserted, 1);                                     \
		entry = bpf_map_lookup_elem(&name##_spill, own);                                             \
		if (!entry) {                                                                                \
			counts_note(&name##_stats, COUNTS_LOST_FULL);                                        \
		} else {                                                                                     \
			u32 state = READ_ONCE(entry->head.state);                                            \
                                                                                                             \
			WRITE_ONCE(entry->head.used, 1);                                                     \
			if (is_mine && state == ENTRY_NEW)                                                   \
				name##_link(entry, own);                                                     \
			else if (is_mine)                                                                    \
				WRITE_ONCE(entry->head.state, ENTRY_LINKED);                                 \
			else if (state == ENTRY_DYING) {                                                     \
				counts_note(&name##_stats, COUNTS_LOST_BUSY);                                \
				entry = NULL;                                                                \
			}                                                                                    \
		}                                                                                            \
		if (is_mine)                                                                                 \
			__sync_fetch_and_add(&name##_claims, -1);                                            \
		return entry ? entry->values : NULL;                                                         \
	}                                                                                                    \
                                                                                                             \
	/* The values of a key that has no bank on this CPU: a bank that is free, or the shared entry. */    \
	static __noinline u64 *name##_first(const key_type *key, u32 base, u32 start)                        \
	{                                                                                                    \
		u64 ns = bpf_ktime_get_ns(), *values;                                                        \
		union name##_key own = {};                                                                   \
		struct name##_entry *entry;                                                                  \
		struct name##_bank *bank;                                                                    \
		u32 banks = name##_banks, probe, index;                                                      \
		u16 now = counts_tick(ns);                                                                   \
                                                                                                             \
		__builtin_memcpy(&own, key, sizeof(*key));                                                   \
		for (probe = 0; probe < COUNTS_PROBES && probe < banks; probe++) {                           \
			index = start + probe;                                                               \
			index = base + (index < banks ? index : index - banks);                              \
			bank = bpf_map_lookup_elem(&name, &index);                                           \
			if (!bank)                                                                           \
				break;                                                                       \
			if (bank_take(&bank->head, own.words, COUNTS_WORDS(key_type), now))                  \
				return bank->values;                                                         \
		}                                                                                            \
		/* One in sixteen looks whether a bank can be had back. */                                   \
		if (banks && !(ns >> 10 & 15)) {                                                             \
			index = start + (ns >> 14) % COUNTS_PROBES;                                          \
			index = base + (index < banks ? index : 0);                                          \
			bank = bpf_map_lookup_elem(&name, &index);                                           \
			if (bank)                                                                            \
				bank_age(&bank->head, now);                                                  \
		}                                                                                            \
		entry = bpf_map_lookup_elem(&name##_spill, key);                                             \
		if (entry && READ_ONCE(entry->head.state) == ENTRY_LINKED) {                                 \
			WRITE_ONCE(entry->head.used, 1);                                                     \
			values = entry->values;                                                              \
		} else {                                                                                     \
			values = name##_admit(&own, now);                                                    \
		}                                                                                            \
		if (values)                                                                                  \
			counts_note(&name##_stats, COUNTS_SPILLED);                                          \
		return values;                                                                               \
	}                                                                                                    \
                                                                                                             \
	static __always_inline u64 *name##_values(const key_type *key)                                       \
	{                                                                                                    \
		union name##_key own = {};                                                                   \
		u32 banks = name##_banks, base, start, probe;                                                \
                                                                                                             \
		__builtin_memcpy(&own, key, sizeof(*key));                                                   \
		if (!banks) {                                                                                \
			u32 cpus = counts_size(&counts_cpus);                                                \
                                                                                                             \
			banks = cpus ? counts_size(&name) / cpus : 0;                                        \
			name##_banks = banks;                                                                \
		}                                                                                            \
		base = bpf_get_smp_processor_id() * banks;                                                   \
		start = (u64)counts_start(own.halves, 2 * COUNTS_WORDS(key_type)) * banks >> 32;             \
		for (probe = 0; probe < COUNTS_PROBES && probe < banks; probe++) {                           \
			u32 index = start + probe;                                                           \
			struct name##_bank *bank;                                                            \
                                                                                                             \
			index = base + (index < banks ? index : index - banks);                              \
			bank = bpf_map_lookup_elem(&name, &index);                                           \
			if (!bank)                                                                           \
				break;                                                                       \
			if (bank_is(&bank->head, own.halves, 2 * COUNTS_WORDS(key_type)))                    \
				return bank->values;                                                         \
		}                                                                                            \
		return name##_first(key, base, start);                                                       \
	}

/* A histogram: the sum, then `n` slots. `slot_of(value)` is the number of the slot. */
#define HISTOGRAM(name, key_type, n, slot_of)                                                                \
	COUNTS_TABLE(name, key_type, (n) + 1)                                                                \
                                                                                                             \
	static __always_inline void name##_observe(const key_type *key, u64 value)                           \
	{                                                                                                    \
		u64 *values = name##_values(key);                                                            \
		u32 slot = slot_of(value);                                                                   \
                                                                                                             \
		if (!values)                                                                                 \
			return;                                                                              \
		barrier_var(slot);                                                                           \
		if (slot >= (n))                                                                             \
			slot = (n) - 1;                                                                      \
		__sync_fetch_and_add(&values[0], value);                                                     \
		__sync_fetch_and_add(&values[1 + slot], 1);                                                  \
	}

/* `n` numbers that only grow. */
#define COUNTS(name, key_type, n)                                                                            \
	COUNTS_TABLE(name, key_type, n)                                                                      \
                                                                                                             \
	static __always_inline void name##_add(const key_type *key, u32 index, u64 amount)                   \
	{                                                                                                    \
		u64 *values = name##_values(key);                                                            \
                                                                                                             \
		if (values && index < (n))                                                                   \
			__sync_fetch_and_add(&values[index], amount);                                        \
	}

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
