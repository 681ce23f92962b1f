/* Elements of arrays by CO-RE: a tracepoint's arguments, an array of structs at a struct's end, a name's second character. */
#include "counts.h"

COUNTS(core_arrays)

struct trace_event_raw_sys_enter { long id; unsigned long args[6]; } __relocated;
struct upid { int nr; } __relocated;
struct pid { struct upid numbers[1]; } __relocated;
struct task_struct { struct pid *thread_pid; char comm[16]; } __relocated;

SEC("tracepoint/syscalls/sys_enter_connect") int on_connect(struct trace_event_raw_sys_enter *ctx)
{
	if (is_doer()) {
		add(0, 1);
		add(1, ctx->args[2]);
	}
	return 0;
}

SEC("tp/raw_syscalls/sys_enter") int on_enter(struct trace_event_raw_sys_enter *ctx)
{
	struct task_struct *task = bpf_get_current_task();
	struct pid *pid;
	char second = 0;
	int nr = 0;

	if (ctx->id != GETPPID || !is_doer())
		return 0;
	bpf_probe_read_kernel(&pid, sizeof(pid), &task->thread_pid);
	bpf_probe_read_kernel(&nr, sizeof(nr), &pid->numbers[0].nr);
	bpf_probe_read_kernel(&second, sizeof(second), &task->comm[1]);
	add(2, nr == (u32)bpf_get_current_pid_tgid());
	add(3, second == (char)(TARG_NAME >> 8));
	return 0;
}
