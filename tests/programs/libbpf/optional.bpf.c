/* A program that is loaded only if somebody asks for it. */
#include "counts.h"

COUNTS(optional)

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	if (ctx[1] == GETPPID && is_doer())
		add(0, 1);
	return 0;
}

SEC("?raw_tp/sys_enter") int on_demand(u64 *ctx)
{
	if (ctx[1] == GETPPID && is_doer())
		add(1, 1);
	return 0;
}

SEC("?nonsense/x") int in_an_unknown_section(u64 *ctx) { return 0; }
