/* libbpf's own header for the arguments of USDT probes: weak hidden functions that take pointers. */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#define __TARGET_ARCH_x86
#define bool _Bool
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>
#include "counts.h"

COUNTS(usdt_args)

SEC("usdt/DOER:ebhostdo:plain") int BPF_USDT(on_plain, long number, int less, long constant)
{
	if (!is_doer())
		return 0;
	add(0, 1);
	add(1, number);
	add(2, -less);
	add(3, -constant);
	add(4, bpf_usdt_arg_cnt(ctx));
	return 0;
}
