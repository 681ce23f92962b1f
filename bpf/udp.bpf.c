// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Datagrams that arrived and did not fit into the receive buffer of their socket, by local port.
#include "ebhost/counts.h"
#include "ebhost/program.h"
#include "sock.h"

#define ENOMEM 12

// plugin.yaml knows the numbers.
enum reason {
	REASON_BUFFER, // the socket's receive buffer is full
	REASON_MEMORY, // the memory that all UDP sockets may have is used up
};

struct dropped {
	u16 port; // 0: a port that the kernel gives to clients
	u16 reason;
};

// Ports from here on are chosen by the kernel: a label for each would be a series for each client socket.
const volatile u32 targ_ephemeral = 32768;

COUNTS(drops, struct dropped, 1)

TP_BTF(udp_fail_queue_rcv_skb, u64 error, const struct sock *socket)
{
	u16 port = socket->__sk_common.skc_num;
	struct dropped dropped = {
		.port = port < targ_ephemeral ? port : 0,
		.reason = (int)error == -ENOMEM ? REASON_BUFFER : REASON_MEMORY,
	};

	drops_add_alone(&dropped, 0, 1); // softirqs are disabled, and no interrupt receives a datagram
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
