// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// TCP segments that were sent again, by the mechanism that did so, and connections that were reset.
#include "ebhost/counts.h"
#include "ebhost/program.h"
#include "sock.h"

// plugin.yaml knows the numbers.
enum kind {
	KIND_SYN,
	KIND_SYNACK,
	KIND_FAST, // the peer's acknowledgements show a gap
	KIND_TIMEOUT, // the retransmission timer, and what is repaired after it
	KIND_PROBE, // the last segment, because nothing was acknowledged for two round trips
};

enum direction {
	SENT,
	RECEIVED,
};

#define TCPHDR_SYN 0x02
#define TCP_CA_RECOVERY 3
#define TCP_CA_LOSS 4

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct tcp_skb_cb {
	u16 tcp_gso_segs;
};

#pragma clang attribute pop

COUNTS(retrans, u32, 1)

// Resets of each CPU, by direction.
struct totals {
	u64 counts[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct totals);
} resets SEC(".maps");

// A field of bits has no offset of its own: CO-RE tells the byte that it is in, and how to shift that.
static __always_inline u8 congestion_state(struct tcp_sock *tcp)
{
	struct inet_connection_sock *connection = &tcp->inet_conn;
	u64 state = *((u8 *)connection + __builtin_preserve_field_info(connection->icsk_ca_state, 0));

	state <<= __builtin_preserve_field_info(connection->icsk_ca_state, 4);
	return state >> __builtin_preserve_field_info(connection->icsk_ca_state, 5);
}

static __always_inline u32 kind_of(const struct sock *socket)
{
	struct tcp_sock *tcp;

	if (socket->__sk_common.skc_state == TCP_SYN_SENT)
		return KIND_SYN;
	tcp = bpf_skc_to_tcp_sock(socket);
	switch (tcp ? congestion_state(tcp) : 0) {
	case TCP_CA_LOSS:
		return KIND_TIMEOUT;
	case TCP_CA_RECOVERY:
		return KIND_FAST;
	default:
		return KIND_PROBE;
	}
}

TP_BTF(tcp_retransmit_skb, const struct sock *socket, struct sk_buff *packet)
{
	u32 kind = kind_of(socket);
	u16 segments = ((struct tcp_skb_cb *)packet->cb)->tcp_gso_segs;

	retrans_add(&kind, 0, segments ? segments : 1);
	return 0;
}

TP_BTF(tcp_retransmit_synack)
{
	u32 kind = KIND_SYNACK;

	retrans_add(&kind, 0, 1);
	return 0;
}

static __always_inline int count_reset(enum direction direction)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct totals *own = bpf_map_lookup_elem(&resets, &cpu);

	if (own)
		__sync_fetch_and_add(&own->counts[direction], 1);
	return 0;
}

TP_BTF(tcp_send_reset) { return count_reset(SENT); }
TP_BTF(tcp_receive_reset) { return count_reset(RECEIVED); }

char LICENSE[] SEC("license") = "GPL";
