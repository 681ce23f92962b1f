/* The kernel's version with its patch level, which distributions hide, and a weak value that no kernel has. */
#include "counts.h"

COUNTS(versions)

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern int CONFIG_NO_SUCH_THING __kconfig __weak;

SEC("raw_tp/sys_enter") int on_enter(u64 *ctx)
{
	if (ctx[1] != GETPPID || !is_doer())
		return 0;
	add(0, 1);
	add(1, LINUX_KERNEL_VERSION);
	add(2, CONFIG_BPF_SYSCALL);
	add(3, CONFIG_NO_SUCH_THING);
	return 0;
}
