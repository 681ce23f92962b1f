/* How often and for how long TCP connections are being opened, and block requests are in flight: start times by socket and by request. */
#include "ebhost/program.h"
#include "ebhost/requests.h"
#include "ebhost/stamps.h"

STAMPS_BY_SOCKET(opened)
STAMPS_BY_REQUEST(issued)

/* Counts and nanoseconds: of sockets, then of requests. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} taken SEC(".maps");

static __always_inline int count(u32 first, u64 since)
{
	u64 *count = bpf_map_lookup_elem(&taken, &first), *ns;
	u32 second = first + 1;

	ns = bpf_map_lookup_elem(&taken, &second);
	if (!since || !count || !ns)
		return 0;
	__sync_fetch_and_add(count, 1);
	__sync_fetch_and_add(ns, bpf_ktime_get_ns() - since);
	return 0;
}

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2

TP_BTF(inet_sock_set_state, struct sock *sock, u64 before, u64 now)
{
	if ((u32)now == TCP_SYN_SENT)
		opened_set(sock, bpf_ktime_get_ns());
	return (u32)now == TCP_ESTABLISHED ? count(0, opened_take(sock)) : 0;
}

TP_BTF(block_rq_issue, struct request *rq)
{
	issued_set(rq, bpf_ktime_get_ns());
	return 0;
}

TP_BTF(block_rq_complete, struct request *rq)
{
	return count(2, issued_take(rq));
}

char LICENSE[] SEC("license") = "GPL";
