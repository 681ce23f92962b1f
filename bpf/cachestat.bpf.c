// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The page cache, in pages: those that reads and page faults looked up, those that had to be read into the cache, those that were dirtied.
 *
 * Lookups: a read looks up the pages of its range up to the end of the file, a page fault looks up one (unless the mapping of neighbouring
 * pages served it). Misses: pages added to the cache while their file is not locked for writing by the same task; so
 * reads ahead are misses, and pages that a write creates are not. Block devices count like files.
 *
 * The kernel serves one read in batches and reports for each the rest of the range. A report with the same end and a later begin than
 * the last one of the same task is such a rest, and is not counted again.
 */
#include "current.h"
#include "ebhost/cgroup.h"
#include "ebhost/counts.h"
#include "ebhost/program.h"
#include "ebhost/stamps.h"
#include "probe.h"

char LICENSE[] SEC("license") = "GPL";

#define PAGE_SHIFT 12

/* Numbers of the table. The component's configuration knows them. */
enum number { NUMBER_READ, NUMBER_FAULT, NUMBER_MISSED, NUMBER_DIRTIED, NUMBERS };

COUNTS(pages, u64, NUMBERS)
/* The last range that each task looked up, see is_rest. */
STAMPS_BY_TASK(looked)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	s64 counter;
} atomic_long_t;

struct rw_semaphore {
	atomic_long_t owner; /* none with PREEMPT_RT */
};

struct inode {
	u64 i_ino;
	s64 i_size;
	struct rw_semaphore i_rwsem;
};

struct address_space {
	struct inode *host;
};

struct file {
	struct address_space *f_mapping;
};

struct kiocb {
	struct file *ki_filp;
	s64 ki_pos;
};

struct iov_iter {
	u64 count;
};

struct folio {
	struct address_space *mapping;
};

/* Before 5.16 the page cache had pages instead. */
struct page {
	struct address_space *mapping;
};

/* From 5.18 on. Before, those of files were single pages. */
struct folio___nr_pages {
	u32 _folio_nr_pages;
};

/* From 6.15 on. */
struct folio___short {
	u32 _nr_pages;
};

enum pageflags {
	PG_head = 6,
};

#pragma clang attribute pop

static __always_inline struct inode *inode_of(struct folio *folio)
{
	struct page *page = (void *)folio;

	return bpf_core_field_exists(folio->mapping) ? folio->mapping->host : page->mapping->host;
}

/* The pages of a folio. Its flags are its first word, in every kernel. */
static __always_inline u32 pages_of(struct folio *folio)
{
	struct folio___nr_pages *before = (void *)folio;
	struct folio___short *now = (void *)folio;

	if (!(*(u64 *)folio & 1ull << bpf_core_enum_value(enum pageflags, PG_head)))
		return 1;
	if (bpf_core_field_exists(now->_nr_pages))
		return now->_nr_pages;
	if (bpf_core_field_exists(before->_folio_nr_pages))
		return before->_folio_nr_pages;
	return 1;
}

/* Bits of a semaphore's owner beside the address of the task: that it is a reader, and whether others spin. */
#define RWSEM_READER_OWNED 1
#define RWSEM_FLAGS 7

static __always_inline bool is_writing(struct inode *inode)
{
	u64 owner;

	if (!bpf_core_field_exists(inode->i_rwsem.owner))
		return false;
	owner = inode->i_rwsem.owner.counter;
	return !(owner & RWSEM_READER_OWNED) && (owner & ~(u64)RWSEM_FLAGS) == bpf_get_current_task();
}

static __always_inline int count_pages(enum number number, u64 count)
{
	u64 cgroup = current_cg();

	pages_add(&cgroup, number, count);
	return 0;
}

/* Counts the pages from `first` to `last` that a file of this size has. */
static __always_inline int count_of_size(s64 size, u64 first, u64 last)
{
	u64 end = (size - 1) >> PAGE_SHIFT;

	if (size <= 0)
		return 0;
	if (last > end)
		last = end;
	return first <= last ? count_pages(NUMBER_READ, last - first + 1) : 0;
}

static __always_inline int count_range(struct inode *inode, u64 first, u64 last)
{
	return count_of_size(inode->i_size, first, last);
}

/* Whether this range is what is left of the one that the task looked up last. Files are told apart by inode number. */
static __always_inline bool is_rest(struct inode *inode, u64 first, u64 last)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 range = (inode->i_ino ^ last * 0x9e3779b97f4a7c15ull) * 0xd1b54a32d192ed03ull >> 32;
	u64 now = (u64)range << 32 | (u32)first, before = 0, *last_time = looked_at(task);

	if (last_time) {
		before = *last_time;
		*last_time = now;
	} else {
		looked_set(task, now);
	}
	return before >> 32 == range && (u32)before < (u32)first;
}

TP_BTF(mm_filemap_get_pages, struct address_space *mapping, u64 first, u64 last)
{
	struct inode *inode = mapping->host;

	return is_rest(inode, first, last) ? 0 : count_range(inode, first, last);
}

/* Kernels without that tracepoint: at the beginning of a read, which is reported once. */
static __always_inline int count_read(struct kiocb *read, struct iov_iter *into)
{
	u64 begin = read->ki_pos, bytes = into->count;

	return bytes ? count_range(read->ki_filp->f_mapping->host, begin >> PAGE_SHIFT, (begin + bytes - 1) >> PAGE_SHIFT) : 0;
}

PROGRAM("fentry", filemap_read, struct kiocb *read, struct iov_iter *into) { return count_read(read, into); }
/* Before 5.12. */
PROGRAM("fentry", generic_file_buffered_read, struct kiocb *read, struct iov_iter *into) { return count_read(read, into); }

TP_BTF(mm_filemap_fault) { return count_pages(NUMBER_FAULT, 1); }
/* Before 6.12. */
PROGRAM("fentry", filemap_fault) { return count_pages(NUMBER_FAULT, 1); }

/*
 * The same where neither the tracepoints are nor programs run at the entry of a function, see probe.h.
 */
static __always_inline int count_probed_read(void *registers)
{
	struct kiocb *read = first_argument(registers);
	struct iov_iter *into = second_argument(registers);
	struct inode *inode = READ(READ(READ(read->ki_filp)->f_mapping)->host);
	u64 begin = READ(read->ki_pos), bytes = READ(into->count);

	return bytes ? count_of_size(READ(inode->i_size), begin >> PAGE_SHIFT, (begin + bytes - 1) >> PAGE_SHIFT) : 0;
}

SEC("kprobe/filemap_read") int filemap_read_probe(void *registers) { return count_probed_read(registers); }
SEC("kprobe/generic_file_buffered_read") int generic_file_buffered_read_probe(void *registers) { return count_probed_read(registers); }
SEC("kprobe/filemap_fault") int filemap_fault_probe(void *registers) { return count_pages(NUMBER_FAULT, 1); }

TP_BTF(mm_filemap_add_to_page_cache, struct folio *folio)
{
	return is_writing(inode_of(folio)) ? 0 : count_pages(NUMBER_MISSED, pages_of(folio));
}

TP_BTF(writeback_dirty_folio, struct folio *folio) { return count_pages(NUMBER_DIRTIED, pages_of(folio)); }
/* Before 5.18. */
TP_BTF(writeback_dirty_page) { return count_pages(NUMBER_DIRTIED, 1); }
