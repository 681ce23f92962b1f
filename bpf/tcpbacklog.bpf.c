// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How many connections wait to be accepted, by local port, and how many the kernel dropped because there were too many.
//
// No tracepoint tells of a dropped connection, but each listening socket counts its own. The program runs on each socket of TCP when the
// host collects, and never in between.
#include "ebhost/counts.h"
#include "ebhost/stamps.h"
#include "sock.h"

// Listening ports that have series of their own; further ones have port 0 together.
#define PORTS 512

struct queue {
	u64 length;
	u64 limit;
	u64 walk;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bpf_iter_meta {
	u64 session_id;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS + 1);
	__type(key, u32);
	__type(value, struct queue);
} queues SEC(".maps");

// The ports in `queues`, so that those without a socket can be found.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS);
	__type(key, u32);
	__type(value, u32);
} ports SEC(".maps");

static u32 ports_count;
// In memory, so that the verifier does not follow each number that it may have.
static volatile u32 ports_kept;

COUNTS(drops, u32, 1)

// Drops of a socket that have been counted. In the first walk those are all that it has.
STAMPS_BY_SOCKET(known)
static u64 first_walk;

static __always_inline struct queue *queue_of(u32 *port)
{
	struct queue *queue = bpf_map_lookup_elem(&queues, port), none = {};
	u32 *slot, index = ports_count;

	if (queue)
		return queue;
	slot = *port ? bpf_map_lookup_elem(&ports, &index) : NULL;
	if (slot) {
		*slot = *port;
		ports_count = index + 1;
	} else {
		*port = 0;
	}
	bpf_map_update_elem(&queues, port, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&queues, port);
}

static __always_inline void count_drops(struct sock *socket, u32 port, u64 walk)
{
	// One more than it was, because 0 is no time.
	u64 before = known_take(socket);
	u32 drops = socket->sk_drops.counter;

	known_set(socket, (u64)drops + 1);
	if (!before && walk == first_walk)
		return;
	before = before ? before - 1 : 0;
	// Linux 5.10 knows a socket by its address alone, which another one may have had before.
	if (drops > before)
		drops_add(&port, 0, drops - before);
}

// Deletes ports that have no socket any more.
static __noinline int forget(u64 walk)
{
	u32 count = ports_count, i, other = 0;
	struct queue *rest = bpf_map_lookup_elem(&queues, &other);

	if (rest && rest->walk != walk)
		bpf_map_delete_elem(&queues, &other);
	ports_kept = 0;
	for (i = 0; i < PORTS && i < count; i++) {
		u32 index = i, to = ports_kept, port, *slot = bpf_map_lookup_elem(&ports, &index);
		struct queue *queue;

		if (!slot)
			break;
		port = *slot;
		queue = bpf_map_lookup_elem(&queues, &port);
		if (!queue)
			continue;
		if (queue->walk != walk) {
			bpf_map_delete_elem(&queues, &port);
			continue;
		}
		slot = bpf_map_lookup_elem(&ports, &to);
		if (!slot)
			break;
		*slot = port;
		ports_kept = to + 1;
	}
	ports_count = ports_kept;
	return 0;
}

SEC("iter/tcp") int listening(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	u64 walk = ctx->meta->session_id;
	struct queue *queue;
	struct sock *socket;
	u32 port;

	if (!common) {
		forget(walk);
		return 0;
	}
	if (common->skc_state != TCP_LISTEN)
		return 0;
	socket = (struct sock *)bpf_skc_to_tcp_sock(common);
	if (!socket)
		return 0;
	if (!first_walk)
		first_walk = walk;
	port = common->skc_num;
	queue = queue_of(&port);
	if (!queue)
		return 0;
	if (queue->walk != walk) {
		queue->length = queue->limit = 0;
		queue->walk = walk;
	}
	queue->length += socket->sk_ack_backlog;
	queue->limit += socket->sk_max_ack_backlog;
	count_drops(socket, port, walk);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
