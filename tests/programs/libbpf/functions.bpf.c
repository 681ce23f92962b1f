/* Kernel functions: several of one name, and many by a pattern, which needs CONFIG_FPROBE. */
#include "counts.h"

COUNTS(functions)

SEC("kprobe/name_show") int on_several(void *ctx) { return 0; }
SEC("kprobe.multi/__x64_sys_getpgi*") int on_pattern(void *ctx)
{
	if (is_doer())
		add(0, 1);
	return 0;
}
SEC("fentry/__x64_sys_getpgid") int on_entry(void *ctx)
{
	if (is_doer())
		add(1, 1);
	return 0;
}
SEC("kprobe/__x64_sys_getpgid") int on_kprobe(void *ctx)
{
	if (is_doer())
		add(2, 1);
	return 0;
}
