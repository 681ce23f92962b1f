/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The jobs of the packages about disks, files and memory. */
#ifndef EBHOST_COSTS_STORAGE_H
#define EBHOST_COSTS_STORAGE_H

#include "hash.h"

EMPTY(block_rq_issue)
EMPTY(block_rq_complete)
EMPTY(mm_filemap_get_pages)
EMPTY(mm_filemap_fault)
EMPTY(mm_filemap_add_to_page_cache)
EMPTY(writeback_dirty_folio)
EMPTY(writeback_start)
EMPTY(writeback_written)
EMPTY(page_fault_user)
EMPTY(mm_vmscan_memcg_reclaim_begin)
EMPTY(mm_vmscan_memcg_reclaim_end)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct gendisk {
	u64 diskseq;
};

struct request_queue {
	struct gendisk *disk;
};

struct request {
	struct request_queue *q;
	u32 cmd_flags;
	u32 __data_len;
};

struct rw_semaphore {
	struct {
		s64 counter;
	} owner;
};

struct inode {
	u64 i_ino;
	s64 i_size;
	struct rw_semaphore i_rwsem;
};

struct address_space {
	struct inode *host;
};

struct folio {
	struct address_space *mapping;
};

struct task_struct___faults {
	u64 min_flt;
	u64 maj_flt;
	u64 start_time;
};

struct kobject {
	const char *name;
};

struct device {
	struct kobject kobj;
};

struct backing_dev_info {
	struct device *owner;
};

struct bdi_writeback {
	struct backing_dev_info *bdi;
};

enum wb_reason {
	WB_REASON_BACKGROUND,
};

struct wb_writeback_work {
	s64 nr_pages;
	enum wb_reason reason;
};

#pragma clang attribute pop

#define FIRST_PASSTHROUGH 32
#define REQ_OP_MASK 0xff
#define PAGE_SHIFT 12

AT(block_rq_issue, biolatency_block_rq_issue)
{
	struct request *request = (void *)args[0];

	if ((request->cmd_flags & REQ_OP_MASK) < FIRST_PASSTHROUGH)
		start((u64)request, 0);
	return 0;
}

AT(block_rq_complete, biolatency_block_rq_complete)
{
	struct request *request = (void *)args[0];
	struct bucket key = { .kind = request->cmd_flags & REQ_OP_MASK };
	u64 ns;

	if (key.kind >= FIRST_PASSTHROUGH || (u32)args[2] < request->__data_len)
		return 0;
	ns = taken((u64)request, 0);
	key.owner = request->q->disk->diskseq;
	return ns ? observe(&key, ns) : 0;
}

static __always_inline int count_pages(u32 kind, u64 pages)
{
	struct bucket key = { .kind = kind, .slot = 256 };

	return add(&key, pages);
}

/* Reads are reported in batches, each with the rest of the range, see cachestat.bpf.c. */
AT(mm_filemap_get_pages, cachestat_mm_filemap_get_pages)
{
	struct inode *inode = ((struct address_space *)args[0])->host;
	u64 first = args[1], last = args[2], thread = start_key(current_thread(), 1);
	u64 *before = bpf_map_lookup_elem(&starts, &thread), range = (inode->i_ino ^ last) << 32, now = range | (u32)first;
	u64 end = (inode->i_size - 1) >> PAGE_SHIFT;

	if (!before) {
		bpf_map_update_elem(&starts, &thread, &now, BPF_ANY);
	} else {
		u64 was = *before;

		*before = now;
		if (was >> 32 == range >> 32 && (u32)was < (u32)first)
			return 0;
	}
	if (last > end)
		last = end;
	return first <= last ? count_pages(0, last - first + 1) : 0;
}

AT(mm_filemap_fault, cachestat_mm_filemap_fault) { return count_pages(1, 1); }

AT(mm_filemap_add_to_page_cache, cachestat_mm_filemap_add_to_page_cache)
{
	u64 owner = ((struct folio *)args[0])->mapping->host->i_rwsem.owner.counter;

	return !(owner & 1) && (owner & ~7ull) == bpf_get_current_task() ? 0 : count_pages(2, 1);
}

AT(writeback_dirty_folio, cachestat_writeback_dirty_folio) { return count_pages(3, 1); }

/* When the first of these programs ran: threads that are older begin with what they have. */
static u64 attached;

/* Growth of a thread's faults since it was looked at last, by cgroup. */
static __always_inline int count_faults(struct task_struct *task, bool is_last)
{
	struct task_struct___faults *counted = (void *)task;
	u64 now = counted->maj_flt << 32 | (u32)counted->min_flt, thread = start_key(task->pid, 2), was = now;
	u64 *before = bpf_map_lookup_elem(&starts, &thread);
	struct bucket key = { .owner = cgroup_of(task), .kind = 4, .slot = 256 };
	u32 major, minor;

	if (!attached)
		attached = bpf_ktime_get_ns();
	if (counted->start_time >= attached)
		was = 0;
	if (before) {
		was = *before;
		*before = now;
	} else if (!is_last) {
		bpf_map_update_elem(&starts, &thread, &now, BPF_ANY);
	}
	if (before && is_last)
		bpf_map_delete_elem(&starts, &thread);
	minor = (u32)now - (u32)was;
	major = (now >> 32) - (was >> 32);
	if (minor)
		add(&key, minor);
	key.kind = 5;
	return major ? add(&key, major) : 0;
}

AT(page_fault_user, pagefaults_page_fault_user) { return count_faults(bpf_get_current_task_btf(), false); }
AT(sched_process_exit, pagefaults_sched_process_exit) { return count_faults((void *)args[0], true); }

AT(mm_vmscan_memcg_reclaim_begin, reclaim_mm_vmscan_memcg_reclaim_begin)
{
	start(current_thread(), 3);
	return 0;
}

AT(mm_vmscan_memcg_reclaim_end, reclaim_mm_vmscan_memcg_reclaim_end)
{
	struct bucket key = { .kind = 6 };
	u64 ns = taken(current_thread(), 3);

	return ns ? observe(&key, ns) : 0;
}

AT(writeback_start, writeback_writeback_start)
{
	start(current_thread(), 4);
	keep(current_thread(), 5, ((struct wb_writeback_work *)args[1])->nr_pages + 1);
	return 0;
}

AT(writeback_written, writeback_writeback_written)
{
	struct wb_writeback_work *work = (void *)args[1];
	struct device *owner = ((struct bdi_writeback *)args[0])->bdi->owner;
	struct named_bucket key = { .bucket.kind = 7 };
	u64 ns = taken(current_thread(), 4), pages = kept(current_thread(), 5) - 1 - work->nr_pages;

	if (!ns || !owner)
		return 0;
	probe_read_kernel_str(key.name, sizeof(key.name), owner->kobj.name);
	observe_named(&key, ns);
	key.bucket.slot = 256 + work->reason;
	return add_to(&named, &key, pages);
}

#endif
