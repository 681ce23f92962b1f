/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Arguments of programs on kprobes, for kernels in which programs cannot run at the entry and the exit of a function (fentry, fexit): arm64
 * before Linux 6.0, and kernels that were built without it. A program at a function's return (kretprobe) sees no arguments.
 *
 * The verifier does not know the types of these arguments: their fields are read with READ.
 */
#ifndef EBHOST_PROBE_H
#define EBHOST_PROBE_H

#include "bpf.h"

static long (*const probe_read)(void *to, u32 size, const void *from) = (void *)113; /* bpf_probe_read_kernel */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs___x86_arguments {
	u64 di;
	u64 si;
};

struct pt_regs___arm64_arguments {
	u64 regs[31];
};

#pragma clang attribute pop

/*
 * Argument number `n` of the function at whose entry a program runs. Without the barrier clang selects the address of the field first, and the
 * verifier refuses a context pointer with a variable offset.
 */
#define PROBE_ARGUMENT(registers, x86_name, n)                                                               \
	({                                                                                                   \
		struct pt_regs___x86_arguments *x86_ = registers;                                            \
		struct pt_regs___arm64_arguments *arm_ = (void *)x86_;                                       \
		u64 argument_;                                                                               \
		if (bpf_core_field_exists(x86_->x86_name)) {                                                 \
			argument_ = x86_->x86_name;                                                          \
			barrier_var(argument_);                                                              \
		} else {                                                                                     \
			argument_ = arm_->regs[n];                                                           \
		}                                                                                            \
		(void *)argument_;                                                                           \
	})

static __always_inline void *first_argument(void *registers)
{
	return PROBE_ARGUMENT(registers, di, 0);
}

static __always_inline void *second_argument(void *registers)
{
	return PROBE_ARGUMENT(registers, si, 1);
}

/* Reads a field of a struct of the kernel; 0 if it cannot be read. */
#define READ(field)                                                                                          \
	({                                                                                                   \
		typeof(field) read_value = 0;                                                                \
		probe_read(&read_value, sizeof(read_value), &(field));                                       \
		read_value;                                                                                  \
	})

#endif
