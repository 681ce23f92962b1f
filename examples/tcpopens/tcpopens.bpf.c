// Counts TCP connections that come to be: one entry for each side, service port and address of the peer.
#include "bpf.h"

static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;

#define AF_INET 2
#define AF_INET6 10

enum state {
	STATE_ESTABLISHED = 1,
	STATE_SYN_SENT = 2,
	STATE_SYN_RECV = 3,
};

enum side {
	SIDE_CONNECT,
	SIDE_ACCEPT,
};

// The first byte says how the rest is laid out; what a layout does not use is 0. A layout is never changed: another one gets
// another number, so that a component knows what an older program counted.
union key {
	u8 layout;
	struct {
		u8 layout; // 1
		u8 side;
		u16 port;
		u8 address[4];
	} v1; // IPv4
	struct {
		u8 layout; // 2
		u8 side;
		u16 port;
		u8 address[16];
	} v2; // IPv6
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, union key);
	__type(value, u64);
} opens SEC(".maps");

// Connections that `opens` had no room for.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock_common {
	u32 skc_daddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	struct {
		u8 bytes[16];
	} skc_v6_daddr;
};

struct sock {
	struct sock_common __sk_common;
};

#pragma clang attribute pop

static __always_inline void count(const union key *key)
{
	u64 first = 1, *found;
	u32 zero = 0;

	found = bpf_map_lookup_elem(&opens, key);
	if (!found) {
		if (bpf_map_update_elem(&opens, key, &first, BPF_NOEXIST) == 0)
			return;
		found = bpf_map_lookup_elem(&opens, key); // another CPU was first, or the map is full
	}
	if (!found)
		found = bpf_map_lookup_elem(&lost, &zero);
	if (found)
		__sync_fetch_and_add(found, 1);
}

SEC("tp_btf/inet_sock_set_state")
int on_state(u64 *args)
{
	struct sock *sock = (struct sock *)args[0];
	int from = args[1], to = args[2];
	struct sock_common *common = &sock->__sk_common;
	union key key;

	if (to != STATE_ESTABLISHED || (from != STATE_SYN_SENT && from != STATE_SYN_RECV))
		return 0;
	__builtin_memset(&key, 0, sizeof(key));
	// The service's port: the one that was connected to, or that is listened on.
	u8 side = from == STATE_SYN_SENT ? SIDE_CONNECT : SIDE_ACCEPT;
	u16 port = side == SIDE_CONNECT ? __builtin_bswap16(common->skc_dport) : common->skc_num;

	if (common->skc_family == AF_INET) {
		key.v1.layout = 1;
		key.v1.side = side;
		key.v1.port = port;
		bpf_probe_read_kernel(key.v1.address, sizeof(key.v1.address), &common->skc_daddr);
		count(&key);
	} else if (common->skc_family == AF_INET6) {
		key.v2.layout = 2;
		key.v2.side = side;
		key.v2.port = port;
		bpf_probe_read_kernel(key.v2.address, sizeof(key.v2.address), &common->skc_v6_daddr);
		count(&key);
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
