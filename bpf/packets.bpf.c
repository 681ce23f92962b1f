// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// IP packets and their bytes by interface, direction, protocol and well-known port.
#include "ebhost/counts.h"
#include "ebhost/program.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IP_OFFSET_MASK 0x1fff

// plugin.yaml knows the numbers.
enum direction {
	TRANSMIT,
	RECEIVE,
};

struct flow {
	u32 interface;
	u16 port; // 0: none, or one that has no series of its own
	u8 direction;
	u8 protocol; // 0: no IP
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net_device {
	int ifindex;
};

struct skb_shared_info {
	u16 gso_segs;
};

struct sk_buff {
	u32 len;
	u16 protocol; // in network byte order
	u16 network_header;
	u32 end;
	u8 *head;
	u8 *data;
	struct net_device *dev;
};

#pragma clang attribute pop

static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;

// Ports below have series of their own: the services that they belong to are few.
const volatile u32 targ_ports_below = 1024;

// Packets and bytes.
COUNTS(flows, struct flow, 2)

static __always_inline u16 host_order(u16 number)
{
	return __builtin_bswap16(number);
}

#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define PORTS_BYTES 4

// The service's port: the well-known one of the two. `ports` are in network byte order.
static __always_inline u16 service_port(const u8 *ports)
{
	u16 source = ports[0] << 8 | ports[1], destination = ports[2] << 8 | ports[3];
	u16 port = source < destination ? source : destination;

	return port < targ_ports_below ? port : 0;
}

static __always_inline bool has_ports(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

// One read has the header and the ports that follow it, unless there are options between them.
static __always_inline void parse_ipv4(struct flow *flow, const u8 *ip)
{
	u8 header[IPV4_BYTES + PORTS_BYTES] = {};
	u32 length;

	if (bpf_probe_read_kernel(header, sizeof(header), ip))
		return;
	flow->protocol = header[9];
	length = (header[0] & 15) * 4;
	// Later fragments have no ports.
	if (!has_ports(flow->protocol) || ((header[6] << 8 | header[7]) & IP_OFFSET_MASK) != 0)
		return;
	if (length != IPV4_BYTES && bpf_probe_read_kernel(&header[IPV4_BYTES], PORTS_BYTES, ip + length))
		return;
	flow->port = service_port(&header[IPV4_BYTES]);
}

static __always_inline void parse_ipv6(struct flow *flow, const u8 *ip)
{
	u8 header[IPV6_BYTES + PORTS_BYTES] = {};

	if (bpf_probe_read_kernel(header, sizeof(header), ip))
		return;
	flow->protocol = header[6];
	if (has_ports(flow->protocol))
		flow->port = service_port(&header[IPV6_BYTES]);
}

static __always_inline void parse(struct flow *flow, u16 protocol, const u8 *ip)
{
	if (protocol == ETH_P_IP)
		parse_ipv4(flow, ip);
	else if (protocol == ETH_P_IPV6)
		parse_ipv6(flow, ip);
}

// A packet with many segments is that many packets on the wire.
static __always_inline u32 segments(const struct sk_buff *packet)
{
	struct skb_shared_info *shared = (void *)packet->head + packet->end;
	u16 count = 0;

	bpf_probe_read_kernel(&count, sizeof(count), &shared->gso_segs);
	return count ? count : 1;
}

static __always_inline int count(const struct sk_buff *packet, u32 interface, u8 direction, const u8 *ip)
{
	struct flow flow = { .interface = interface, .direction = direction };
	u64 *values;

	parse(&flow, host_order(packet->protocol), ip);
	values = flows_values(&flow, NULL);
	if (!values)
		return 0;
	__sync_fetch_and_add(&values[0], segments(packet));
	// Without the header of the link.
	__sync_fetch_and_add(&values[1], packet->len - (u32)(ip - packet->data));
	return 0;
}

TP_BTF(net_dev_start_xmit, struct sk_buff *packet, struct net_device *device)
{
	return count(packet, device->ifindex, TRANSMIT, packet->head + packet->network_header);
}

// The network header is not set yet, and `data` is where it begins.
TP_BTF(netif_receive_skb, struct sk_buff *packet)
{
	return count(packet, packet->dev->ifindex, RECEIVE, packet->data);
}

char LICENSE[] SEC("license") = "GPL";
