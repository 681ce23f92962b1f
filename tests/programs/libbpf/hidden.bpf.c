/* Hidden functions, with and without `weak`, that take pointers: static for the verifier. */
#include "counts.h"

COUNTS(hidden)

struct two { u64 first, second; };

__hidden __attribute__((noinline)) u64 sum(struct two *two) { return two->first + two->second; }
__hidden __weak __attribute__((noinline)) u64 product(struct two *two) { return two->first * two->second; }

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	struct two two = { .first = 3, .second = 4 };

	if (ctx[1] == GETPPID && is_doer()) {
		add(0, sum(&two));
		add(1, product(&two));
	}
	return 0;
}
