/* A value that the program sets: it falls as well as it grows. */
#include "counts.h"

COUNTS(set_values)

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	u32 slot = 0;
	u64 *value = bpf_map_lookup_elem(&set_values, &slot);

	if (!value || !is_doer())
		return 0;
	if (ctx[1] == GETPPID)
		*value = 100;
	if (ctx[1] == GETPGID)
		*value = 40;
	return 0;
}
