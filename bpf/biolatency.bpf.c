// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Latency of block requests, as histograms by disk and operation.
 *
 * A request is timed from its issue to the driver (with targ_queued: from its insertion into the scheduler)
 * to its last completion, and counted once, in the bank of its disk and operation on the CPU that completes
 * it. Devices that pass bios on without making requests (bio-based dm, md, zram, nvme's multipath disk) are not counted;
 * the disks below them are. The paths below nvme's multipath disk are hidden disks; the host shows them under its name.
 *
 * The counts equal the increases of /sys/block/DEV/stat while the programs are attached:
 *
 *	field 1, reads       read
 *	field 5, writes      write + preflush + write_zeroes + secure_erase + write_same + zone_*
 *	field 12, discards   discard
 *	field 16, flushes    flush
 *
 * and the bytes in `sizes` those of fields 2, 6 and 13 (sectors of 512 bytes), if the requests in `lost` are added. (Kernels in which a zone operation has an even number count it as a read.) Passthrough
 * commands are not counted; stat does not count them either unless queue/iostats_passthrough is set.
 *
 * Because of flushes the fields are not simply operations. An fsync sends an empty write with a preflush flag.
 * The kernel never issues that write: it issues one flush for all writes that wait for it, and then
 * completes the empty writes. stat counts both, and so does this program: `flush` is the time of the device, `preflush`
 * the time from the start of the waiting write. A write with data that needs flushes around it is issued once
 * and completed twice; the first completion is counted here, the second in stat.
 *
 * A request costs one lookup in an array at its issue and two at its completion: no insertion, deletion or lock, and no hash map.
 * ebhost/requests.h and ebhost/table.h say why that is right, and what happens when they are full.
 * The programs read neither the data nor the process that did the I/O.
 */
#include "banks.h"
#include "ebhost/requests.h"
#include "lost.h"
#include "request.h"

char LICENSE[] SEC("license") = "GPL";

/* Measure from insertion instead of issue. Attach block_rq_insert and block_rq_merge if, and only if, this is set. */
const volatile bool targ_queued = false;
/* Distinguish requests by their flags as well (enum flag). */
const volatile bool targ_per_flag = false;

/* 1 once there was no room for a start. */
static volatile u8 starts_full;

static __always_inline void request_stamp_event(enum request_stamp event)
{
	if (event == STAMP_STRAY)
		count_slow(SLOW_STARTS_FULL);
	else if (event == STAMP_REPLACED)
		count_lost(LOST_NO_END);
	else
		starts_full = 1;
}

SEC("tp_btf/block_rq_insert")
int block_rq_insert(u64 *ctx)
{
	struct request *rq = REQUEST_OF(ctx, block_rq_insert);

	/* A requeued request is inserted again, but has been waiting since its first insertion. */
	if (targ_queued && !is_passthrough(rq->cmd_flags))
		put_start(rq, bpf_ktime_get_ns(), true);
	return 0;
}

SEC("tp_btf/block_rq_issue")
int block_rq_issue(u64 *ctx)
{
	struct request *rq = REQUEST_OF(ctx, block_rq_issue);

	if (!is_passthrough(rq->cmd_flags))
		put_start(rq, bpf_ktime_get_ns(), targ_queued);
	return 0;
}

SEC("tp_btf/block_rq_requeue")
int block_rq_requeue(u64 *ctx)
{
	struct request *rq = REQUEST_OF(ctx, block_rq_requeue);

	if (!targ_queued && !is_passthrough(rq->cmd_flags))
		take_start(rq);
	return 0;
}

/* The request that was merged into another one: it never completes. */
SEC("tp_btf/block_rq_merge")
int block_rq_merge(u64 *ctx)
{
	struct request *rq = REQUEST_OF(ctx, block_rq_merge);

	if (targ_queued && !is_passthrough(rq->cmd_flags))
		take_start(rq);
	return 0;
}

/*
 * A completion without a recorded start. Returns the time since when it was waiting, if it is to be counted; 0 otherwise.
 *
 * A write without remaining bytes that has segments was counted when its data completed; one that has none is the empty write of an
 * fsync, which is never issued. Other requests with data are completed twice by request-based dm: with their bytes by the clone, and
 * without any when dm ends them.
 */
static __always_inline u64 start_of_unissued(struct request *rq, u32 operation, u32 bytes)
{
	if (!bytes && operation == OP_WRITE)
		return rq->nr_phys_segments ? 0 : rq->start_time_ns;
	if (!bytes && has_data(operation))
		return 0;
	if (!began_before_attach(rq))
		count_lost(starts_full ? LOST_STARTS_FULL : LOST_NO_START);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int block_rq_complete(u64 *ctx)
{
	struct request *rq = (struct request *)ctx[0];
	u32 bytes = ctx[2], cmd_flags = rq->cmd_flags, operation, flags;
	u64 start, now;

	if (is_passthrough(cmd_flags))
		return 0;
	operation = operation_of(cmd_flags);
	flags = targ_per_flag ? flags_of(cmd_flags) : 0;
	/* A request may complete in parts: it is counted at the last one. */
	if (bytes < rq->__data_len) {
		if (targ_sizes)
			count_part(key_of(disk_of(rq), operation, flags), disk_of(rq), bytes);
		return 0;
	}
	start = take_start(rq);
	now = bpf_ktime_get_ns();
	if (!completed_since)
		completed_since = now;
	if (!start) {
		start = start_of_unissued(rq, operation, bytes);
		if (!start)
			return 0;
		operation = OP_PREFLUSH;
	}
	count(key_of(disk_of(rq), operation, flags), disk_of(rq), now > start ? now - start : 0, bytes);
	return 0;
}
