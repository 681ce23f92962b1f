/* Functions and types of a module. */
#include "counts.h"

COUNTS(module_types)

struct nullb { unsigned int index; } __relocated;
struct nullb_no_such { int x; } __relocated;

SEC("fentry/null_blk:null_queue_rq") int on_entry(u64 *ctx) { add(0, 1); return 0; }
SEC("fexit/null_queue_rq") int on_exit(u64 *ctx)
{
	add(1, 1);
	add(2, __builtin_preserve_type_info(*(struct nullb *)0, 0));
	add(3, __builtin_preserve_field_info(((struct nullb *)0)->index, 2));
	add(4, __builtin_preserve_type_info(*(struct nullb_no_such *)0, 0));
	return 0;
}
SEC("kprobe/null_blk:null_queue_rq") int on_kprobe(void *ctx) { add(5, 1); return 0; }
