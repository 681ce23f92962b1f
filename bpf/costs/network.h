/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The jobs of the packages about the network. */
#ifndef EBHOST_COSTS_NETWORK_H
#define EBHOST_COSTS_NETWORK_H

#include "../ebhost/counts.h"
#include "../sock.h"
#include "hash.h"

EMPTY(inet_sock_set_state)
EMPTY(tcp_retransmit_skb)
EMPTY(tcp_send_reset)
EMPTY(tcp_receive_reset)
EMPTY(tcp_probe)
EMPTY(kfree_skb)
EMPTY(udp_fail_queue_rcv_skb)
EMPTY(net_dev_start_xmit)
EMPTY(netif_receive_skb)

AT(inet_sock_set_state, tcpconnect_inet_sock_set_state)
{
	struct sock *socket = (void *)args[0];
	u32 from = args[1], to = args[2];
	struct bucket key = { .kind = 1 }, opened = { .kind = 2 };
	struct tcp_sock *tcp;
	u64 ns;

	if (socket->sk_protocol != IPPROTO_TCP || (from != TCP_SYN_SENT && from != TCP_SYN_RECV && to != TCP_SYN_SENT))
		return 0;
	key.owner = opened.owner = (u64)(from == TCP_SYN_RECV) << 8 | ip_family_of(socket);
	if (to == TCP_SYN_SENT) {
		start((u64)socket, 0);
		return add(&opened, 1);
	}
	if (from == TCP_SYN_SENT) {
		ns = taken((u64)socket, 0);
		if (to == TCP_CLOSE) {
			opened.kind = 30;
			opened.slot = socket->sk_err;
			return add(&opened, 1);
		}
		return to == TCP_ESTABLISHED && ns ? observe(&key, ns) : 0;
	}
	tcp = bpf_skc_to_tcp_sock(socket);
	if (to != TCP_ESTABLISHED || !tcp)
		return 0;
	add(&opened, 1);
	return observe(&key, (u64)(tcp->srtt_us >> 3) * 1000);
}

AT(inet_sock_set_state, tcplife_inet_sock_set_state)
{
	struct sock *socket = (void *)args[0];
	struct bucket key = { .owner = ip_family_of(socket), .kind = 3 };
	struct tcp_sock *tcp;
	u64 since, ns;

	if (socket->sk_protocol != IPPROTO_TCP)
		return 0;
	if ((u32)args[2] == TCP_ESTABLISHED) /* with its direction in the lowest bit */
		keep((u64)socket, 0, (bpf_ktime_get_ns() & ~1ull) | ((u32)args[1] == TCP_SYN_RECV));
	if ((u32)args[2] != TCP_CLOSE)
		return 0;
	since = kept((u64)socket, 0);
	tcp = bpf_skc_to_tcp_sock(socket);
	if (!since || !tcp)
		return 0;
	ns = bpf_ktime_get_ns() - since;
	key.owner |= (since & 1) << 8;
	observe_in(&key, power_of_two(ns / 1000000, 0, 30), ns / 1000000);
	key.kind = 4;
	observe_in(&key, power_of_two(tcp->bytes_sent, 6, 36), tcp->bytes_sent - tcp->bytes_retrans);
	key.kind = 5;
	return observe_in(&key, power_of_two(tcp->bytes_received, 6, 36), tcp->bytes_received);
}

static __always_inline int count_event(u32 kind, u64 owner, u64 amount)
{
	struct bucket key = { .owner = owner, .kind = kind };

	return add(&key, amount);
}

AT(tcp_retransmit_skb, tcploss_tcp_retransmit_skb)
{
	struct sock *socket = (void *)args[0];
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(socket);

	return count_event(6, socket->__sk_common.skc_state == TCP_SYN_SENT ? 0 : tcp ? tcp->inet_conn.icsk_ca_state : 0, 1);
}

AT(tcp_send_reset, tcploss_tcp_send_reset) { return count_event(7, 0, 1); }
AT(tcp_receive_reset, tcploss_tcp_receive_reset) { return count_event(7, 1, 1); }

AT(tcp_probe, tcprtt_tcp_probe)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock((void *)args[0]);
	struct bucket key = { .owner = ip_family_of((void *)args[0]), .kind = 8 };

	return tcp && tcp->srtt_us ? observe(&key, (u64)(tcp->srtt_us >> 3) * 1000) : 0;
}

AT(kfree_skb, drops_kfree_skb) { return count_event(9, args[2], 1); }

AT(udp_fail_queue_rcv_skb, udp_udp_fail_queue_rcv_skb)
{
	return count_event(10, (u64)((struct sock *)args[1])->__sk_common.skc_num << 32 | (u32)args[0], 1);
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net_device {
	int ifindex;
};

struct skb_shared_info {
	u16 gso_segs;
};

struct sk_buff___packet {
	u32 len;
	u16 protocol;
	u16 network_header;
	u32 end;
	u8 *head;
	u8 *data;
	struct net_device *dev;
};

#pragma clang attribute pop

/* Packets and bytes by interface, direction, protocol and the smaller port. */
static __always_inline int count_packet(struct sk_buff___packet *packet, u32 interface, u32 direction, const u8 *ip)
{
	u8 header[20] = {};
	u16 ports[2] = {}, segments = 0;
	struct bucket key = { .owner = interface, .kind = 11 + direction };

	if (packet->protocol == __builtin_bswap16(0x0800)) {
		probe_read_kernel(header, sizeof(header), ip);
		probe_read_kernel(ports, sizeof(ports), ip + (header[0] & 15) * 4);
		key.owner |= (u64)header[9] << 32;
		key.slot = __builtin_bswap16(ports[0] < ports[1] ? ports[0] : ports[1]);
		if (key.slot >= 1024)
			key.slot = 0;
	}
	probe_read_kernel(&segments, sizeof(segments), &((struct skb_shared_info *)(packet->head + packet->end))->gso_segs);
	add(&key, segments ? segments : 1);
	key.kind += 2;
	return add(&key, packet->len - (u32)(ip - packet->data));
}

AT(net_dev_start_xmit, packets_net_dev_start_xmit)
{
	struct sk_buff___packet *packet = (void *)args[0];

	return count_packet(packet, ((struct net_device *)args[1])->ifindex, 0, packet->head + packet->network_header);
}

AT(netif_receive_skb, packets_netif_receive_skb)
{
	struct sk_buff___packet *packet = (void *)args[0];

	return count_packet(packet, packet->dev->ifindex, 1, packet->data);
}

struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
};

static long (*const skb_load_bytes)(const void *skb, u32 offset, void *to, u32 length) = (void *)26;
static u64 (*const get_socket_cookie)(void *skb) = (void *)46;

SEC("cgroup_skb/egress") int empty_query(struct __sk_buff *packet) { return 1; }
SEC("cgroup_skb/ingress") int empty_response(struct __sk_buff *packet) { return 1; }

/* The DNS message of an IPv4 packet: its first four bytes; false: it is none. */
static __always_inline bool dns_message(struct __sk_buff *packet, u32 port, u8 *message)
{
	u8 header[20], ports[4];

	if (packet->protocol != __builtin_bswap16(0x0800) || skb_load_bytes(packet, 0, header, sizeof(header)) || header[9] != 17)
		return false;
	if (skb_load_bytes(packet, 20, ports, sizeof(ports)) || ports[2 * port] || ports[2 * port + 1] != 53)
		return false;
	return !skb_load_bytes(packet, 28, message, 4);
}

SEC("cgroup_skb/egress") int dns_query(struct __sk_buff *packet)
{
	u8 message[4];

	if (dns_message(packet, 1, message) && !(message[2] & 0x80))
		start(get_socket_cookie(packet) << 16 | message[0] << 8 | message[1], 10);
	return 1;
}

SEC("cgroup_skb/ingress") int dns_response(struct __sk_buff *packet)
{
	struct bucket key = { .kind = 20 };
	u8 message[4], length, type[2];
	u32 offset = 40;
	u64 ns;

	if (!dns_message(packet, 0, message) || !(message[2] & 0x80))
		return 1;
	ns = taken(get_socket_cookie(packet) << 16 | message[0] << 8 | message[1], 10);
	for (u32 i = 0; i <= 16; i++) {
		if (skb_load_bytes(packet, offset, &length, 1))
			break;
		offset += 1 + (length & 63);
		if (!length) {
			skb_load_bytes(packet, offset, type, 2);
			key.owner = type[1];
			break;
		}
	}
	if (ns)
		observe(&key, ns);
	return 1;
}

#endif
