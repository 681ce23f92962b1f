// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Latency of block requests, as histograms by disk and operation.
 *
 * A request is timed from its issue to the driver (with targ_queued: from its insertion into the scheduler)
 * to its last completion, and counted once, in the bank of its disk and operation on the CPU that completes
 * it. Devices that pass bios on without making requests (dm, md, zram, nvme's multipath head) have no series;
 * the disks below them do.
 *
 * The counts equal the increases of /sys/block/DEV/stat while the programs are attached:
 *
 *	field 1, reads       read
 *	field 5, writes      write + preflush + write_zeroes + secure_erase + write_same + zone_*
 *	field 12, discards   discard
 *	field 16, flushes    flush
 *
 * if the requests in `lost` are added. (Kernels in which a zone operation has an even number count it as a read.) Passthrough
 * commands are not counted; stat does not count them either unless queue/iostats_passthrough is set.
 *
 * Because of flushes the fields are not simply operations. An fsync sends an empty write with a preflush flag.
 * The kernel never issues that write: it issues one flush for all writes that wait for it, and then
 * completes the empty writes. stat counts both, and so does this program: `flush` is the time of the device, `preflush`
 * the time from the start of the waiting write. A write with data that needs flushes around it is issued once
 * and completed twice; the first completion is counted here, the second in stat.
 *
 * A request costs two map lookups at its issue and two at its completion: no insertion, deletion or lock.
 * The programs read neither the data nor the process that did the I/O.
 */
#include "buckets.h"
#include "kernel.h"
#include "native.h"

char LICENSE[] SEC("license") = "GPL";

/* Measure from insertion instead of issue. Attach block_rq_insert and block_rq_merge if, and only if, this is set. */
const volatile bool targ_queued = false;
/* Distinguish requests by their flags as well (enum flag). */
const volatile bool targ_per_flag = false;
/* Count into native histogram buckets: `native_banks` instead of `banks`. */
const volatile bool targ_native = false;
/* Banks per CPU, a power of two. `banks` must have this many entries for every possible CPU. */
const volatile u32 targ_banks = 128;

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

/* ---- start times ---- */

struct start {
	u64 request; /* its address; 0: none */
	u64 ns;
};

/*
 * A tag belongs to one request at a time (a flush has the tag of a request that waits for it). So a slot for
 * every tag needs no insertion, deletion or lock, and the start of a request that never completed is overwritten
 * by the next request. Tags are numbers within a tag set, which disks and namespaces may share; slots are
 * allocated for 64 tags at a time, when one of these is first used.
 */
#define TAGS 64

struct tags {
	struct start of[TAGS];
};

struct tags_key {
	struct blk_mq_tags *set;
	u32 part; /* tag / TAGS */
} __attribute__((packed));

/* 65 536 tags in 1 MiB: 64 hardware queues of 1 024. On machines with more tags the rest goes to `strays`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct tags_key);
	__type(value, struct tags);
} starts SEC(".maps");

/* Start times of requests whose tags have no slot, by the request's address: slower, and as exact. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u64);
} strays SEC(".maps");

static const struct tags no_tags;

/* 1 once both maps were full. */
static volatile u8 starts_full;

/* ---- counters ---- */

/* The series of a bank. It is written once, as one word, before the first count: a reader sees all of it or 0. */
union identity {
	struct {
		u32 device; /* major << 20 | minor */
		u8 operation;
		u8 used; /* 1, so that no identity is 0 */
		u16 flags;
	};
	u64 word;
};

struct bank {
	u64 identity;
	u64 sum_ns;
	u64 slots[SLOTS];
	u32 claims;
	u32 unused;
};

_Static_assert(sizeof(struct bank) == 256, "four cache lines, and the layout that the component declares");

/* Banks [cpu * targ_banks, (cpu + 1) * targ_banks) are written by that CPU alone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 128 * 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct bank);
} banks SEC(".maps");

struct native_bank {
	u64 identity;
	u64 sum_ns;
	u64 slots[NATIVE_SLOTS];
	u32 claims;
	u32 unused;
};

_Static_assert(sizeof(struct native_bank) == 1960, "the layout that the component declares");

/* The same with native buckets. Only one of the two maps is used, so the other one needs a single entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct native_bank);
} native_banks SEC(".maps");

/*
 * Requests that were not counted, each once, by reason. The kernel may skip a program: from 6.1 on if an
 * interrupt arrives while the same program runs on that CPU (recursion_misses in its statistics).
 */
enum lost {
	/* The CPU had no free bank for the disk, operation and flags. */
	LOST_BANKS_FULL,
	/* Its start was not recorded, after `starts` and `strays` had both been full. */
	LOST_STARTS_FULL,
	/* Its start was not recorded: it was issued before the programs were attached, failed before its issue, or the program was skipped. */
	LOST_NO_START,
	/* Its completion was not seen. This is detected when its tag is used by the next request. */
	LOST_NO_END,
	LOST_REASONS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOST_REASONS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

static __always_inline void count_lost(u32 reason)
{
	u64 *count = bpf_map_lookup_elem(&lost, &reason);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* ---- requests ---- */

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

static __always_inline u32 device_of(struct request *rq)
{
	struct request___rq_disk *old = (void *)rq;
	struct gendisk *disk = bpf_core_field_exists(old->rq_disk) ? old->rq_disk : rq->q->disk;

	return (u32)disk->major << 20 | (u32)disk->first_minor;
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

#define FLAG_IF(cmd_flags, name)                                                \
	(bpf_core_enum_value_exists(enum req_flag_bits, __REQ_##name) &&        \
	 (cmd_flags) >> bpf_core_enum_value(enum req_flag_bits, __REQ_##name) & 1 ? FLAG_##name : 0)

static __always_inline u32 flags_of(u32 cmd_flags)
{
	return FLAG_IF(cmd_flags, SYNC) | FLAG_IF(cmd_flags, META) | FLAG_IF(cmd_flags, PRIO) |
	       FLAG_IF(cmd_flags, FUA) | FLAG_IF(cmd_flags, RAHEAD) | FLAG_IF(cmd_flags, BACKGROUND) |
	       FLAG_IF(cmd_flags, NOWAIT) | FLAG_IF(cmd_flags, IDLE);
}

/* ---- recording start times ---- */

/* The slot of a request's tag. With `create`, it is allocated if there is none yet. NULL: none, or the map is full. */
static __always_inline struct start *slot_of(struct request *rq, bool create)
{
	struct blk_mq_hw_ctx *queue = rq->mq_hctx;
	struct tags_key key __attribute__((aligned(8)));
	struct tags *tags;
	u32 tag;

	/* With a scheduler the request keeps the scheduler's tag for life; the driver's tag is released when it is requeued. */
	if (rq->internal_tag >= 0) {
		tag = rq->internal_tag;
		key.set = queue->sched_tags;
	} else {
		tag = rq->tag;
		key.set = queue->tags;
	}
	/* Also excludes "no tag" (-1): the kernel has no tag set of more than 10 240. */
	if (tag >> 16)
		return NULL;
	key.part = tag / TAGS;
	tags = bpf_map_lookup_elem(&starts, &key);
	if (!tags && create) {
		/* Another CPU may insert it first. Either way the lookup finds it now, unless the map is full. */
		bpf_map_update_elem(&starts, &key, &no_tags, BPF_NOEXIST);
		tags = bpf_map_lookup_elem(&starts, &key);
	}
	if (!tags)
		return NULL;
	barrier_var(tags);
	return &tags->of[tag % TAGS];
}

/*
 * Whether a start time belongs to the current use of the request. If a completion was not seen (LOST_NO_END), the
 * start that remains is older than the next use of the request, whose start time the kernel records if disk statistics
 * are on. The tolerance of 1 ms allows for the clock being read slightly before the kernel reads it.
 */
static __always_inline bool is_current(struct request *rq, u64 ns)
{
	return ns + 1000000 >= rq->start_time_ns;
}

/* Records the start of a request. With `keep`, a start that it has already is kept. */
static __always_inline void put_start(struct request *rq, bool keep)
{
	struct start *slot = slot_of(rq, true);
	u64 key = (u64)rq, now;
	bool known;

	if (slot) {
		known = slot->request == key && is_current(rq, slot->ns);
		if (slot->request && !known)
			count_lost(LOST_NO_END);
	} else {
		u64 *stray = keep ? bpf_map_lookup_elem(&strays, &key) : NULL;

		known = stray && is_current(rq, *stray);
	}
	if (keep && known)
		return;
	now = bpf_ktime_get_ns();
	if (slot) {
		slot->ns = now;
		slot->request = key;
	} else if (bpf_map_update_elem(&strays, &key, &now, BPF_ANY)) {
		starts_full = 1;
	}
}

/* Returns and clears the start of a request, so that it cannot complete twice; 0: not known. */
static __always_inline u64 take_start(struct request *rq)
{
	struct start *slot = slot_of(rq, false);
	u64 key = (u64)rq, ns;
	u64 *stray;

	if (slot && slot->request == key) {
		ns = slot->ns;
		slot->request = 0;
	} else {
		stray = bpf_map_lookup_elem(&strays, &key);
		if (!stray)
			return 0;
		ns = *stray;
		bpf_map_delete_elem(&strays, &key);
	}
	return is_current(rq, ns) ? ns : 0;
}

/* ---- counts ---- */

/* The longest probe for a bank. With three quarters of the banks used, one series in a thousand finds none within it. */
#define PROBES 32

/*
 * Claims an empty bank. Up to 6.0 an interrupt may run the program again in here, and compare-and-swap needs
 * 5.12: so each run increments `claims` and then checks that it is alone. If two collide, neither gets the bank,
 * and it stays empty.
 */
static __always_inline bool claim(u64 *owner, u32 *claims, u64 identity)
{
	if (READ_ONCE(*claims))
		return false;
	__sync_fetch_and_add(claims, 1);
	if (READ_ONCE(*claims) != 1)
		return false;
	WRITE_ONCE(*owner, identity);
	return true;
}

/* Counts in this CPU's bank of an identity, in one of the two maps. Linear probing. */
#define COUNT_IN(map, type, id, ns, slot)                                                       \
	({                                                                                      \
		u32 mask = targ_banks - 1;                                                      \
		u32 first = bpf_get_smp_processor_id() * targ_banks;                            \
		u32 hash = ((id).word * 0x9e3779b97f4a7c15ull) >> 32;                           \
		bool is_counted = false;                                                        \
                                                                                                \
		for (u32 i = 0; i < PROBES; i++) {                                              \
			u32 index = first + ((hash + i) & mask);                                \
			type *bank = bpf_map_lookup_elem(&map, &index);                         \
			u64 found;                                                              \
                                                                                                \
			if (!bank)                                                              \
				break;                                                          \
			found = READ_ONCE(bank->identity);                                      \
			if (found != (id).word &&                                               \
			    (found || !claim(&bank->identity, &bank->claims, (id).word)))       \
				continue;                                                       \
			__sync_fetch_and_add(&bank->sum_ns, ns);                                \
			__sync_fetch_and_add(&bank->slots[slot(ns)], 1);                        \
			is_counted = true;                                                      \
			break;                                                                  \
		}                                                                               \
		is_counted;                                                                     \
	})

static __always_inline void count(union identity id, u64 ns)
{
	bool is_counted;

	if (targ_native)
		is_counted = COUNT_IN(native_banks, struct native_bank, id, ns, native_bucket_of);
	else
		is_counted = COUNT_IN(banks, struct bank, id, ns, bucket_of);
	if (!is_counted)
		count_lost(LOST_BANKS_FULL);
}

/* ---- programs ---- */

SEC("tp_btf/block_rq_insert")
int block_rq_insert(u64 *ctx)
{
	struct request *rq = REQUEST_OF(ctx, block_rq_insert);

	/* A requeued request is inserted again, but has been waiting since its first insertion. */
	if (targ_queued && !is_passthrough(rq->cmd_flags))
		put_start(rq, true);
	return 0;
}

SEC("tp_btf/block_rq_issue")
int block_rq_issue(u64 *ctx)
{
	struct request *rq = REQUEST_OF(ctx, block_rq_issue);

	if (!is_passthrough(rq->cmd_flags))
		put_start(rq, targ_queued);
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

SEC("tp_btf/block_rq_complete")
int block_rq_complete(u64 *ctx)
{
	struct request *rq = (struct request *)ctx[0];
	u32 bytes = ctx[2], cmd_flags = rq->cmd_flags;
	union identity id = {};
	u64 start;
	s64 ns;

	/* A request may complete in parts: it is counted at the last one. */
	if (bytes < rq->__data_len || is_passthrough(cmd_flags))
		return 0;
	id.operation = operation_of(cmd_flags);
	start = take_start(rq);
	if (!start) {
		if (bytes || id.operation != OP_WRITE) {
			count_lost(starts_full ? LOST_STARTS_FULL : LOST_NO_START);
			return 0;
		}
		/* A write without remaining bytes that has segments was counted when its data completed. */
		if (rq->nr_phys_segments || !rq->start_time_ns)
			return 0;
		id.operation = OP_PREFLUSH;
		start = rq->start_time_ns;
	}
	ns = bpf_ktime_get_ns() - start;
	id.device = device_of(rq);
	id.used = 1;
	if (targ_per_flag)
		id.flags = flags_of(cmd_flags);
	count(id, ns > 0 ? ns : 0);
	return 0;
}
