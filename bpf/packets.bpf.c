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

// The service's port: the well-known one of the two.
static __always_inline u16 service_port(const u8 *transport)
{
	u16 ports[2] = {}, port;

	if (bpf_probe_read_kernel(ports, sizeof(ports), transport))
		return 0;
	port = host_order(ports[0]) < host_order(ports[1]) ? host_order(ports[0]) : host_order(ports[1]);
	return port < targ_ports_below ? port : 0;
}

static __always_inline void parse(struct flow *flow, u16 protocol, const u8 *ip)
{
	u8 header[20] = {};
	u32 length;

	if (protocol == ETH_P_IP) {
		if (bpf_probe_read_kernel(header, 20, ip))
			return;
		flow->protocol = header[9];
		length = (header[0] & 15) * 4;
		// Later fragments have no ports.
		if (((header[6] << 8 | header[7]) & IP_OFFSET_MASK) != 0)
			return;
	} else if (protocol == ETH_P_IPV6) {
		if (bpf_probe_read_kernel(header, 8, ip))
			return;
		flow->protocol = header[6];
		length = 40;
	} else {
		return;
	}
	if (flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP)
		flow->port = service_port(ip + length);
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
