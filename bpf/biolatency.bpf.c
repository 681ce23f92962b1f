// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Latency of block requests, as histograms by disk and operation.
 *
 * A request is timed from its issue to the driver (with targ_queued: from its insertion into the scheduler)
 * to its last completion, and counted once, in the bank of its disk and operation on the CPU that completes
 * it. Devices that pass bios on without making requests (dm, md, zram, nvme's multipath head) do not show;
 * the disks below them do.
 *
 * What is counted is what /sys/block/DEV/stat counts while the programs are attached:
 *
 *	field 1, reads       read
 *	field 5, writes      write + preflush + write_zeroes + secure_erase + write_same + zone_*
 *	field 12, discards   discard
 *	field 16, flushes    flush
 *
 * plus what `lost` says. (Kernels in which a zone operation has an even number count it as a read.) Passthrough
 * commands are left out, as stat leaves them out unless queue/iostats_passthrough is set.
 *
 * Flushes are why the fields are not simply operations. An fsync sends an empty write that asks for a flush
 * beforehand. The kernel never issues it; it issues a flush of its own, one for all that wait, and then
 * completes the empty write. stat counts both, and so do we: `flush` is the device's time, `preflush` what the
 * waiting took from the request's start. A write with data that needs flushes around it is issued once
 * and completed twice, of which the first completion counts here and the second one in stat.
 *
 * The path of a request takes two map look-ups at issue and completion each, no insertion, no deletion,
 * no lock. Nothing is read or kept of who did the I/O, or of its data.
 */
#include "buckets.h"
#include "kernel.h"
#include "native.h"

char LICENSE[] SEC("license") = "GPL";

/* Time from insertion instead of issue; attach block_rq_insert and block_rq_merge then, and only then. */
const volatile bool targ_queued = false;
/* Tell requests apart by their flags as well (enum flag). */
const volatile bool targ_per_flag = false;
/* Count into native buckets: `native_banks` instead of `banks`. */
const volatile bool targ_native = false;
/* Banks of one CPU, a power of two: `banks` has to have this many entries for every possible CPU. */
const volatile u32 targ_banks = 128;

/* Our numbers: the kernel's REQ_OP_* move between versions. Fixed for ever, new ones go to the end. */
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

/* Bits of a bank's `flags`; likewise. The kernel takes PREFLUSH (and FUA, if the disk lacks it) off what it issues. */
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

/* ---- when requests started ---- */

struct start {
	u64 request; /* 0: none */
	u64 ns;
};

/*
 * A tag belongs to one request at a time (a flush has that of a request that waits for it), so a place for
 * every tag needs no insertion, no deletion and no lock, and what is left over by a request that never
 * completed is overwritten by the next one. Tags are numbers in a tag set that disks and namespaces may
 * share; places are set aside 64 tags at a time, when one of these is first used.
 */
#define TAGS 64

struct tags {
	struct start of[TAGS];
};

struct tags_key {
	struct blk_mq_tags *set;
	u32 part; /* tag / TAGS */
} __attribute__((packed));

/* 65 536 tags in 1 MiB: 64 hardware queues of 1 024. A machine that has more uses `strays` for the rest. */
struct {
	__uint(type, MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct tags_key);
	__type(value, struct tags);
} starts SEC(".maps");

/* For requests whose tags found no place, by the request's address: slower, not less exact. */
struct {
	__uint(type, MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u64);
} strays SEC(".maps");

static const struct tags no_tags;

/* 1 once there was no room in either. */
static volatile u8 starts_full;

/* ---- what was counted ---- */

/* Which series a bank is of. Written once, as one word, before the first count: a reader sees all or nothing. */
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

_Static_assert(sizeof(struct bank) == 256, "four cache lines, and what readers of the map rely on");

/* Banks [cpu * targ_banks, (cpu + 1) * targ_banks) are written by that CPU alone. */
struct {
	__uint(type, MAP_TYPE_ARRAY);
	__uint(max_entries, 128 * 2);
	__uint(map_flags, MAP_MMAPABLE);
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

_Static_assert(sizeof(struct native_bank) == 1960, "what readers of the map rely on");

/* The same with native buckets. Only one of the two maps is counted in, so the other one needs no more than an entry. */
struct {
	__uint(type, MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, MAP_MMAPABLE);
	__type(key, u32);
	__type(value, struct native_bank);
} native_banks SEC(".maps");

/*
 * Requests that were not counted, each once. The kernel may run a request past the programs: from 6.1 on when an
 * interrupt comes while the same program runs on that CPU (its recursion_misses).
 */
enum lost {
	/* The CPU has no bank left for its disk, operation and flags. */
	LOST_BANKS_FULL,
	/* It was not seen starting, after `starts` and `strays` had both been full. */
	LOST_STARTS_FULL,
	/* It was not seen starting: issued before the programs were attached, failed before its issue, or run past. */
	LOST_NO_START,
	/* It was not seen completing. Found when its tag has its next request. */
	LOST_NO_END,
	LOST_REASONS,
};

struct {
	__uint(type, MAP_TYPE_ARRAY);
	__uint(max_entries, LOST_REASONS);
	__uint(map_flags, MAP_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

static inline void count_lost(u32 reason)
{
	u64 *count = bpf_map_lookup_elem(&lost, &reason);

	if (count)
		atomic_add(count, 1);
}

/* ---- requests ---- */

/* Without keep_order clang picks the address first, and the verifier refuses a context with an offset added. */
#define REQUEST_OF(ctx, tracepoint)                                       \
	({                                                                \
		struct request *rq_;                                      \
		if (type_exists(btf_trace_##tracepoint##___queue)) {      \
			rq_ = (struct request *)(ctx)[1];                 \
			keep_order(rq_);                                  \
		} else {                                                  \
			rq_ = (struct request *)(ctx)[0];                 \
		}                                                         \
		rq_;                                                      \
	})

static inline bool is_passthrough(u32 cmd_flags)
{
	return (cmd_flags & REQ_OP_MASK) >= FIRST_PASSTHROUGH;
}

static inline u32 device_of(struct request *rq)
{
	struct request___rq_disk *old = (void *)rq;
	struct gendisk *disk = field_exists(old->rq_disk) ? old->rq_disk : rq->q->disk;

	return (u32)disk->major << 20 | (u32)disk->first_minor;
}

#define IS_OP(op, name)                                                               \
	((enumerator_exists(enum req_op, REQ_OP_##name) &&                            \
	  (op) == enumerator_value(enum req_op, REQ_OP_##name)) ||                    \
	 (enumerator_exists(enum req_opf, REQ_OP_##name##___opf) &&                   \
	  (op) == enumerator_value(enum req_opf, REQ_OP_##name##___opf)))

static __attribute__((noinline)) u32 rare_operation(u32 op)
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
	if (enumerator_exists(enum req_opf, REQ_OP_WRITE_SAME___opf) &&
	    op == enumerator_value(enum req_opf, REQ_OP_WRITE_SAME___opf))
		return OP_WRITE_SAME;
	return OP_OTHER;
}

static inline u32 operation_of(u32 cmd_flags)
{
	u32 op = cmd_flags & REQ_OP_MASK;

	return op <= REQ_OP_DISCARD ? op : rare_operation(op);
}

#define FLAG_IF(cmd_flags, name)                                                      \
	(enumerator_exists(enum req_flag_bits, __REQ_##name) &&                       \
	 (cmd_flags) >> enumerator_value(enum req_flag_bits, __REQ_##name) & 1 ? FLAG_##name : 0)

static inline u32 flags_of(u32 cmd_flags)
{
	return FLAG_IF(cmd_flags, SYNC) | FLAG_IF(cmd_flags, META) | FLAG_IF(cmd_flags, PRIO) |
	       FLAG_IF(cmd_flags, FUA) | FLAG_IF(cmd_flags, RAHEAD) | FLAG_IF(cmd_flags, BACKGROUND) |
	       FLAG_IF(cmd_flags, NOWAIT) | FLAG_IF(cmd_flags, IDLE);
}

/* ---- starts ---- */

/* The place of a request's tag; with `make`, set aside if it has none yet. */
static inline struct start *place_of(struct request *rq, bool make)
{
	struct blk_mq_hw_ctx *queue = rq->mq_hctx;
	struct tags_key key __attribute__((aligned(8)));
	struct tags *tags;
	u32 tag;

	/* With a scheduler, its tag is the one for life; the driver's is given back when a request is requeued. */
	if (rq->internal_tag >= 0) {
		tag = rq->internal_tag;
		key.set = queue->sched_tags;
	} else {
		tag = rq->tag;
		key.set = queue->tags;
	}
	/* No tag (-1) falls out by the limit: the kernel has no set of more than 10 240. */
	if (tag >> 16)
		return NULL;
	key.part = tag / TAGS;
	tags = bpf_map_lookup_elem(&starts, &key);
	if (!tags && make) {
		/* Another CPU may be first; whoever wins, it is there then, or there is no room. */
		bpf_map_update_elem(&starts, &key, &no_tags, UPDATE_NOEXIST);
		tags = bpf_map_lookup_elem(&starts, &key);
	}
	if (!tags)
		return NULL;
	keep_order(tags);
	return &tags->of[tag % TAGS];
}

/*
 * Whether a start is of this life of the request. The kernel may keep a completion from us (LOST_NO_END); what
 * that leaves behind is older than the request's next life, if disk statistics are on and it knows its age.
 * Our clock may be read a little behind the kernel's own.
 */
static inline bool is_current(struct request *rq, u64 ns)
{
	return ns + 1000000 >= rq->start_time_ns;
}

/* With `keep`, a start that the request has already stands. */
static inline void put_start(struct request *rq, bool keep)
{
	struct start *place = place_of(rq, true);
	u64 key = (u64)rq, now;
	bool known;

	if (place) {
		known = place->request == key && is_current(rq, place->ns);
		if (place->request && !known)
			count_lost(LOST_NO_END);
	} else {
		u64 *stray = keep ? bpf_map_lookup_elem(&strays, &key) : NULL;

		known = stray && is_current(rq, *stray);
	}
	if (keep && known)
		return;
	now = bpf_ktime_get_ns();
	if (place) {
		place->ns = now;
		place->request = key;
	} else if (bpf_map_update_elem(&strays, &key, &now, UPDATE_ANY)) {
		starts_full = 1;
	}
}

/* When the request started; 0: not known. It is forgotten, so that nothing can complete twice. */
static inline u64 take_start(struct request *rq)
{
	struct start *place = place_of(rq, false);
	u64 key = (u64)rq, ns;
	u64 *stray;

	if (place && place->request == key) {
		ns = place->ns;
		place->request = 0;
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

/* Longest search for a bank. With three banks of four taken, one series in a thousand finds none within it. */
#define PROBES 32

/*
 * Takes an empty bank. Up to 6.0 an interrupt may nest a second run of the program in here, and there is no
 * compare-and-swap before 5.12: so each adds itself and then looks whether it is alone. If two meet, neither
 * takes the bank, and it stays empty.
 */
static inline bool claim(u64 *owner, u32 *claims, u64 identity)
{
	if (read_once(*claims))
		return false;
	atomic_add(claims, 1);
	if (read_once(*claims) != 1)
		return false;
	write_once(*owner, identity);
	return true;
}

/* Adds to this CPU's bank of an identity in one of the two maps. */
#define COUNT_IN(map, type, id, ns, slot)                                                \
	({                                                                               \
		u32 mask = targ_banks - 1;                                               \
		u32 first = bpf_get_smp_processor_id() * targ_banks;                     \
		u32 hash = ((id).word * 0x9e3779b97f4a7c15ull) >> 32;                    \
		bool is_counted = false;                                                 \
                                                                                         \
		for (u32 i = 0; i < PROBES; i++) {                                       \
			u32 index = first + ((hash + i) & mask);                         \
			type *bank = bpf_map_lookup_elem(&map, &index);                  \
			u64 found;                                                       \
                                                                                         \
			if (!bank)                                                       \
				break;                                                   \
			found = read_once(bank->identity);                               \
			if (found != (id).word &&                                        \
			    (found || !claim(&bank->identity, &bank->claims, (id).word))) \
				continue;                                                \
			atomic_add(&bank->sum_ns, ns);                                   \
			atomic_add(&bank->slots[slot(ns)], 1);                           \
			is_counted = true;                                               \
			break;                                                           \
		}                                                                        \
		is_counted;                                                              \
	})

static inline void count(union identity id, u64 ns)
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

	/* A requeued request is inserted again, and has been waiting since the first time. */
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

/* The request that another one swallowed: it never completes. */
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

	/* Part of a request may complete before the rest: the last part counts. */
	if (bytes < rq->__data_len || is_passthrough(cmd_flags))
		return 0;
	id.operation = operation_of(cmd_flags);
	start = take_start(rq);
	if (!start) {
		if (bytes || id.operation != OP_WRITE) {
			count_lost(starts_full ? LOST_STARTS_FULL : LOST_NO_START);
			return 0;
		}
		/* A write that ends with nothing left, and has segments, was counted when its data completed. */
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
