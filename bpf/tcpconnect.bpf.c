// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// TCP connections as they are opened: how many, how long the handshake took, and why some failed.
#include "ebhost/associative.h"
#include "ebhost/counts.h"
#include "ebhost/durations.h"
#include "ebhost/program.h"
#include "sock.h"

// plugin.yaml knows the numbers.
enum direction {
	ACTIVE,
	PASSIVE,
};

enum reason {
	REASON_CLOSED, // by the application, before it was established
	REASON_REFUSED,
	REASON_TIMED_OUT,
	REASON_UNREACHABLE,
	REASON_OTHER,
};

#define ENETUNREACH 101
#define ECONNRESET 104
#define ETIMEDOUT 110
#define ECONNREFUSED 111
#define EHOSTUNREACH 113

struct opening {
	u8 direction;
	u8 family;
	u8 reason; // of a failure, otherwise 0
	u8 unused;
};

// By the socket's address: its storage would be allocated for each connection, which takes longer. A stamp lasts as long as the handshake.
STAMPS_BY_NUMBER(begun, 2048, 4096)
DURATIONS(connect, struct opening)
COUNTS(opened, struct opening, 1)
COUNTS(failed, struct opening, 1)

// Connections whose beginning found no room in `begun`, so that the time of their handshake is not measured.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
} untimed SEC(".maps");

static __always_inline void begin(const struct sock *socket)
{
	u64 *count;
	u32 zero = 0;

	if (begun_set(associative_key(socket), bpf_ktime_get_ns()))
		return;
	count = bpf_map_lookup_elem(&untimed, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline u8 reason_of(const struct sock *socket)
{
	switch (socket->sk_err) {
	case 0:
		return REASON_CLOSED;
	case ECONNREFUSED:
	case ECONNRESET:
		return REASON_REFUSED;
	case ETIMEDOUT:
		return REASON_TIMED_OUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
		return REASON_UNREACHABLE;
	default:
		return REASON_OTHER;
	}
}

// The kernel measures the handshake of an incoming connection itself: from its SYN-ACK to the answer.
static __always_inline u64 handshake_ns(const struct sock *socket)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(socket);

	return tcp ? (u64)(tcp->srtt_us >> 3) * 1000 : 0;
}

TP_BTF(inet_sock_set_state, struct sock *socket, u64 from, u64 to)
{
	struct opening opening = {};
	u64 since;

	from = (u32)from;
	to = (u32)to;
	if (from != TCP_SYN_SENT && from != TCP_SYN_RECV && to != TCP_SYN_SENT)
		return 0;
	if (socket->sk_protocol != IPPROTO_TCP)
		return 0;
	opening.direction = from == TCP_SYN_RECV ? PASSIVE : ACTIVE;
	opening.family = ip_family_of(socket);
	if (to == TCP_SYN_SENT) {
		begin(socket);
		opened_add(&opening, 0, 1);
	} else if (to == TCP_ESTABLISHED && from == TCP_SYN_SENT) {
		since = begun_take(associative_key(socket));
		if (since)
			connect_time(&opening, bpf_ktime_get_ns() - since);
	} else if (to == TCP_ESTABLISHED) {
		since = handshake_ns(socket);
		opened_add(&opening, 0, 1);
		if (since)
			connect_time(&opening, since);
	} else if (to == TCP_CLOSE) {
		if (opening.direction == ACTIVE)
			begun_take(associative_key(socket));
		opening.reason = reason_of(socket);
		failed_add(&opening, 0, 1);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
