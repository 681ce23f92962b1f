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

/*
 * Disks that have been counted and still exist: their sequence numbers by the address of their statistics, and the other way round. The
 * program below deletes a disk when the kernel frees its statistics. No request of that disk can complete afterwards.
 *
 * Preallocated: the kernel calls the program with the lock of the per-CPU allocator held.
 */
#define DISKS(name)                                  \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_HASH);     \
		__uint(max_entries, 4096);           \
		__type(key, u64);                    \
		__type(value, u64);                  \
	} name SEC(".maps")

DISKS(by_statistics);
DISKS(by_sequence);

/* Remembers a disk. If the maps are full nobody knows when it goes: then it is taken to be gone when it is idle. */
static __always_inline void register_disk(u64 statistics, u64 sequence)
{
	u64 *known = bpf_map_lookup_elem(&by_statistics, &statistics);

	if (known && *known == sequence)
		return;
	if (!bpf_map_update_elem(&by_statistics, &statistics, &sequence, BPF_ANY))
		bpf_map_update_elem(&by_sequence, &sequence, &statistics, BPF_ANY);
}

/* Whether the kernel has freed a disk. */
static __always_inline bool is_gone(u64 sequence)
{
	return !bpf_map_lookup_elem(&by_sequence, &sequence);
}

/* The kernel frees a part of the per-CPU memory: perhaps the statistics of a disk. */
SEC("tp_btf/percpu_free_percpu")
int percpu_free_percpu(u64 *ctx)
{
	u64 address = ctx[2], *sequence = bpf_map_lookup_elem(&by_statistics, &address);

	if (!sequence)
		return 0;
	bpf_map_delete_elem(&by_sequence, sequence);
	bpf_map_delete_elem(&by_statistics, &address);
	return 0;
}

#endif
