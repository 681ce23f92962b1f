/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Histograms of latencies and of sizes, by disk, operation and flags, in tables of ebhost/counts.h.
 *
 * The key is a number, because every request compares it. The disk's name and inode are the note beside it, so that they remain when the
 * disk is gone. A disk keeps its banks while it exists, however idle it is.
 *
 * `sizes` counts a request in the bucket of what its last completion transferred, which is nearly always all; its sum has all bytes.
 */
#ifndef EBHOST_BANKS_H
#define EBHOST_BANKS_H

/* Tables of thousands of disks would be large. Requests complete in interrupts, but not in NMIs. */
#define COUNTS_SPILL_FLAGS BPF_F_NO_PREALLOC

#include "disks.h"
#include "ebhost/counts.h"

/* Count into native histogram buckets: `natives` instead of `banks`. */
const volatile bool targ_native = false;
/* Count the bytes of requests in `sizes`. */
const volatile bool targ_sizes = false;

/* The disk of a bank: its inode in /sys and its name, filled up with zeros. */
struct owner {
	u64 inode;
	u32 name[DISK_NAME_LEN / sizeof(u32)];
};

/* The sequence number of the disk << 24 | flags << 8 | (operation + 1). */
static __always_inline u64 key_of(struct gendisk *disk, u32 operation, u32 flags)
{
	return sequence_of(disk) << 24 | (u64)flags << 8 | (operation + 1);
}

static __always_inline u64 sequence_in(u64 key)
{
	return key >> 24;
}

static __always_inline void describe(struct owner *owner, struct gendisk *disk)
{
	owner->inode = inode_of(disk);
#pragma unroll
	for (u32 i = 0; i < DISK_NAME_LEN / sizeof(u32); i++)
		owner->name[i] = *(u32 *)(disk->disk_name + i * sizeof(u32));
	register_disk(statistics_of(disk), sequence_in(key_of(disk, 0, 0)));
}

/* A histogram by such keys: NAME_observe_about(&key, disk, value). */
#define DISK_HISTOGRAM(name, n, slot_of)                                                        \
	static __always_inline void name##_describe(struct owner *owner, void *disk)            \
	{                                                                                       \
		describe(owner, disk);                                                          \
	}                                                                                       \
	static __always_inline bool name##_may_end(const u64 *key)                              \
	{                                                                                       \
		return is_gone(sequence_in(*key));                                              \
	}                                                                                       \
	HISTOGRAM_ABOUT(name, u64, struct owner, n, slot_of)

#define FIRST_SIZE 9 /* 512 bytes, a sector */
#define LAST_SIZE 24 /* 16 MiB */
#define SIZES (LAST_SIZE - FIRST_SIZE + 2)

static __always_inline u32 size_slot(u64 bytes)
{
	return power_of_two(bytes, FIRST_SIZE, LAST_SIZE);
}

DISK_HISTOGRAM(banks, SLOTS, bucket_of)
DISK_HISTOGRAM(natives, NATIVE_SLOTS, native_bucket_of)
DISK_HISTOGRAM(sizes, SIZES, size_slot)

/* Counts a request that took `ns`, and `bytes` at its end. */
static __always_inline void count(u64 key, struct gendisk *disk, u64 ns, u32 bytes)
{
	if (targ_native)
		natives_observe_about(&key, disk, ns);
	else
		banks_observe_about(&key, disk, ns);
	if (targ_sizes && bytes)
		sizes_observe_about(&key, disk, bytes);
}

/* Counts bytes of a request that goes on. */
static __always_inline void count_part(u64 key, struct gendisk *disk, u32 bytes)
{
	u64 *values = sizes_values(&key, disk);

	if (values)
		__sync_fetch_and_add(values, bytes);
}

#endif
