// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How long the name servers took to answer the DNS queries that this machine's sockets sent over UDP.
#include "ebhost/durations.h"

// The context of a program on packets. The kernel rewrites the accesses.
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
};

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPPROTO_UDP 17
#define DNS_PORT 53
#define UDP_BYTES 8
#define DNS_BYTES 12
#define QUERY_OR_RESPONSE 0x80
#define RCODE 0x0f

#define LRU_HASH 9
// Labels of a name that are passed over to reach its type: names have two to five.
#define LABELS 16

#define PASS 1

static long (*const bpf_skb_load_bytes)(const void *skb, u32 offset, void *to, u32 length) = (void *)26;
static u64 (*const bpf_get_socket_cookie)(void *skb) = (void *)46;

struct query {
	u64 socket;
	u32 id;
	u32 unused;
};

struct answer {
	u16 type; // 0: none of those that have names
	u16 rcode;
};

// Queries without an answer yet. One that never comes has its entry until others need it.
struct {
	__uint(type, LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct query);
	__type(value, u64);
} asked SEC(".maps");

DURATIONS(answers, struct answer)

static __always_inline u32 from_network(const u8 *bytes)
{
	return bytes[0] << 8 | bytes[1];
}

// Where the UDP header begins; 0: it is no UDP, or a later fragment.
static __always_inline u32 udp_offset(struct __sk_buff *packet)
{
	u8 header[10] = {};

	if (packet->protocol == __builtin_bswap16(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(packet, 6, header, 1) || header[0] != IPPROTO_UDP)
			return 0;
		return 40;
	}
	if (packet->protocol != __builtin_bswap16(ETH_P_IP) || bpf_skb_load_bytes(packet, 0, header, 10))
		return 0;
	if (header[9] != IPPROTO_UDP || (from_network(&header[6]) & 0x1fff))
		return 0;
	return (header[0] & 15) * 4;
}

// The offset of the DNS message if one of the ports, the first or the second, is that of DNS; 0: it is not.
static __always_inline u32 dns_offset(struct __sk_buff *packet, u32 port)
{
	u32 udp = udp_offset(packet);
	u8 ports[4];

	if (!udp || bpf_skb_load_bytes(packet, udp, ports, 4) || from_network(&ports[2 * port]) != DNS_PORT)
		return 0;
	return udp + UDP_BYTES;
}

static __always_inline u16 known_type(u32 type)
{
	switch (type) {
	case 1: // A
	case 2: // NS
	case 5: // CNAME
	case 6: // SOA
	case 12: // PTR
	case 15: // MX
	case 16: // TXT
	case 28: // AAAA
	case 33: // SRV
	case 65: // HTTPS
		return type;
	default:
		return 0;
	}
}

// The type that was asked for, behind the name.
static __always_inline u16 type_of(struct __sk_buff *packet, u32 offset)
{
	u8 length, type[2];

	for (u32 i = 0; i <= LABELS; i++) {
		if (bpf_skb_load_bytes(packet, offset, &length, 1))
			return 0;
		offset += 1 + (length & 63);
		if (!length)
			return bpf_skb_load_bytes(packet, offset, type, 2) ? 0 : known_type(from_network(type));
	}
	return 0;
}

SEC("cgroup_skb/egress") int query(struct __sk_buff *packet)
{
	u32 dns = dns_offset(packet, 1);
	struct query query = {};
	u8 header[4];
	u64 now;

	if (!dns || bpf_skb_load_bytes(packet, dns, header, 4) || header[2] & QUERY_OR_RESPONSE)
		return PASS;
	query.socket = bpf_get_socket_cookie(packet);
	query.id = from_network(header);
	now = bpf_ktime_get_ns();
	bpf_map_update_elem(&asked, &query, &now, BPF_ANY);
	return PASS;
}

SEC("cgroup_skb/ingress") int response(struct __sk_buff *packet)
{
	u32 dns = dns_offset(packet, 0);
	struct query query = {};
	struct answer answer = {};
	u64 *since;
	u8 header[4];

	if (!dns || bpf_skb_load_bytes(packet, dns, header, 4) || !(header[2] & QUERY_OR_RESPONSE))
		return PASS;
	query.socket = bpf_get_socket_cookie(packet);
	query.id = from_network(header);
	since = bpf_map_lookup_elem(&asked, &query);
	if (!since)
		return PASS;
	answer.rcode = header[3] & RCODE;
	answer.type = type_of(packet, dns + DNS_BYTES);
	answers_time(&answer, bpf_ktime_get_ns() - *since);
	bpf_map_delete_elem(&asked, &query);
	return PASS;
}

char LICENSE[] SEC("license") = "GPL";
