/* The other one. */
#include "counts.h"

COUNTS(linked)

__attribute__((noinline)) int amount(int of) { return of * 2; }

SEC("raw_tp/sys_enter") int on_enter_too(u64 *ctx)
{
	if (ctx[1] == GETPPID && is_doer())
		add(1, 1);
	return 0;
}
