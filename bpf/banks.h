/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Histograms of latencies: one bank for each disk, operation and flags.
 *
 * A CPU counts in banks of its own, without a lock or an insertion: `banks` is one hash table for each CPU in an array, with linear
 * probing. What finds no free bank there is counted in `spill`, an ordinary hash map that all CPUs share. Each bank says whose it is,
 * so that the host needs to know nothing else, and keeps its disk's name after the disk is gone.
 *
 * Why a reader cannot be misled, on every architecture: a reader takes each word whole, but in any order.
 *
 * - The owner ends with a checksum of itself. A reader that sees only a part of it being written passes the bank over until next time.
 * - A bank that had no owner has no counts that were read: all that it has belongs to its first owner, however late the owner is seen.
 * - A bank changes hands over minutes. Its disk is gone, so nobody counts in it any more; after `targ_keep_ns`, in which the host has
 *   read its counts, it is cleared; after that time again it is free. In between its CPU has passed many full barriers (each
 *   context switch has one), so no reader sees counts of the new owner beside the old one.
 */
#ifndef EBHOST_BANKS_H
#define EBHOST_BANKS_H

#include "claim.h"
#include "disks.h"
#include "lost.h"
#include "native.h"

/* Count into native histogram buckets: `native_banks` and `native_spill` instead of `banks` and `spill`. */
const volatile bool targ_native = false;
/* Banks per CPU, a power of two. `banks` must have this many entries for every possible CPU. */
const volatile u32 targ_banks = 128;
/* How long the counts of a disk that is gone are kept, and a cleared bank is left alone. The host must scrape more often. */
const volatile u64 targ_keep_ns = 120000000000ull;

/* The longest probe for a bank. */
#define BANK_PROBES 8

/* The disk, operation and flags of a bank. */
struct owner {
	u64 inode; /* of the disk's folder in /sys */
	u32 name[DISK_NAME_LEN / sizeof(u32)]; /* of the disk, filled up with zeros */
	u8 operation;
	u8 is_known; /* 1, so that no owner is all zeros */
	u16 flags;
	u32 checksum;
};

struct head {
	u64 key; /* sequence << 24 | flags << 8 | (operation + 1); 0: no owner */
	struct owner owner;
	u64 sum_ns;
	u64 statistics; /* see `disks` */
	union {
		u64 since; /* with an owner: when its disk was found to be gone; without: when the bank was cleared */
		u64 before; /* in the map that all CPUs share: the disk's entry before this one */
	};
	u64 claims;
};

struct bank {
	struct head head;
	u64 slots[SLOTS];
};

struct native_bank {
	struct head head;
	u64 slots[NATIVE_SLOTS];
};

_Static_assert(__builtin_offsetof(struct head, statistics) == 64, "what each request needs is in one cache line");
_Static_assert(sizeof(struct bank) == 320, "five cache lines, and the layout that the component declares");
_Static_assert(sizeof(struct native_bank) == 2024, "the layout that the component declares");

/* Banks [cpu * targ_banks, (cpu + 1) * targ_banks) are written by that CPU alone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 128 * 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct bank);
} banks SEC(".maps");

/* Banks by their keys, for all CPUs. Memory is allocated when a bank is first needed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct bank);
} spill SEC(".maps");

/* The same two with native buckets. Only one of the two pairs is used, so that the other array needs a single entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct native_bank);
} native_banks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct native_bank);
} native_spill SEC(".maps");

static const struct native_bank no_bank;

/* Entries that were inserted. While one of these is 0, the host need not read the map of its name. */
u64 spill_inserted, native_spill_inserted;
/* Until then `spill` is full, and nothing is inserted into it. */
static volatile u64 spill_full_until;
static u64 clearing;

struct series {
	struct gendisk *disk;
	u64 key;
	u32 operation;
	u32 flags;
};

static __always_inline struct series series_of(struct gendisk *disk, u32 operation, u32 flags)
{
	u64 key = sequence_of(disk) << 24 | (u64)flags << 8 | (operation + 1);

	return (struct series){ .disk = disk, .key = key, .operation = operation, .flags = flags };
}

static __always_inline u64 sequence_in(u64 key)
{
	return key >> 24;
}

/* One step of FNV-1a, on a word instead of a byte. */
#define MIX(sum, word) (((sum) ^ (u32)(word)) * 16777619u)

static __always_inline void write_owner(struct owner *owner, const struct series *series)
{
	u64 inode = inode_of(series->disk);
	u32 sum = MIX(MIX(2166136261u, inode), inode >> 32);

	WRITE_ONCE(owner->inode, inode);
#pragma unroll
	for (u32 i = 0; i < DISK_NAME_LEN / sizeof(u32); i++) {
		u32 word = *(u32 *)(series->disk->disk_name + i * sizeof(u32));

		WRITE_ONCE(owner->name[i], word);
		sum = MIX(sum, word);
	}
	WRITE_ONCE(owner->operation, series->operation);
	WRITE_ONCE(owner->flags, series->flags);
	WRITE_ONCE(owner->is_known, 1);
	WRITE_ONCE(owner->checksum, MIX(sum, series->operation | 1 << 8 | series->flags << 16));
}

/* Claims a bank without an owner. */
static __always_inline bool claim_bank(struct head *bank, const struct series *series, u64 now)
{
	if (READ_ONCE(bank->claims) || (bank->since && now - bank->since < targ_keep_ns))
		return false;
	if (!claim_alone(&bank->claims, 0))
		return false;
	bank->since = 0;
	bank->statistics = statistics_of(series->disk);
	if (!register_disk(bank->statistics, sequence_in(series->key)))
		bank->statistics = 0;
	write_owner(&bank->owner, series);
	WRITE_ONCE(bank->key, series->key);
	return true;
}

/* Clears a bank whose disk has been gone for long enough; notes when a disk is found to be gone. `words`: the bank's size. */
static __always_inline void age_bank(struct head *bank, u32 words, u64 now)
{
	u64 key = READ_ONCE(bank->key);

	if (!key)
		return;
	if (!bank->since) {
		if (is_gone(bank->statistics, sequence_in(key)))
			bank->since = now;
	} else if (now - bank->since > targ_keep_ns) {
		bank->since = now;
		WRITE_ONCE(bank->key, 0);
		for (u32 i = 0; i < sizeof(struct owner) / sizeof(u64); i++)
			WRITE_ONCE(((u64 *)&bank->owner)[i], 0);
		WRITE_ONCE(bank->sum_ns, 0);
		for (u32 i = sizeof(struct head) / sizeof(u64); i < words; i++)
			WRITE_ONCE(((u64 *)bank)[i], 0);
		WRITE_ONCE(bank->claims, 0);
	}
}

/* This CPU's bank of a series; NULL: there is none free where it could be. */
#define FIND_BANK(map, type, series, now)                                                       \
	({                                                                                      \
		u32 first = bpf_get_smp_processor_id() * targ_banks;                            \
		u32 hash = ((series)->key * 0x9e3779b97f4a7c15ull) >> 32, probe, index;         \
		type *bank = NULL;                                                              \
                                                                                                \
		for (probe = 0; probe < BANK_PROBES; probe++) {                                 \
			u64 key;                                                                \
                                                                                                \
			index = first + ((hash + probe) & (targ_banks - 1));                    \
			bank = bpf_map_lookup_elem(&map, &index);                               \
			if (!bank)                                                              \
				break;                                                          \
			key = READ_ONCE(bank->head.key);                                        \
			if (key == (series)->key ||                                             \
			    (!key && claim_bank(&bank->head, series, now)))                     \
				break;                                                          \
			bank = NULL;                                                            \
		}                                                                               \
		if (probe == BANK_PROBES && !((now) >> 10 & 15)) {                              \
			/* One request in sixteen looks whether a bank can be had back. */      \
			index = first + ((hash + ((now) >> 14) % BANK_PROBES) & (targ_banks - 1)); \
			type *other = bpf_map_lookup_elem(&map, &index);                        \
			if (other)                                                              \
				age_bank(&other->head, sizeof(type) / sizeof(u64), now);        \
		}                                                                               \
		bank;                                                                           \
	})

/* Notes that a disk has an entry in the shared map, which leads to the one before. */
static __always_inline void link_spilled(struct head *bank, const struct series *series)
{
	struct disk *disk = register_disk(statistics_of(series->disk), sequence_in(series->key));

	if (disk) {
		bank->before = disk->spilled;
		disk->spilled = series->key;
	}
}

/* Deletes entries of the disk that was removed first, if the host had time to read them: not all at once. */
static __always_inline void clear_spilled(void *map, u64 now)
{
	u32 index = cleared % REMOVED;
	struct removed *entry = bpf_map_lookup_elem(&removed, &index);

	if (!entry || cleared == removals || now - entry->ns < targ_keep_ns || !claim_alone(&clearing, 0))
		return;
	for (u32 i = 0; i < 8 && entry->spilled; i++) {
		u64 key = entry->spilled;
		struct head *bank = bpf_map_lookup_elem(map, &key);

		entry->spilled = bank ? bank->before : 0;
		bpf_map_delete_elem(map, &key);
	}
	if (!entry->spilled)
		cleared++;
	__sync_fetch_and_add(&clearing, -1);
}

/* The bank of a series in the map that all CPUs share; NULL: the map is full. */
static __always_inline void *find_spilled(void *map, u64 *inserted, const struct series *series, u64 now)
{
	u64 key = series->key;
	struct head *bank = bpf_map_lookup_elem(map, &key);
	bool is_new;

	if (!bank) {
		if (now < spill_full_until)
			return NULL;
		clear_spilled(map, now);
		/* Another CPU may insert it first. Either way the lookup finds it now, unless the map is full. */
		is_new = !bpf_map_update_elem(map, &key, &no_bank, BPF_NOEXIST);
		bank = bpf_map_lookup_elem(map, &key);
		if (!bank) {
			spill_full_until = now + 100000000;
			return NULL;
		}
		if (is_new) {
			__sync_fetch_and_add(inserted, 1);
			link_spilled(bank, series);
		}
	}
	/* Two CPUs that do this at once write the same. */
	if (!bank->owner.checksum)
		write_owner(&bank->owner, series);
	return bank;
}

#define COUNT_IN(map, spilled, type, slot_of)                                                   \
	do {                                                                                    \
		type *found = FIND_BANK(map, type, series, now);                                \
                                                                                                \
		if (!found) {                                                                   \
			found = find_spilled(&spilled, &spilled##_inserted, series, now);       \
			if (!found) {                                                           \
				count_lost(LOST_BANKS_FULL);                                    \
				return;                                                         \
			}                                                                       \
			count_slow(SLOW_BANKS_FULL);                                            \
		}                                                                               \
		__sync_fetch_and_add(&found->head.sum_ns, ns);                                  \
		__sync_fetch_and_add(&found->slots[slot_of(ns)], 1);                            \
	} while (0)

/* Counts a request that took `ns` and completed `now`. */
static __always_inline void count(const struct series *series, u64 ns, u64 now)
{
	if (targ_native)
		COUNT_IN(native_banks, native_spill, struct native_bank, native_bucket_of);
	else
		COUNT_IN(banks, spill, struct bank, bucket_of);
}

#endif
