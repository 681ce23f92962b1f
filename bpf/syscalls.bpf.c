// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * System calls and their errors, and with targ_seconds how long they took.
 *
 * A call is counted when it begins, so that calls that never return (exit, exit_group) are counted as well; an error and a duration when it
 * returns. A program that is killed inside a call has neither.
 *
 * sigreturn restores the registers of the interrupted code, among them the number of the call, so its return looks like the return of
 * another call. Linux marks it by the number -1, and it is left out.
 */
#include "current.h"
#include "ebhost/counts.h"
#include "ebhost/durations.h"
#include "ebhost/program.h"
#include "ebhost/stamps.h"

char LICENSE[] SEC("license") = "GPL";

/* Time the calls. */
const volatile bool targ_seconds = false;

/* More than any architecture has. Numbers from here on are counted as one call: the two calls of x32 and of mistaken programs. */
#define MAX_CALLS 1024
#define OTHER_CALLS 0xffffffffu

/* The largest errno that a system call returns. */
#define MAX_ERRNO 4095

struct failure {
	u32 call;
	u32 error;
};

COUNTS(calls, u32, 1)
COUNTS(failures, struct failure, 1)
DURATIONS(times, u32)
STAMPS_BY_CURRENT(started)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs___x86 {
	u64 orig_ax;
	u16 cs;
};

struct pt_regs___x86_wide {
	u64 cs;
};

struct pt_regs___arm64 {
	u64 pstate;
	int syscallno;
};

#pragma clang attribute pop

/* The code segment of 32-bit programs on x86, and the bit of the state of 32-bit programs on arm64: their calls have other numbers. */
#define X86_USER32_CS 0x23
#define ARM64_MODE32 0x10

static __always_inline bool is_32_bit(void *regs)
{
	struct pt_regs___x86 *x86 = regs;
	struct pt_regs___arm64 *arm = regs;

	if (bpf_core_field_exists(x86->cs))
		return x86->cs == X86_USER32_CS;
	if (bpf_core_field_exists(arm->pstate))
		return arm->pstate & ARM64_MODE32;
	return false;
}

/* The number of the call that returns. */
static __always_inline s64 number_of(void *regs)
{
	struct pt_regs___x86 *x86 = regs;
	struct pt_regs___arm64 *arm = regs;

	if (bpf_core_field_exists(x86->orig_ax))
		return x86->orig_ax;
	if (bpf_core_field_exists(arm->syscallno))
		return arm->syscallno;
	return -1;
}

/* The key of a call: its number, if it is one of this architecture's own. */
static __always_inline u32 call_of(void *regs, s64 number)
{
	return number >= 0 && number < MAX_CALLS && !is_32_bit(regs) ? number : OTHER_CALLS;
}

TP_BTF(sys_enter, void *regs, s64 number)
{
	u32 call = call_of(regs, number);

	calls_add(&call, 0, 1);
	if (targ_seconds)
		started_begin(bpf_ktime_get_ns());
	return 0;
}

TP_BTF(sys_exit, void *regs, s64 result)
{
	u64 since = targ_seconds ? started_end() : 0;
	struct failure failure;
	s64 number;

	if (!since && result >= 0)
		return 0;
	number = number_of(regs);
	if (number == -1)
		return 0;
	failure.call = call_of(regs, number);
	if (since)
		times_time(&failure.call, bpf_ktime_get_ns() - since);
	if (result < 0 && result >= -MAX_ERRNO) {
		failure.error = -result;
		failures_add(&failure, 0, 1);
	}
	return 0;
}
