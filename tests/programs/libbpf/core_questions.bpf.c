/* Questions to the kernel's types: whether a type matches or exists, sizes of types that it lacks, fields behind a check. */
#include "counts.h"

COUNTS(core_questions)

#define EXISTS 0
#define MATCHES 2
#define SIZE 1

struct pid___same { unsigned int level; } __relocated;
struct pid___other { char level[99]; } __relocated;
struct no_such_struct { int x; } __relocated;
struct task_struct { int pid; int no_such_field; } __relocated;

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task();

	if (ctx[1] != GETPPID || !is_doer())
		return 0;
	add(0, 1);
	add(1, __builtin_preserve_type_info(*(struct pid___same *)0, MATCHES));
	add(2, __builtin_preserve_type_info(*(struct pid___other *)0, MATCHES));
	add(3, __builtin_preserve_type_info(*(struct no_such_struct *)0, EXISTS));
	/* 0 for a type that the kernel does not have, and no error. */
	add(4, __builtin_preserve_type_info(*(struct no_such_struct *)0, SIZE));
	/* Dead code on a kernel without the field. */
	if (__builtin_preserve_field_info(task->no_such_field, 2)) {
		int value = 1;

		bpf_probe_read_kernel(&value, sizeof(value), &task->no_such_field);
		add(5, value);
	}
	return 0;
}
