// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Writeback by the kernel's flusher threads: pages by device and reason, and the time of each pass over the dirty files of
 * a device.
 *
 * Pages that a task writes itself (fsync, direct I/O) are not among them. A pass that waits for its pages (`sync`) takes as long as the device.
 */
#include "current.h"
#include "ebhost/associative.h"
#include "ebhost/counts.h"
#include "ebhost/durations.h"
#include "ebhost/program.h"

char LICENSE[] SEC("license") = "GPL";

static long (*const bpf_probe_read_kernel_str)(void *to, u32 bytes, const void *from) = (void *)115;

#define DEVICE_BYTES 32

/* Stable numbers, because the kernel's differ between versions. The component's configuration knows them: append, never renumber. */
enum reason {
	REASON_OTHER,
	REASON_BACKGROUND,
	REASON_VMSCAN,
	REASON_SYNC,
	REASON_PERIODIC,
	REASON_FS_FREE_SPACE,
	REASON_FORKER_THREAD,
	REASON_FOREIGN_FLUSH,
	REASON_DONTCACHE,
	REASON_LAPTOP_TIMER,
};

struct device_key {
	char name[DEVICE_BYTES];
};

struct pages_key {
	struct device_key device;
	u32 reason;
	u32 zero;
};

DURATIONS(passes, struct device_key)
COUNTS(written, struct pages_key, 1)

/* A pass that runs. */
struct pass {
	u64 since;
	s64 left; /* pages that were left to write when it began */
};

/* By thread. A work queue of the kernel runs the passes, a few hundred at a time at most; those that find no room are in a hash. */
ASSOCIATIVE_OF(begun, 128, struct pass)
static volatile bool begun_is_full;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct pass);
} begun_more SEC(".maps");

enum wb_reason {
	WB_REASON_BACKGROUND,
	WB_REASON_VMSCAN,
	WB_REASON_SYNC,
	WB_REASON_PERIODIC,
	WB_REASON_LAPTOP_TIMER, /* before 7.1 */
	WB_REASON_FS_FREE_SPACE,
	WB_REASON_FORKER_THREAD,
	WB_REASON_FOREIGN_FLUSH,
	WB_REASON_DONTCACHE, /* from 7.1 on */
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kobject {
	const char *name;
};

struct device {
	struct kobject kobj;
};

struct backing_dev_info {
	char dev_name[64];
	struct device *owner; /* the disk; none for file systems without one */
};

struct bdi_writeback {
	struct backing_dev_info *bdi;
};

struct wb_writeback_work {
	s64 nr_pages;
	enum wb_reason reason;
};

#pragma clang attribute pop

#define IS_REASON(reason, name)                                                  \
	(bpf_core_enum_value_exists(enum wb_reason, WB_REASON_##name) &&        \
	 (reason) == bpf_core_enum_value(enum wb_reason, WB_REASON_##name))

static __always_inline enum reason reason_of(struct wb_writeback_work *work)
{
	u32 reason = work->reason;

	if (IS_REASON(reason, BACKGROUND))
		return REASON_BACKGROUND;
	if (IS_REASON(reason, VMSCAN))
		return REASON_VMSCAN;
	if (IS_REASON(reason, SYNC))
		return REASON_SYNC;
	if (IS_REASON(reason, PERIODIC))
		return REASON_PERIODIC;
	if (IS_REASON(reason, FS_FREE_SPACE))
		return REASON_FS_FREE_SPACE;
	if (IS_REASON(reason, FORKER_THREAD))
		return REASON_FORKER_THREAD;
	if (IS_REASON(reason, FOREIGN_FLUSH))
		return REASON_FOREIGN_FLUSH;
	if (IS_REASON(reason, DONTCACHE))
		return REASON_DONTCACHE;
	if (IS_REASON(reason, LAPTOP_TIMER))
		return REASON_LAPTOP_TIMER;
	return REASON_OTHER;
}

/* The name of the disk, as in /sys/block; of other file systems the name that they gave their backing device. */
static __always_inline struct device_key device_of(struct backing_dev_info *bdi)
{
	struct device_key key = {};
	struct device *owner = bdi->owner;

	if (owner)
		bpf_probe_read_kernel_str(key.name, sizeof(key.name), owner->kobj.name);
	else
		bpf_probe_read_kernel_str(key.name, sizeof(key.name), bdi->dev_name);
	return key;
}

TP_BTF(writeback_start, struct bdi_writeback *wb, struct wb_writeback_work *work)
{
	struct pass pass = { .since = bpf_ktime_get_ns(), .left = work->nr_pages };
	u32 thread = current_thread();

	if (begun_put(thread, pass))
		return 0;
	begun_is_full = true;
	bpf_map_update_elem(&begun_more, &thread, &pass, BPF_ANY);
	return 0;
}

/* The pass of this thread, which ends; false: its beginning was not seen. */
static __always_inline bool take(struct pass *pass)
{
	u32 thread = current_thread();
	struct pass *found;

	if (begun_remove(thread, pass))
		return true;
	found = begun_is_full ? bpf_map_lookup_elem(&begun_more, &thread) : NULL;
	if (!found)
		return false;
	*pass = *found;
	bpf_map_delete_elem(&begun_more, &thread);
	return true;
}

TP_BTF(writeback_written, struct bdi_writeback *wb, struct wb_writeback_work *work)
{
	struct pages_key key = { .reason = reason_of(work) };
	struct pass pass;

	if (!take(&pass))
		return 0;
	key.device = device_of(wb->bdi);
	passes_time(&key.device, bpf_ktime_get_ns() - pass.since);
	if (pass.left > work->nr_pages)
		written_add(&key, 0, pass.left - work->nr_pages);
	return 0;
}
