/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Start times of block requests, by their tags: when one began, until it ends.
 *
 *	STAMPS_BY_REQUEST(issued)         issued_set(rq, ns)       ns = issued_take(rq)
 *
 * `set` replaces a time that is there, `take` returns the time and forgets it; 0: there is none. `issued_lost` counts times for which there was
 * no room, and those that another request replaced before they were taken. An object has one such table, whatever its name is. A program that
 * wants to know more defines `request_stamp_event` itself, and calls `put_start` and `take_start`, as biolatency does.
 *
 * A tag belongs to one request at a time (a flush has the tag of a request that waits for it). So a slot for every tag needs no
 * insertion, deletion or lock, and the start of a request that never completed is overwritten by the next request. Tags are numbers
 * within a tag set, which disks and namespaces may share. The slots of 64 tags are a part. `parts` is a hash table in an array, with
 * linear probing: a part is claimed when one of its tags is first used, and may be taken over when none was used for a while.
 *
 * Why this is right without locks, on every architecture:
 *
 * - A slot has one writer at a time. The one who issues a request owns its tag until the request completes, and the one who completes it
 *   frees the tag after this program ran. Freeing a tag is a release and allocating it an acquire (sbitmap), so the next owner
 *   sees the slot as the last one left it.
 * - The completing CPU sees what the issuing CPU wrote before: the block layer relies on the same order for the request's own fields,
 *   which it writes between these two tracepoints (rq->state).
 * - A part has one claimant (see claim.h).
 * - Only speed depends on when other CPUs see `key`. If two CPUs claim a part each for the same tags, both parts are right: a start is
 *   found by the request's address, in every part of its tags.
 */
#ifndef EBHOST_REQUESTS_H
#define EBHOST_REQUESTS_H

#include "../claim.h"
#include "../kernel.h"

/* The fate of a start time. */
enum request_stamp {
	STAMP_STRAY, /* its tag has no part: it is in `strays` */
	STAMP_FULL, /* there was no room for it, here and there */
	STAMP_REPLACED, /* it was not taken before its tag was used again */
};

static __always_inline void request_stamp_event(enum request_stamp event);

/* Parts, a power of two. `parts` must have this many entries. */
const volatile u32 targ_parts = 2048;
/* A part with no request for this long may be taken over by other tags. */
const volatile u64 targ_part_keep_ns = 600000000000ull;

#define TAGS 64
#define PART_PROBES 8

struct start {
	u64 request; /* its address; 0: none */
	u64 ns;
};

struct part {
	u64 key; /* which tags; 0: none yet */
	u64 claims;
	struct start starts[TAGS];
};

/* 131 072 tags in 2 MiB: 128 hardware queues of 1 024. Further tags use `strays`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2048);
	__type(key, u32);
	__type(value, struct part);
} parts SEC(".maps");

/* Start times of requests whose tags have no part, by the request's address: slower, and as exact. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u64);
} strays SEC(".maps");

/* When the first start was recorded: requests that began before are not ours to count. */
static volatile u64 recorded_since;
/* When the first completion was seen: nobody saw how requests ended before. */
static volatile u64 completed_since;
/* When a part may be taken over next. */
static volatile u64 next_takeover;
/* An address that stays. The verifier knows of addresses only their differences. */
static volatile u64 origin;

/* A tag, and the part that it belongs to. */
struct place {
	u64 key;
	u32 hash;
	u32 slot;
	bool has_tag;
};

static __always_inline struct place place_of(struct request *rq)
{
	struct blk_mq_hw_ctx *queue = rq->mq_hctx;
	struct place place = {};
	u32 tag;

	/* With a scheduler the request keeps the scheduler's tag for life; the driver's tag is released when it is requeued. */
	if (rq->internal_tag >= 0) {
		tag = rq->internal_tag;
		place.key = (u64)queue->sched_tags - (u64)&origin;
	} else {
		tag = rq->tag;
		place.key = (u64)queue->tags - (u64)&origin;
	}
	/* Excludes "no tag" (-1) as well: the kernel has no tag set of more than 10 240. */
	place.has_tag = tag < 160 * TAGS;
	/* A tag set is larger than 160 bytes: so the addresses of its first bytes are the keys of its parts. */
	place.key += tag / TAGS;
	place.hash = (place.key * 0x9e3779b97f4a7c15ull) >> 32;
	place.slot = tag % TAGS;
	return place;
}

static __always_inline struct part *part_at(const struct place *place, u32 probe)
{
	u32 index = (place->hash + probe) & (targ_parts - 1);

	return bpf_map_lookup_elem(&parts, &index);
}

static __noinline bool is_idle(struct part *part, u64 now)
{
	if (!part)
		return false;
	for (u32 i = 0; i < TAGS; i++) {
		if (now - READ_ONCE(part->starts[i].ns) < targ_part_keep_ns)
			return false;
	}
	return true;
}

/* Gives a part that was not used for long to these tags: for their next request. Tries one part, at most a thousand times a second. */
static __always_inline void take_over(const struct place *place, u64 now)
{
	struct part *part;

	if (now < next_takeover)
		return;
	next_takeover = now + 1000000;
	part = part_at(place, (now >> 20) % PART_PROBES);
	if (!part || !is_idle(part, now))
		return;
	if (claim_alone(&part->claims, 1)) {
		WRITE_ONCE(part->key, place->key);
		__sync_fetch_and_add(&part->claims, -1);
	}
}

/* The slot for the start of a request. NULL: there is none, now. */
static __always_inline struct start *slot_for(const struct place *place, u64 now)
{
	if (!place->has_tag)
		return NULL;
	for (u32 probe = 0; probe < PART_PROBES; probe++) {
		struct part *part = part_at(place, probe);
		u64 key;

		if (!part)
			return NULL;
		key = READ_ONCE(part->key);
		if (key != place->key) {
			if (key)
				continue;
			/* Another CPU that claims it just now may do so for the same tags. */
			if (!claim_alone(&part->claims, 0))
				return NULL;
			WRITE_ONCE(part->key, place->key);
		}
		return &part->starts[place->slot % TAGS];
	}
	take_over(place, now);
	return NULL;
}

/*
 * Whether a start time belongs to the current use of the request. If a completion was not seen (STAMP_REPLACED), the
 * start that remains is older than the next use of the request, whose start time the kernel records if disk statistics
 * are on. The tolerance of 1 ms allows for the clock being read slightly before the kernel reads it.
 */
static __always_inline bool is_current(struct request *rq, u64 ns)
{
	return ns + 1000000 >= rq->start_time_ns;
}

static __always_inline void put_stray(struct request *rq, bool keep, u64 now)
{
	u64 key = (u64)rq, *known = keep ? bpf_map_lookup_elem(&strays, &key) : NULL;

	if (known && is_current(rq, *known))
		return;
	request_stamp_event(bpf_map_update_elem(&strays, &key, &now, BPF_ANY) ? STAMP_FULL : STAMP_STRAY);
}

/* Records that a request starts now. With `keep`, a start that it has already is kept. */
static __always_inline void put_start(struct request *rq, u64 now, bool keep)
{
	struct place place = place_of(rq);
	struct start *slot = slot_for(&place, now);

	if (!recorded_since)
		recorded_since = now;
	if (!slot) {
		put_stray(rq, keep, now);
		return;
	}
	if (slot->request) {
		if (slot->request == (u64)rq && is_current(rq, slot->ns)) {
			if (keep)
				return;
		} else if (completed_since && slot->ns > completed_since) {
			request_stamp_event(STAMP_REPLACED);
		}
	}
	slot->ns = now;
	slot->request = (u64)rq;
}

static __always_inline u64 take_stray(struct request *rq)
{
	u64 key = (u64)rq, *stray = bpf_map_lookup_elem(&strays, &key), ns;

	if (!stray)
		return 0;
	ns = *stray;
	bpf_map_delete_elem(&strays, &key);
	return is_current(rq, ns) ? ns : 0;
}

/* Returns and clears the start of a request, so that it cannot complete twice; 0: not known. */
static __always_inline u64 take_start(struct request *rq)
{
	struct place place = place_of(rq);

	for (u32 probe = 0; place.has_tag && probe < PART_PROBES; probe++) {
		struct part *part = part_at(&place, probe);
		struct start *slot;
		u64 key;

		if (!part)
			break;
		key = READ_ONCE(part->key);
		if (!key)
			break;
		slot = &part->starts[place.slot % TAGS];
		if (key != place.key || slot->request != (u64)rq)
			continue;
		slot->request = 0;
		if (is_current(rq, slot->ns))
			return slot->ns;
	}
	return take_stray(rq);
}

/* Whether a request without a recorded start began before the programs were attached. */
static __always_inline bool began_before_attach(struct request *rq)
{
	return !recorded_since || (rq->start_time_ns && rq->start_time_ns < recorded_since);
}

#define STAMPS_BY_REQUEST(name)                                                                              \
	u64 name##_lost;                                                                                     \
                                                                                                             \
	static __always_inline void request_stamp_event(enum request_stamp event)                            \
	{                                                                                                    \
		if (event != STAMP_STRAY)                                                                    \
			__sync_fetch_and_add(&name##_lost, 1);                                               \
	}                                                                                                    \
	static __always_inline void name##_set(struct request *rq, u64 ns)                                   \
	{                                                                                                    \
		put_start(rq, ns, false);                                                                    \
	}                                                                                                    \
	static __always_inline u64 name##_take(struct request *rq)                                           \
	{                                                                                                    \
		u64 ns = take_start(rq);                                                                     \
                                                                                                             \
		if (!completed_since)                                                                        \
			completed_since = bpf_ktime_get_ns();                                                \
		return ns;                                                                                   \
	}

#endif
