/* Kernel functions under names of their own for each declaration: the one that this kernel has is called, the other one is weak. */
#include "counts.h"

COUNTS(kernel_functions)

extern void bpf_rcu_read_lock___plain(void) __ksym __weak;
extern void bpf_rcu_read_unlock___plain(void) __ksym __weak;
extern void *bpf_rcu_read_lock___other(u64 number, u64 more) __ksym __weak;

SEC("tp_btf/sys_enter") int on_enter(u64 *ctx)
{
	if (ctx[1] != GETPPID || !is_doer())
		return 0;
	if (bpf_rcu_read_lock___other)
		add(1, 1);
	if (bpf_rcu_read_lock___plain && bpf_rcu_read_unlock___plain) {
		bpf_rcu_read_lock___plain();
		add(0, 1);
		bpf_rcu_read_unlock___plain();
	}
	return 0;
}
