/* Sections that libbpf knows and that name no target. */
#include "counts.h"

COUNTS(no_target)

SEC("uprobe") int somewhere(void *ctx) { return 0; }
SEC("uretprobe/readline") int in_no_file(void *ctx) { return 0; }
SEC("perf_event") int on_no_event(void *ctx) { return 0; }
SEC("socket") int on_socket(void *ctx) { return 0; }
SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	if (ctx[1] == GETPPID && is_doer())
		add(0, 1);
	return 0;
}
