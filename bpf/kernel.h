/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The kernel types of the block layer, reduced to the fields that these programs read. CO-RE relocates their offsets.
 *
 * The suffix ___flavor marks a variant of the type in other kernels; CO-RE ignores it when it matches names.
 */
#ifndef EBHOST_KERNEL_H
#define EBHOST_KERNEL_H

#include "bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	u64 id;
};

struct kobject {
	struct kernfs_node *sd;
};

struct device {
	struct kobject kobj;
};

struct disk_stats;

struct block_device {
	struct device bd_device;
	struct disk_stats *bd_stats;
};

#define DISK_NAME_LEN 32

struct gendisk {
	char disk_name[DISK_NAME_LEN];
	struct block_device *part0;
	u64 diskseq; /* from 5.15 on */
};

/* Before 5.11. */
struct hd_struct {
	struct device __dev;
	struct disk_stats *dkstats;
};

struct gendisk___hd_struct {
	struct hd_struct part0;
};

struct request_queue {
	struct gendisk *disk;
};

struct blk_mq_tags;

struct blk_mq_hw_ctx {
	struct blk_mq_tags *tags;
	struct blk_mq_tags *sched_tags;
};

struct bio;

struct request {
	struct request_queue *q;
	struct blk_mq_hw_ctx *mq_hctx;
	u32 cmd_flags;
	int tag;
	int internal_tag;
	u32 __data_len;
	struct bio *bio;
	u64 start_time_ns;
	u16 nr_phys_segments;
};

/* Before 5.17. */
struct request___rq_disk {
	struct gendisk *rq_disk;
};

#pragma clang attribute pop

/* READ, WRITE, FLUSH and DISCARD are 0 to 3 in every kernel that has tp_btf; the values of the others differ. */
enum req_op {
	REQ_OP_READ = 0,
	REQ_OP_WRITE = 1,
	REQ_OP_FLUSH = 2,
	REQ_OP_DISCARD = 3,
	REQ_OP_SECURE_ERASE = 5,
	REQ_OP_ZONE_APPEND = 7,
	REQ_OP_WRITE_ZEROES = 9,
	REQ_OP_ZONE_OPEN = 11,
	REQ_OP_ZONE_CLOSE = 13,
	REQ_OP_ZONE_FINISH = 15,
	REQ_OP_ZONE_RESET = 17,
	REQ_OP_ZONE_RESET_ALL = 19,
};

/* Before 6.0. */
enum req_opf {
	REQ_OP_SECURE_ERASE___opf = 5,
	REQ_OP_WRITE_SAME___opf = 7,
	REQ_OP_WRITE_ZEROES___opf = 9,
	REQ_OP_ZONE_OPEN___opf = 10,
	REQ_OP_ZONE_CLOSE___opf = 11,
	REQ_OP_ZONE_FINISH___opf = 12,
	REQ_OP_ZONE_APPEND___opf = 13,
	REQ_OP_ZONE_RESET___opf = 15,
	REQ_OP_ZONE_RESET_ALL___opf = 17,
};

/* Operations from this value on are passthrough commands of drivers, not block I/O. */
#define FIRST_PASSTHROUGH 32
#define REQ_OP_MASK 0xff

enum req_flag_bits {
	__REQ_SYNC = 11,
	__REQ_META = 12,
	__REQ_PRIO = 13,
	__REQ_IDLE = 15,
	__REQ_FUA = 17,
	__REQ_PREFLUSH = 18,
	__REQ_RAHEAD = 19,
	__REQ_BACKGROUND = 20,
	__REQ_NOWAIT = 21,
};

/* Before 5.11 the first argument of these tracepoints was the queue. The leading pointer is the tracepoint's private data. */
typedef void (*btf_trace_block_rq_insert___queue)(void *, struct request_queue *, struct request *);
typedef void (*btf_trace_block_rq_issue___queue)(void *, struct request_queue *, struct request *);
typedef void (*btf_trace_block_rq_requeue___queue)(void *, struct request_queue *, struct request *);
typedef void (*btf_trace_block_rq_merge___queue)(void *, struct request_queue *, struct request *);

#endif
