/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The task that runs while a program does.
 */
#ifndef EBHOST_CURRENT_H
#define EBHOST_CURRENT_H

#include "bpf.h"

struct task_struct;

static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
/* From Linux 5.11 on. The verifier knows its type, so it can own a stamp. */
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

/* Its thread id. */
static __always_inline u32 current_thread(void)
{
	return bpf_get_current_pid_tgid();
}

#endif
