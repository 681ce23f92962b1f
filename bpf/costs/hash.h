/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Counting and timing with ordinary BPF hashes, as most tools do it: start times by thread, CPU or address in one hash, and an entry of another
 * hash for each bucket of a histogram and for its sum.
 */
#ifndef EBHOST_COSTS_HASH_H
#define EBHOST_COSTS_HASH_H

#include "../buckets.h"
#include "../current.h"
#include "../ebhost/program.h"
#include "../ebhost/switch.h"

static long (*const probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*const probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;

/* Programs of the package PACKAGE are compared with those that are called PACKAGE_PROGRAM, and with empty_PROGRAM. */
#define AT(hook, name) SEC("tp_btf/" #hook) int name(u64 *args)
#define EMPTY(hook) AT(hook, empty_##hook) { return 0; }

struct bucket {
	u64 owner;
	u32 kind;
	u32 slot;
};

struct named_bucket {
	struct bucket bucket;
	char name[32];
};

/* A start time's owner, with its kind in the upper byte. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u64);
} starts SEC(".maps");

/* Counts, each by its whole label set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct bucket);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct named_bucket);
	__type(value, u64);
} named SEC(".maps");

static __always_inline int add_to(void *map, const void *key, u64 amount)
{
	u64 *count = bpf_map_lookup_elem(map, key), zero = 0;

	if (!count) {
		bpf_map_update_elem(map, key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(map, key);
	}
	if (count)
		__sync_fetch_and_add(count, amount);
	return 0;
}

static __always_inline int add(const struct bucket *key, u64 amount)
{
	return add_to(&counts, key, amount);
}

/* One observation: its bucket, and the sum. */
static __always_inline int observe_in(struct bucket *key, u32 slot, u64 value)
{
	key->slot = slot;
	add(key, 1);
	key->slot = 255;
	return add(key, value);
}

static __always_inline int observe(struct bucket *key, u64 ns)
{
	return observe_in(key, bucket_of(ns), ns);
}

static __always_inline int observe_named(struct named_bucket *key, u64 ns)
{
	key->bucket.slot = bucket_of(ns);
	add_to(&named, key, 1);
	key->bucket.slot = 255;
	return add_to(&named, key, ns);
}

/* An address has the kind 0: the verifier knows it as a pointer, which is not computed with. */
static __always_inline u64 start_key(u64 owner, u64 kind)
{
	return owner ^ kind << 56;
}

static __always_inline void keep(u64 owner, u64 kind, u64 value)
{
	u64 key = start_key(owner, kind);

	bpf_map_update_elem(&starts, &key, &value, BPF_ANY);
}

/* The kept value, which is forgotten; 0: there is none. */
static __always_inline u64 kept(u64 owner, u64 kind)
{
	u64 key = start_key(owner, kind), *found = bpf_map_lookup_elem(&starts, &key), value;

	if (!found)
		return 0;
	value = *found;
	bpf_map_delete_elem(&starts, &key);
	return value;
}

static __always_inline void start(u64 owner, u64 kind)
{
	keep(owner, kind, bpf_ktime_get_ns());
}

static __always_inline u64 taken(u64 owner, u64 kind)
{
	u64 since = kept(owner, kind);

	return since ? bpf_ktime_get_ns() - since : 0;
}

#endif
