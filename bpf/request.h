/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Properties of a block request: its operation and flags as numbers that do not differ between kernels, its disk.
 */
#ifndef EBHOST_REQUEST_H
#define EBHOST_REQUEST_H

#include "kernel.h"

/* Stable numbers, because the kernel's REQ_OP_* differ between versions. The component knows them: append, never renumber. */
enum operation {
	OP_READ,
	OP_WRITE,
	OP_FLUSH,
	OP_DISCARD,
	OP_PREFLUSH,
	OP_WRITE_ZEROES,
	OP_SECURE_ERASE,
	OP_WRITE_SAME,
	OP_ZONE_APPEND,
	OP_ZONE_OPEN,
	OP_ZONE_CLOSE,
	OP_ZONE_FINISH,
	OP_ZONE_RESET,
	OP_ZONE_RESET_ALL,
	OP_OTHER,
};

/* Bits of a bank's `flags`, as stable. The kernel clears PREFLUSH (and FUA, if the disk lacks it) in the requests that it issues. */
enum flag {
	FLAG_SYNC = 1 << 0,
	FLAG_META = 1 << 1,
	FLAG_PRIO = 1 << 2,
	FLAG_FUA = 1 << 3,
	FLAG_RAHEAD = 1 << 4,
	FLAG_BACKGROUND = 1 << 5,
	FLAG_NOWAIT = 1 << 6,
	FLAG_IDLE = 1 << 7,
};

/* Without barrier_var clang selects the address first, and the verifier refuses a context pointer with a variable offset. */
#define REQUEST_OF(ctx, tracepoint)                                             \
	({                                                                      \
		struct request *rq_;                                            \
		if (bpf_core_type_exists(btf_trace_##tracepoint##___queue)) {   \
			rq_ = (struct request *)(ctx)[1];                       \
			barrier_var(rq_);                                       \
		} else {                                                        \
			rq_ = (struct request *)(ctx)[0];                       \
		}                                                               \
		rq_;                                                            \
	})

static __always_inline bool is_passthrough(u32 cmd_flags)
{
	return (cmd_flags & REQ_OP_MASK) >= FIRST_PASSTHROUGH;
}

static __always_inline struct gendisk *disk_of(struct request *rq)
{
	struct request___rq_disk *old = (void *)rq;

	return bpf_core_field_exists(old->rq_disk) ? old->rq_disk : rq->q->disk;
}

#define IS_OP(op, name)                                                         \
	((bpf_core_enum_value_exists(enum req_op, REQ_OP_##name) &&             \
	  (op) == bpf_core_enum_value(enum req_op, REQ_OP_##name)) ||           \
	 (bpf_core_enum_value_exists(enum req_opf, REQ_OP_##name##___opf) &&    \
	  (op) == bpf_core_enum_value(enum req_opf, REQ_OP_##name##___opf)))

static __noinline u32 rare_operation(u32 op)
{
	if (IS_OP(op, WRITE_ZEROES))
		return OP_WRITE_ZEROES;
	if (IS_OP(op, SECURE_ERASE))
		return OP_SECURE_ERASE;
	if (IS_OP(op, ZONE_APPEND))
		return OP_ZONE_APPEND;
	if (IS_OP(op, ZONE_OPEN))
		return OP_ZONE_OPEN;
	if (IS_OP(op, ZONE_CLOSE))
		return OP_ZONE_CLOSE;
	if (IS_OP(op, ZONE_FINISH))
		return OP_ZONE_FINISH;
	if (IS_OP(op, ZONE_RESET))
		return OP_ZONE_RESET;
	if (IS_OP(op, ZONE_RESET_ALL))
		return OP_ZONE_RESET_ALL;
	if (bpf_core_enum_value_exists(enum req_opf, REQ_OP_WRITE_SAME___opf) &&
	    op == bpf_core_enum_value(enum req_opf, REQ_OP_WRITE_SAME___opf))
		return OP_WRITE_SAME;
	return OP_OTHER;
}

static __always_inline u32 operation_of(u32 cmd_flags)
{
	u32 op = cmd_flags & REQ_OP_MASK;

	return op <= REQ_OP_DISCARD ? op : rare_operation(op);
}

/* Whether a request of this operation has sectors to transfer, so that one that completes without any was completed before. */
static __always_inline bool has_data(u32 operation)
{
	return operation == OP_READ || operation == OP_DISCARD || operation == OP_WRITE_ZEROES ||
	       operation == OP_SECURE_ERASE || operation == OP_WRITE_SAME || operation == OP_ZONE_APPEND;
}

#define FLAG_IF(cmd_flags, name)                                                \
	(bpf_core_enum_value_exists(enum req_flag_bits, __REQ_##name) &&        \
	 (cmd_flags) >> bpf_core_enum_value(enum req_flag_bits, __REQ_##name) & 1 ? FLAG_##name : 0)

static __always_inline u32 flags_of(u32 cmd_flags)
{
	return FLAG_IF(cmd_flags, SYNC) | FLAG_IF(cmd_flags, META) | FLAG_IF(cmd_flags, PRIO) |
	       FLAG_IF(cmd_flags, FUA) | FLAG_IF(cmd_flags, RAHEAD) | FLAG_IF(cmd_flags, BACKGROUND) |
	       FLAG_IF(cmd_flags, NOWAIT) | FLAG_IF(cmd_flags, IDLE);
}

#endif
