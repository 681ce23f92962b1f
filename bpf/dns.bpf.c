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

// Labels of a name that are passed over to reach its type: names have two to five.
#define LABELS 16

#define PASS 1

static long (*const bpf_skb_load_bytes)(const void *skb, u32 offset, void *to, u32 length) = (void *)26;
static u64 (*const bpf_get_socket_cookie)(void *skb) = (void *)46;

struct answer {
	u16 type; // 0: none of those that have names
	u16 rcode;
};

// Queries without an answer yet: a hash table of sets, each a cache line. A query takes a place of its set that is free, or that of the query that waits
// longest, whose answer is not counted then: with a thousand queries that wait at once, one in 8 000.
#define PLACES 4
#define SETS 4096 // a power of two

struct waiting {
	u64 socket; // its cookie
	u64 stamp; // see stamp_of; 0: the place is free
};

struct set {
	struct waiting places[PLACES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SETS);
	__type(key, u32);
	__type(value, struct set);
} asked SEC(".maps");


DURATIONS(answers, struct answer)

static __always_inline u32 from_network(const u8 *bytes)
{
	return bytes[0] << 8 | bytes[1];
}

// The beginning of a packet, of which most need no further look: an IPv4 header without options, or the part behind the IPv6 header.
struct start {
	u8 ip[20];
	u8 udp[UDP_BYTES];
	u8 dns[4];
};

// Where the UDP header begins; 0: it is no UDP, or a later fragment.
static __always_inline u32 udp_offset(struct __sk_buff *packet, struct start *start)
{
	if (packet->protocol == __builtin_bswap16(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(packet, 0, start->ip, sizeof(start->ip)) || start->ip[6] != IPPROTO_UDP)
			return 0;
		return 40;
	}
	if (packet->protocol != __builtin_bswap16(ETH_P_IP) || bpf_skb_load_bytes(packet, 0, start, sizeof(*start)))
		return 0;
	if (start->ip[9] != IPPROTO_UDP || (from_network(&start->ip[6]) & 0x1fff))
		return 0;
	return (start->ip[0] & 15) * 4;
}

// The offset of the DNS message, whose first bytes are in `start` then, if one of the ports, the first or the second, is that of DNS; 0: it is not.
static __always_inline u32 dns_offset(struct __sk_buff *packet, u32 port, struct start *start)
{
	u32 udp = udp_offset(packet, start);

	if (!udp || (udp != 20 && bpf_skb_load_bytes(packet, udp, start->udp, UDP_BYTES + 4)))
		return 0;
	return from_network(&start->udp[2 * port]) == DNS_PORT ? udp + UDP_BYTES : 0;
}

// The message's id in the upper 16 bits, and the time in units of 16 ns: unique for 52 days.
#define TIME_SHIFT 4
#define TIME_MASK ((1ull << 48) - 1)

static __always_inline u64 stamp_of(u32 id, u64 now)
{
	return (u64)id << 48 | (now >> TIME_SHIFT & TIME_MASK);
}

static __always_inline struct set *set_of(u64 socket, u32 id)
{
	u32 index = (socket * 0x9e3779b97f4a7c15ull + id * 0xd1b54a32d192ed03ull) >> 32 & (SETS - 1);

	return bpf_map_lookup_elem(&asked, &index);
}

static __always_inline void remember(u64 socket, u32 id, u64 now)
{
	struct set *set = set_of(socket, id);
	struct waiting *taken;
	u64 oldest = 0;

	if (!set)
		return;
	taken = &set->places[0];
#pragma unroll
	for (u32 i = 0; i < PLACES; i++) {
		u64 stamp = READ_ONCE(set->places[i].stamp);
		u64 age = stamp ? (now >> TIME_SHIFT) - stamp & TIME_MASK : ~0ull;

		if (age > oldest) {
			oldest = age;
			taken = &set->places[i];
		}
	}
	WRITE_ONCE(taken->socket, socket);
	WRITE_ONCE(taken->stamp, stamp_of(id, now));
}

// How long the query that is answered now has waited; 0: it is not known.
static __always_inline u64 waited(u64 socket, u32 id, u64 now)
{
	struct set *set = set_of(socket, id);

	if (!set)
		return 0;
#pragma unroll
	for (u32 i = 0; i < PLACES; i++) {
		struct waiting *place = &set->places[i];
		u64 stamp = READ_ONCE(place->stamp);

		if (!stamp || stamp >> 48 != id || READ_ONCE(place->socket) != socket)
			continue;
		WRITE_ONCE(place->stamp, 0);
		return ((now >> TIME_SHIFT) - stamp & TIME_MASK) << TIME_SHIFT | 1;
	}
	return 0;
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
	struct start start = {};
	u32 dns = dns_offset(packet, 1, &start);

	if (dns && !(start.dns[2] & QUERY_OR_RESPONSE))
		remember(bpf_get_socket_cookie(packet), from_network(start.dns), bpf_ktime_get_ns());
	return PASS;
}

SEC("cgroup_skb/ingress") int response(struct __sk_buff *packet)
{
	struct start start = {};
	u32 dns = dns_offset(packet, 0, &start);
	struct answer answer = {};
	u64 ns;

	if (!dns || !(start.dns[2] & QUERY_OR_RESPONSE))
		return PASS;
	ns = waited(bpf_get_socket_cookie(packet), from_network(start.dns), bpf_ktime_get_ns());
	if (!ns)
		return PASS;
	answer.rcode = start.dns[3] & RCODE;
	answer.type = type_of(packet, dns + DNS_BYTES);
	answers_time(&answer, ns);
	return PASS;
}

char LICENSE[] SEC("license") = "GPL";
