/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Identity of a disk: a number that no other disk has had since boot, its name, and whether it still exists.
 *
 * Device numbers and addresses are reused by other disks, and hidden disks (the paths below nvme's multipath head) have no device
 * number in /sys. A disk's sequence number, and the inode of its folder in /sys, are never reused.
 */
#ifndef EBHOST_DISKS_H
#define EBHOST_DISKS_H

#include "kernel.h"

/* The inode of /sys/block/NAME. */
static __always_inline u64 inode_of(struct gendisk *disk)
{
	struct gendisk___hd_struct *old = (void *)disk;

	if (bpf_core_field_exists(disk->part0->bd_device))
		return disk->part0->bd_device.kobj.sd->id;
	return old->part0.__dev.kobj.sd->id;
}

/* Where the kernel keeps the disk's statistics: freed together with the disk. */
static __always_inline u64 statistics_of(struct gendisk *disk)
{
	struct gendisk___hd_struct *old = (void *)disk;

	if (bpf_core_field_exists(disk->part0->bd_stats))
		return (u64)disk->part0->bd_stats;
	return (u64)old->part0.dkstats;
}

/* A number of which no other disk has the same lower 40 bits. A new medium makes another disk. */
static __always_inline u64 sequence_of(struct gendisk *disk)
{
	return bpf_core_field_exists(disk->diskseq) ? disk->diskseq : inode_of(disk);
}

struct disk {
	u64 sequence; /* the lower 40 bits of its sequence number */
	u64 spilled; /* the last of its keys in the shared map of banks, each of which leads to the one before; 0: none */
};

/*
 * Disks that have been counted and still exist, by the address of their statistics. The program below deletes a disk when the kernel
 * frees it. No request of that disk can complete afterwards.
 *
 * Preallocated: the kernel calls the program with the lock of the per-CPU allocator held.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct disk);
} disks SEC(".maps");

/* A disk that is gone and has entries in the shared map of banks. */
struct removed {
	u64 spilled;
	u64 ns; /* when it was freed */
};

#define REMOVED 4096

/* A queue: entries [cleared, removals) are waiting, modulo REMOVED. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REMOVED);
	__type(key, u32);
	__type(value, struct removed);
} removed SEC(".maps");

static volatile u32 removals, cleared;

/* Remembers a disk. NULL: the map is full, so that nobody knows when the disk goes. */
static __always_inline struct disk *register_disk(u64 statistics, u64 sequence)
{
	struct disk *known = bpf_map_lookup_elem(&disks, &statistics);
	struct disk disk = { .sequence = sequence };

	if (known && known->sequence == sequence)
		return known;
	bpf_map_update_elem(&disks, &statistics, &disk, BPF_ANY);
	return bpf_map_lookup_elem(&disks, &statistics);
}

/* Whether the kernel has freed a disk that was registered. */
static __always_inline bool is_gone(u64 statistics, u64 sequence)
{
	struct disk *known = bpf_map_lookup_elem(&disks, &statistics);

	return statistics && (!known || known->sequence != sequence);
}

/* The kernel frees a part of the per-CPU memory: perhaps the statistics of a disk. */
SEC("tp_btf/percpu_free_percpu")
int percpu_free_percpu(u64 *ctx)
{
	u64 address = ctx[2];
	struct disk *disk = bpf_map_lookup_elem(&disks, &address);
	struct removed *entry;
	u32 index = removals % REMOVED;

	if (!disk)
		return 0;
	entry = disk->spilled ? bpf_map_lookup_elem(&removed, &index) : NULL;
	if (entry) {
		entry->spilled = disk->spilled;
		entry->ns = bpf_ktime_get_ns();
		removals++;
	}
	bpf_map_delete_elem(&disks, &address);
	return 0;
}

#endif
