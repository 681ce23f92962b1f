// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Smoothed round-trip times of TCP connections, one for each segment that arrives.
#include "ebhost/durations.h"
#include "ebhost/program.h"
#include "sock.h"

DURATIONS(rtts, u32)

TP_BTF(tcp_probe, struct sock *socket)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(socket);
	u32 family = ip_family_of(socket);

	if (tcp && tcp->srtt_us)
		rtts_time(&family, (u64)(tcp->srtt_us >> 3) * 1000);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
