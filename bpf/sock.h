/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The kernel types of sockets, reduced to the fields that these programs read. CO-RE relocates their offsets.
 */
#ifndef EBHOST_SOCK_H
#define EBHOST_SOCK_H

#include "bpf.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6

enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	union {
		u32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	u16 skc_family;
	u8 skc_state;
	u16 skc_num; /* local port, in host byte order */
	u64 skc_flags;
	struct in6_addr skc_v6_daddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
	int sk_err;
	u32 sk_ack_backlog; /* connections that wait to be accepted */
	u32 sk_max_ack_backlog;
	struct {
		u32 counter;
	} sk_drops;
};

struct inet_connection_sock {
	u8 icsk_ca_state : 5;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 srtt_us; /* smoothed round-trip time in eighths of a microsecond */
	u64 bytes_sent; /* payload, with what was sent again */
	u64 bytes_retrans; /* payload that was sent again */
	u64 bytes_received; /* payload, and 1 for the peer's FIN */
};

struct sk_buff {
	u8 cb[48];
};

#pragma clang attribute pop

/* From 5.9 on; NULL if it is no TCP socket. */
static struct tcp_sock *(*const bpf_skc_to_tcp_sock)(const void *socket) = (void *)137;

enum ip_family {
	IPV4,
	IPV6,
};

/* The family of its packets: a socket of IPv6 that talks to an IPv4 address has an IPv4-mapped one, ::ffff:a.b.c.d. */
static __always_inline u8 ip_family_of(const struct sock *socket)
{
	const struct in6_addr *to = &socket->__sk_common.skc_v6_daddr;

	if (socket->__sk_common.skc_family != AF_INET6)
		return IPV4;
	if (to->in6_u.u6_addr32[0] || to->in6_u.u6_addr32[1])
		return IPV6;
	return to->in6_u.u6_addr32[2] == __builtin_bswap32(0xffff) ? IPV4 : IPV6;
}

#endif
