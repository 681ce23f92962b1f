/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Arguments of programs by name and type:
 *
 *	TP_BTF(sched_wakeup, struct task_struct *task)
 *	{
 *		…
 *		return 0;
 *	}
 *
 * is a program of that name on the tracepoint sched_wakeup. RAW_TP is the same for a raw tracepoint, whose pointers have to be read with
 * bpf_probe_read_kernel. Up to six arguments; later ones may be left out. `args` are all of them, as numbers.
 */
#ifndef EBHOST_PROGRAM_H
#define EBHOST_PROGRAM_H

#include "../bpf.h"

#define PROGRAM_NTH(_0, _1, _2, _3, _4, _5, _6, nth, ...) nth
#define PROGRAM_COUNT(...) PROGRAM_NTH(_, ##__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)
#define PROGRAM_ARGS0() args
#define PROGRAM_ARGS1(a) args, (void *)args[0]
#define PROGRAM_ARGS2(a, ...) PROGRAM_ARGS1(a), (void *)args[1]
#define PROGRAM_ARGS3(a, b, ...) PROGRAM_ARGS2(a, b), (void *)args[2]
#define PROGRAM_ARGS4(a, b, c, ...) PROGRAM_ARGS3(a, b, c), (void *)args[3]
#define PROGRAM_ARGS5(a, b, c, d, ...) PROGRAM_ARGS4(a, b, c, d), (void *)args[4]
#define PROGRAM_ARGS6(a, b, c, d, e, ...) PROGRAM_ARGS5(a, b, c, d, e), (void *)args[5]
#define PROGRAM_PASTE(a, b) a##b
#define PROGRAM_ARGS(n) PROGRAM_PASTE(PROGRAM_ARGS, n)

#define PROGRAM(section, name, ...)                                                                          \
	static __always_inline int run_##name(u64 *args, ##__VA_ARGS__);                                     \
	SEC(section "/" #name) int name(u64 *args)                                                           \
	{                                                                                                    \
		_Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wint-conversion\"")    \
		return run_##name(PROGRAM_ARGS(PROGRAM_COUNT(__VA_ARGS__))(__VA_ARGS__));                    \
		_Pragma("clang diagnostic pop")                                                              \
	}                                                                                                    \
	static __always_inline int run_##name(u64 *args, ##__VA_ARGS__)

#define TP_BTF(name, ...) PROGRAM("tp_btf", name, ##__VA_ARGS__)
#define RAW_TP(name, ...) PROGRAM("raw_tp", name, ##__VA_ARGS__)

#endif
