// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// TCP sessions when they end: how long they were open, and how much they carried.
#include "ebhost/associative.h"
#include "ebhost/counts.h"
#include "ebhost/program.h"
#include "sock.h"

// plugin.yaml knows the numbers.
enum direction {
	ACTIVE,
	PASSIVE,
};

struct session {
	u16 direction;
	u16 family;
};

// The peer has sent a FIN.
#define SOCK_DONE 1

// By the socket's address, as its storage would be allocated for each session, which takes longer; sessions beyond that have storage.
ASSOCIATIVE(begun, 8192)
STAMPS_BY_SOCKET(stored)
static volatile bool any_is_stored;
// Milliseconds, 1 ms … 12 days.
POWERS_OF_TWO(seconds, struct session, 0, 30)
POWERS_OF_TWO(sent, struct session, 6, 36)
POWERS_OF_TWO(received, struct session, 6, 36)

// The direction of a session is in the lowest bit of its start time.
static __always_inline void begin(struct sock *socket, u64 direction)
{
	u64 ns = (bpf_ktime_get_ns() & ~1ull) | direction;

	if (begun_put(associative_key(socket), ns))
		return;
	any_is_stored = true;
	stored_set(socket, ns);
}

// When the session began; 0: it is not known.
static __always_inline u64 take(struct sock *socket)
{
	u64 ns;

	if (begun_remove(associative_key(socket), &ns))
		return ns;
	return any_is_stored ? stored_take(socket) : 0;
}

static __always_inline void end(struct sock *socket, u64 begun)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(socket);
	struct session session = { .direction = begun & 1, .family = ip_family_of(socket) };
	u64 fin = socket->__sk_common.skc_flags >> SOCK_DONE & 1;

	seconds_observe(&session, (bpf_ktime_get_ns() - begun) / 1000000);
	if (!tcp)
		return;
	sent_observe(&session, tcp->bytes_sent - tcp->bytes_retrans);
	received_observe(&session, tcp->bytes_received ? tcp->bytes_received - fin : 0);
}

TP_BTF(inet_sock_set_state, struct sock *socket, u64 from, u64 to)
{
	u64 begun;

	from = (u32)from;
	to = (u32)to;
	if ((to != TCP_ESTABLISHED && to != TCP_CLOSE) || socket->sk_protocol != IPPROTO_TCP)
		return 0;
	if (to == TCP_ESTABLISHED) {
		begin(socket, from == TCP_SYN_RECV ? PASSIVE : ACTIVE);
	} else {
		begun = take(socket);
		if (begun)
			end(socket, begun);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
