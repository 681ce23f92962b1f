/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The tables behind counts.h, which says what they are for, what they cost and how large they are: banks for each CPU, and a hash that all
 * CPUs share. Include counts.h instead.
 *
 * Why this is right. A program can be interrupted at any instruction by another one, or by itself, that counts in the same
 * table on the same CPU (or, where programs can be preempted, interleave with it).
 *
 * - Counts are added atomically: whoever has the right bank may add at any time.
 * - A bank has one claimant: whoever adds 1 to `claims` and reads 1 has it alone. Who comes second goes on to the next bank. Two claimants
 *   with the same key get a bank each, and the host adds both up.
 * - `used` is set last when a bank is taken. So whoever reads that it is set, and then the key, has the key of the bank's owner.
 * - A bank is given up only long after `used` became 0. Who counts and saw `used` before has all that time. Who finds it to be 0 sets it
 *   again, under a claim of its own, as who gives a bank up has one: so a bank without an owner is never in use.
 * - An entry of NAME_spill is deleted in three steps, minutes and then seconds apart: seen unused; marked as dying; deleted. Whoever finds a
 *   dying entry revives it under the lock under which entries are deleted, so no count goes to a deleted entry.
 *
 * The host reads each word whole, but in any order, and on arm64 sees this CPU's writes in any order:
 *
 * - `check` is computed from the key and the note. A reader that sees a part of another key passes the bank over until next time. x86-64
 *   shows `check` after the key, because it is written after it; arm64 may show it with half a key, which then fits once in 2^31 times.
 * - Counts are never set back. What a bank counts for its second owner is what it grew by since the host read it last, and it has no owner
 *   for two seconds in between. In that time its CPU has passed many full barriers (each context switch has one), so
 *   whoever sees counts of the new owner sees that the old one is gone.
 */
#ifndef EBHOST_TABLE_H
#define EBHOST_TABLE_H

#include "../buckets.h"

/*
 * How long a key that is not counted keeps its bank where others need one: at most two hours. The host must read more often, or counts
 * are lost.
 */
const volatile u64 targ_counts_keep_ns = 120000000000ull;
/* How long a bank is left alone after it was given up, and an entry after it was marked as dying. */
const volatile u64 targ_counts_rest_ns = 2000000000ull;

/* A key may have one of this many banks of its CPU, a power of two: those whose numbers differ in the lowest bits alone. */
#define COUNTS_PROBES 8
/* Entries of the shared hash that a new key looks at, to find some that can be deleted: always, and when the hash is more than half full. */
#define COUNTS_SWEEP 4
#define COUNTS_SWEEP_MORE 12
/* Times are kept in ticks of 2^28 ns, modulo 2^16. */
#define COUNTS_TICK 28
#define COUNTS_LONGEST 0x7fff
/* An age above this is that of something that was noted after the clock was read. */
#define COUNTS_OLDEST 0xff00

/* The key follows, then the note. The check is next to the key, so that the host compares one piece of memory to see whether both are the same. */
struct bank_head {
	union {
		u32 word; /* claims are added to the word, because there are no smaller atomic additions */
		struct {
			u8 claims;
			u8 used; /* whether somebody counted since this was set to 0 */
			u16 since; /* tick at which `used` was set to 0, or the owner gone; 0: never */
		};
	};
	u32 check; /* of the key and the note, see counts_check; 0: no owner */
};

enum entry_state {
	ENTRY_NEW, /* not in the ring */
	ENTRY_LINKED,
	ENTRY_DYING,
};

/* The key of the next entry in the ring follows, then the note. */
struct entry_head {
	u8 state;
	u8 used;
	u16 since;
	u32 check; /* as in a bank, if the table has notes; 0: the note was not written yet */
};

/* Slots of NAME_stats. The SDK knows the numbers. */
enum counts_stat {
	COUNTS_SPILLED,
	COUNTS_LOST_FULL, /* NAME_spill is full */
	COUNTS_LOST_BUSY, /* the key's entry was being deleted by another program at this moment */
	COUNTS_ENTRIES, /* entries of NAME_spill, now */
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
	return ns >> COUNTS_TICK;
}

/* Ticks from `since` to `now`. */
static __always_inline u16 counts_age(u16 now, u16 since)
{
	u16 age = now - since;

	return age < COUNTS_OLDEST ? age : 0;
}

/* The tick as a mark; 0 means that there is none. */
static __always_inline u16 counts_mark(u16 now)
{
	return now ? now : 1;
}

static __always_inline u16 counts_ticks(u64 ns)
{
	return ns >> COUNTS_TICK < COUNTS_LONGEST ? ns >> COUNTS_TICK : COUNTS_LONGEST;
}

#define counts_keep() counts_ticks(targ_counts_keep_ns)
#define counts_rest() counts_ticks(targ_counts_rest_ns)

/*
 * The place at which the search for a key begins, among 2^(64 - shift): the upper bits of a sum of products, which depend on all bits of the
 * key. Small dense ids get places of their own. Ids at larger equal distances, as those of cgroups often are, would share a few places for
 * some distances: therefore the shift.
 */
static __always_inline u64 counts_start(const u64 *words, u32 count, u32 shift)
{
	u64 sum = 0;

#pragma unroll
	for (u32 i = 0; i < count; i++)
		sum += (words[i] ^ words[i] >> 12) * (i ? 0x2b56955dda2d3b3dull * (2 * i - 1) : 0x9e3779b97f4a7c15ull);
	return sum >> shift;
}

/* One step of a number that is made of all bits of a key and a note. The SDK computes the same. */
static __always_inline u64 counts_mix(u64 sum, const u64 *words, u32 count)
{
#pragma unroll
	for (u32 i = 0; i < count; i++) {
		sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15ull;
		sum ^= sum >> 32;
	}
	return sum;
}

#define COUNTS_MIX 0xcbf29ce484222325ull

/* The number, never 0. */
static __always_inline u32 counts_check(const u64 *key, u32 key_words, const u64 *note, u32 note_words)
{
	return counts_mix(counts_mix(COUNTS_MIX, key, key_words), note, note_words) | 1;
}

/* Adds a claim; returns whether it is the only one. Without compare-and-swap, which needs 5.12. */
static __always_inline bool counts_claim(u32 *claims)
{
	__sync_fetch_and_add(claims, 1);
	if (READ_ONCE(*claims) == 1)
		return true;
	__sync_fetch_and_add(claims, -1);
	return false;
}

/* The same for a bank, where the owner has a claim as well. */
static __always_inline bool bank_claim(struct bank_head *bank, u8 others)
{
	__sync_fetch_and_add(&bank->word, 1);
	if (READ_ONCE(bank->claims) == others + 1)
		return true;
	__sync_fetch_and_add(&bank->word, -1);
	return false;
}

static __always_inline bool bank_has(struct bank_head *bank, const u64 *words, u32 count)
{
#pragma unroll
	for (u32 i = 0; i < count; i++) {
		if (READ_ONCE(((u64 *)(bank + 1))[i]) != words[i])
			return false;
	}
	return true;
}

/* Whether a bank belongs to this key and is in use. */
static __always_inline bool bank_is(struct bank_head *bank, const u64 *words, u32 count)
{
	return READ_ONCE(bank->used) && bank_has(bank, words, count);
}

/* Whether a bank that was unused belongs to this key. It is in use then. */
static __always_inline bool bank_revive(struct bank_head *bank, const u64 *words, u32 count)
{
	bool is_mine;

	if (!READ_ONCE(bank->check) || !bank_has(bank, words, count) || !bank_claim(bank, 1))
		return false;
	is_mine = READ_ONCE(bank->check) && bank_has(bank, words, count);
	if (is_mine)
		WRITE_ONCE(bank->used, 1);
	__sync_fetch_and_add(&bank->word, -1);
	return is_mine;
}

/* Whether a bank has no owner and had none for a while. If so, it is claimed. */
static __always_inline bool bank_claim_free(struct bank_head *bank, u16 now)
{
	u16 since = READ_ONCE(bank->since);

	if (READ_ONCE(bank->claims) || (since && counts_age(now, since) <= counts_rest()))
		return false;
	return bank_claim(bank, 0);
}

/* Takes a bank from a key that did not use it for long; notes when a bank is found to be unused. */
static __always_inline void bank_age(struct bank_head *bank, u16 now)
{
	if (!READ_ONCE(bank->check))
		return;
	if (READ_ONCE(bank->used)) {
		WRITE_ONCE(bank->since, counts_mark(now));
		WRITE_ONCE(bank->used, 0);
		return;
	}
	if (counts_age(now, READ_ONCE(bank->since)) <= counts_keep() || !bank_claim(bank, 1))
		return;
	if (READ_ONCE(bank->used) || counts_age(now, READ_ONCE(bank->since)) <= counts_keep()) {
		__sync_fetch_and_add(&bank->word, -1);
		return;
	}
	WRITE_ONCE(bank->since, counts_mark(now));
	WRITE_ONCE(bank->check, 0);
	/* Its own claim, and the owner's. */
	__sync_fetch_and_add(&bank->word, -2);
}

static __always_inline void counts_note(void *stats, u32 stat, s64 more)
{
	u64 *count = bpf_map_lookup_elem(stats, &stat);

	if (count)
		__sync_fetch_and_add(count, more);
}

/* Words of a key or a note, the last one filled up with zeros. */
#define COUNTS_WORDS(type) ((sizeof(type) + 7) / 8)

struct counts_no_note {};

/* The functions that counts.h uses where a table has no note, and its keys may lose their banks whenever they do not use them. */
#define COUNTS_NO_NOTE(name, key_type)                                                                       \
	static __always_inline void name##_describe(struct counts_no_note *note, void *about)                \
	{                                                                                                    \
	}                                                                                                    \
	static __always_inline bool name##_may_end(const key_type *key)                                      \
	{                                                                                                    \
		return true;                                                                                 \
	}

/* Flags of NAME_spill. */
#ifndef COUNTS_SPILL_FLAGS
#define COUNTS_SPILL_FLAGS 0
#endif

/*
 * A table with `n` u64 for each key, and a note, which the host reads beside the key. `NAME_values(key, about)` finds the values of a key. It
 * calls `NAME_describe(note, about)` once, when the key gets a bank or an entry, and `NAME_may_end(key)` to know whether a key that was not
 * used for long may lose them.
 */
#define COUNTS_TABLE(name, key_type, note_type, n)                                                           \
	union name##_key {                                                                                   \
		key_type key;                                                                                \
		u64 words[COUNTS_WORDS(key_type)];                                                           \
	};                                                                                                   \
                                                                                                             \
	union name##_note {                                                                                  \
		note_type note;                                                                              \
		u64 words[COUNTS_WORDS(note_type)];                                                          \
	};                                                                                                   \
                                                                                                             \
	struct name##_bank {                                                                                 \
		struct bank_head head;                                                                       \
		union name##_key owner;                                                                      \
		union name##_note note;                                                                      \
		u64 values[n];                                                                               \
	};                                                                                                   \
                                                                                                             \
	struct name##_entry {                                                                                \
		struct entry_head head;                                                                      \
		union name##_key next;                                                                       \
		union name##_note note;                                                                      \
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
		__uint(map_flags, COUNTS_SPILL_FLAGS);                                                       \
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
	/* A table may have the name of any variable below. */                                               \
	static __always_inline void *name##_map(void)                                                        \
	{                                                                                                    \
		return &name;                                                                                \
	}                                                                                                    \
                                                                                                             \
	/* Entries of NAME_spill: the host does not read it while it is empty. */                            \
	u64 name##_spill_inserted;                                                                           \
	static const struct name##_entry name##_zero;                                                        \
	/* A CPU has 2^(64 - shift) banks; 0: not computed yet, or none. */                                  \
	static volatile u32 name##_shift;                                                                    \
	/* The lock of the ring, the entry before the one that is looked at next, and the number of entries in the ring. */ \
	static u32 name##_claims;                                                                            \
	static union name##_key name##_hand;                                                                 \
	static volatile u32 name##_linked;                                                                   \
                                                                                                             \
	/* Looks at the next entry of the ring, under its lock. */                                           \
	static __noinline void name##_sweep(u16 now)                                                         \
	{                                                                                                    \
		struct name##_entry *before, *entry;                                                         \
		union name##_key key;                                                                        \
                                                                                                             \
		if (!name##_linked)                                                                          \
			return;                                                                              \
		before = bpf_map_lookup_elem(&name##_spill, &name##_hand);                                   \
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
			if (counts_age(now, entry->head.since) > counts_keep() && name##_may_end(&key.key)) { \
				WRITE_ONCE(entry->head.since, now);                                          \
				WRITE_ONCE(entry->head.state, ENTRY_DYING);                                  \
			}                                                                                    \
		} else if (counts_age(now, entry->head.since) > counts_rest()) {                             \
			before->next = entry->next;                                                          \
			bpf_map_delete_elem(&name##_spill, &key);                                            \
			name##_linked--;                                                                     \
			__sync_fetch_and_add(&name##_spill_inserted, -1);                                    \
			counts_note(&name##_stats, COUNTS_ENTRIES, -1);                                      \
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
	/* Looks at entries that can perhaps be deleted, if nobody else looks now. */                        \
	static __noinline void name##_tidy(u16 now)                                                          \
	{                                                                                                    \
		if (!name##_linked || !counts_claim(&name##_claims))                                         \
			return;                                                                              \
		for (u32 i = 0; i < COUNTS_SWEEP; i++)                                                       \
			name##_sweep(now);                                                                   \
		__sync_fetch_and_add(&name##_claims, -1);                                                    \
	}                                                                                                    \
                                                                                                             \
	static __always_inline void name##_describe_entry(struct name##_entry *entry, const union name##_key *own, \
							  void *about)                                       \
	{                                                                                                    \
		u32 words = COUNTS_WORDS(note_type);                                                         \
                                                                                                             \
		if (!words || READ_ONCE(entry->head.check))                                                  \
			return;                                                                              \
		name##_describe(&entry->note.note, about);                                                   \
		barrier();                                                                                   \
		WRITE_ONCE(entry->head.check, counts_check(own->words, COUNTS_WORDS(key_type), entry->note.words, words)); \
	}                                                                                                    \
                                                                                                             \
	/* The entry of a key that has none yet, or one that is not (or no longer) in use. */                \
	static __noinline u64 *name##_admit(const union name##_key *own, void *about, u16 now)               \
	{                                                                                                    \
		bool is_mine = counts_claim(&name##_claims);                                                 \
		struct name##_entry *entry;                                                                  \
                                                                                                             \
		for (u32 i = 0; is_mine && i < COUNTS_SWEEP_MORE; i++) {                                     \
			if (i >= COUNTS_SWEEP && name##_linked <= counts_size(&name##_spill) / 2)            \
				break;                                                                       \
			name##_sweep(now);                                                                   \
		}                                                                                            \
		/* Another CPU may insert it first. Either way the lookup finds it, unless the map is full. */ \
		if (!bpf_map_update_elem(&name##_spill, own, &name##_zero, BPF_NOEXIST)) {                   \
			__sync_fetch_and_add(&name##_spill_inserted, 1);                                     \
			counts_note(&name##_stats, COUNTS_ENTRIES, 1);                                       \
		}                                                                                            \
		entry = bpf_map_lookup_elem(&name##_spill, own);                                             \
		if (!entry) {                                                                                \
			counts_note(&name##_stats, COUNTS_LOST_FULL, 1);                                     \
		} else {                                                                                     \
			u32 state = READ_ONCE(entry->head.state);                                            \
                                                                                                             \
			WRITE_ONCE(entry->head.used, 1);                                                     \
			if (is_mine && state == ENTRY_NEW)                                                   \
				name##_link(entry, own);                                                     \
			else if (is_mine)                                                                    \
				WRITE_ONCE(entry->head.state, ENTRY_LINKED);                                 \
			else if (state == ENTRY_DYING) {                                                     \
				counts_note(&name##_stats, COUNTS_LOST_BUSY, 1);                             \
				entry = NULL;                                                                \
			}                                                                                    \
			if (entry)                                                                           \
				name##_describe_entry(entry, own, about);                                    \
		}                                                                                            \
		if (is_mine)                                                                                 \
			__sync_fetch_and_add(&name##_claims, -1);                                            \
		return entry ? entry->values : NULL;                                                         \
	}                                                                                                    \
                                                                                                             \
	/* Computes how many banks a CPU has. */                                                             \
	static __noinline u32 name##_measure(void)                                                           \
	{                                                                                                    \
		u32 cpus = counts_size(&counts_cpus), banks = cpus ? counts_size(name##_map()) / cpus : 0;   \
                                                                                                             \
		if (banks < 2)                                                                               \
			return 0;                                                                            \
		name##_shift = 64 - log2(banks);                                                             \
		return name##_shift;                                                                         \
	}                                                                                                    \
                                                                                                             \
	/*                                                                                                   \
	 * This CPU's bank number `probe` of those that a key may have; NULL: there is none. They are next to each other, so that the second \
	 * one is often in the same cache line. `home` is the first one, `last` the number of banks minus 1. \
	 */                                                                                                  \
	static __always_inline struct name##_bank *name##_bank_at(u32 home, u32 probe, u32 last)             \
	{                                                                                                    \
		u32 index = home ^ (probe & last);                                                           \
                                                                                                             \
		return bpf_map_lookup_elem(name##_map(), &index);                                            \
	}                                                                                                    \
                                                                                                             \
	/*                                                                                                   \
	 * Looks at banks that can perhaps be given up. A new key looks at all that it may have: so those of a CPU are free again \
	 * although nothing but new keys reminds it of them.                                                 \
	 */                                                                                                  \
	static __noinline void name##_age(u32 home, u32 last, u64 ns, u32 banks)                             \
	{                                                                                                    \
		for (u32 i = 0; last && i < COUNTS_PROBES && i < banks; i++) {                               \
			struct name##_bank *bank = name##_bank_at(home, (ns >> 14) + i & COUNTS_PROBES - 1, last); \
                                                                                                             \
			if (bank && name##_may_end(&bank->owner.key))                                        \
				bank_age(&bank->head, counts_tick(ns));                                      \
		}                                                                                            \
	}                                                                                                    \
                                                                                                             \
	/* A bank for a key that has none which is in use: one that it did not use for a while, or one that is free. */ \
	static __noinline u64 *name##_take(const union name##_key *own, void *about, u32 home, u32 last)     \
	{                                                                                                    \
		struct name##_bank *bank;                                                                    \
		u32 probe;                                                                                   \
		u64 ns;                                                                                      \
                                                                                                             \
		for (probe = 0; probe < COUNTS_PROBES; probe++) {                                            \
			bank = name##_bank_at(home, probe, last);                                            \
			if (!bank)                                                                           \
				return NULL;                                                                 \
			if (bank_revive(&bank->head, own->words, COUNTS_WORDS(key_type)))                    \
				return bank->values;                                                         \
		}                                                                                            \
		ns = bpf_ktime_get_ns();                                                                     \
		for (probe = 0; probe < COUNTS_PROBES; probe++) {                                            \
			bank = name##_bank_at(home, probe, last);                                            \
			if (!bank)                                                                           \
				return NULL;                                                                 \
			if (!bank_claim_free(&bank->head, counts_tick(ns)))                                  \
				continue;                                                                    \
			for (u32 i = 0; i < COUNTS_WORDS(key_type); i++)                                     \
				WRITE_ONCE(bank->owner.words[i], own->words[i]);                             \
			name##_describe(&bank->note.note, about);                                            \
			barrier();                                                                           \
			WRITE_ONCE(bank->head.check, counts_check(own->words, COUNTS_WORDS(key_type),        \
							  bank->note.words, COUNTS_WORDS(note_type)));       \
			WRITE_ONCE(bank->head.used, 1);                                                      \
			name##_age(home, last, ns, COUNTS_PROBES);                                           \
			name##_tidy(counts_tick(ns));                                                        \
			return bank->values;                                                                 \
		}                                                                                            \
		return NULL;                                                                                 \
	}                                                                                                    \
                                                                                                             \
	/* The shared entry of a key. One call in sixteen looks whether a bank, and entries, can be had back. */ \
	static __noinline u64 *name##_share(const union name##_key *own, void *about, u32 home, u32 last)    \
	{                                                                                                    \
		struct name##_entry *entry = bpf_map_lookup_elem(&name##_spill, own);                        \
		u64 ns = bpf_ktime_get_ns(), *values;                                                        \
                                                                                                             \
		if (entry && READ_ONCE(entry->head.state) == ENTRY_LINKED) {                                 \
			WRITE_ONCE(entry->head.used, 1);                                                     \
			values = entry->values;                                                              \
			if (!(ns >> 10 & 15)) {                                                              \
				name##_age(home, last, ns, 1);                                               \
				name##_tidy(counts_tick(ns));                                                \
			}                                                                                    \
		} else {                                                                                     \
			values = name##_admit(own, about, counts_tick(ns));                                  \
			name##_age(home, last, ns, COUNTS_PROBES);                                           \
		}                                                                                            \
		if (values)                                                                                  \
			counts_note(&name##_stats, COUNTS_SPILLED, 1);                                       \
		return values;                                                                               \
	}                                                                                                    \
                                                                                                             \
	/* The values of a key that has no bank which is in use. */                                          \
	static __noinline u64 *name##_first(const union name##_key *own, void *about)                        \
	{                                                                                                    \
		u32 shift = name##_shift, home = 0, last = 0;                                                \
		u64 *values = NULL;                                                                          \
                                                                                                             \
		if (!shift)                                                                                  \
			shift = name##_measure();                                                            \
		if (shift) {                                                                                 \
			last = (1ull << (64 - shift)) - 1;                                                   \
			home = (bpf_get_smp_processor_id() << (64 - shift)) +                                \
			       counts_start(own->words, COUNTS_WORDS(key_type), shift);                      \
			values = name##_take(own, about, home, last);                                        \
		}                                                                                            \
		return values ? values : name##_share(own, about, home, last);                               \
	}                                                                                                    \
                                                                                                             \
	/*                                                                                                   \
	 * `is_own`: whether these are the values of a bank, to which programs of this CPU alone add; others are those of an entry that all CPUs \
	 * share, or of a bank that was taken just now.                                                      \
	 */                                                                                                  \
	static __always_inline u64 *name##_values_of(const key_type *key, void *about, bool *is_own)         \
	{                                                                                                    \
		u32 shift = name##_shift, home, last, probe;                                                 \
		union name##_key own = {}, other;                                                            \
		struct name##_bank *bank;                                                                    \
                                                                                                             \
		__builtin_memcpy(&own, key, sizeof(*key));                                                   \
		*is_own = true;                                                                              \
		if (shift) {                                                                                 \
			home = (bpf_get_smp_processor_id() << (64 - shift)) +                                \
			       counts_start(own.words, COUNTS_WORDS(key_type), shift);                       \
			bank = bpf_map_lookup_elem(name##_map(), &home);                                     \
			if (bank && bank_is(&bank->head, own.words, COUNTS_WORDS(key_type)))                 \
				return bank->values;                                                         \
			last = (1ull << (64 - shift)) - 1;                                                   \
			_Pragma("clang loop unroll(disable)") for (probe = 1; probe < COUNTS_PROBES; probe++) { \
				bank = name##_bank_at(home, probe, last);                                    \
				if (bank && bank_is(&bank->head, own.words, COUNTS_WORDS(key_type)))         \
					return bank->values;                                                 \
			}                                                                                    \
		}                                                                                            \
		*is_own = false;                                                                             \
		/* A copy, so that the key stays in registers until here. */                                 \
		other = own;                                                                                 \
		return name##_first(&other, about);                                                          \
	}                                                                                                    \
                                                                                                             \
	__attribute__((unused)) static __always_inline u64 *name##_values(const key_type *key, void *about)  \
	{                                                                                                    \
		bool is_own;                                                                                 \
                                                                                                             \
		return name##_values_of(key, about, &is_own);                                                \
	}

#endif
