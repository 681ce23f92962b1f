/* Code in which compilers differ: constants, zeroed and initialised variables, a subprogram, a field by CO-RE, a loop. */
#include "counts.h"

COUNTS(built)

#ifdef __clang__
const volatile u32 step = 3;
#else
/* gcc 12 adds a variable's place twice, for libbpf too: only the first one of a section can be used. */
#define step 3
#endif
volatile u64 seen;
volatile u64 begun = 5;

struct task_struct { int tgid; } __relocated;

static __attribute__((noinline)) u64 steps(u32 times)
{
	u64 sum = 0;

	for (u32 i = 0; i < 8; i++)
		if (i < times)
			sum += step;
	return sum;
}

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task();
	int tgid = 0;

	if (ctx[1] != GETPPID || !is_doer())
		return 0;
#ifdef __clang__
	bpf_probe_read_kernel(&tgid, sizeof(tgid), &task->tgid);
#else
	/* CO-RE records of gcc 12 are at instructions that libbpf cannot adapt either. */
	tgid = bpf_get_current_pid_tgid() >> 32;
#endif
	seen += 1;
	add(0, 1);
	add(1, steps(4));
	add(2, begun);
	add(3, seen != 0);
	add(4, tgid == bpf_get_current_pid_tgid() >> 32);
	return 0;
}
