// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Packets that the kernel dropped, by its reason.
#include "ebhost/counts.h"
#include "ebhost/program.h"

// Linux 5.17 and newer say why. CO-RE replaces the number by that of the running kernel.
enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
};

COUNTS(drops, u32, 1)

TP_BTF(kfree_skb)
{
	u32 reason = SKB_DROP_REASON_NOT_SPECIFIED;

	if (bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_NOT_SPECIFIED))
		reason = args[2];
	drops_add(&reason, 0, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
