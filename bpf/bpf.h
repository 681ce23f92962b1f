/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The part of the BPF ABI that these programs use, by the names of libbpf and the kernel: helpers, map definitions, CO-RE.
 *
 * It is written out so that rebuilding an object takes clang alone. The headers of libbpf differ by distribution, and the bytes of an
 * object must not. Only helpers of Linux 5.10 belong here.
 */
#ifndef EBHOST_BPF_H
#define EBHOST_BPF_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;
typedef _Bool bool;

#define NULL ((void *)0)
#define true 1
#define false 0

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))

/* Members of a map definition. BTF encodes a number as the length of an array that a pointer points to. */
#define __uint(name, number) int(*name)[number]
#define __type(name, type) typeof(type) *name

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,

	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_F_MMAPABLE = 1 << 10,

	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;

/* CO-RE: the loader answers these from the BTF of the running kernel, and the verifier skips branches that are not taken. */
#define bpf_core_field_exists(field) __builtin_preserve_field_info(field, 2)
#define bpf_core_type_exists(type) __builtin_preserve_type_info(*(typeof(type) *)0, 0)
#define bpf_core_enum_value_exists(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 0)
#define bpf_core_enum_value(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 1)

/* Memory that another run of the program, nested on the same CPU, may change in between. */
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

/* Keeps clang from moving accesses to memory across it. */
#define barrier() asm volatile("" : : : "memory")

/*
 * Stops clang from moving address arithmetic on `var` ahead of the check that permits it.
 *
 * Atomic additions are __sync_fetch_and_add with the result unused: clang then emits the instruction without BPF_FETCH, which
 * kernels before 5.12 lack.
 */
#define barrier_var(var) asm volatile("" : "+r"(var) : : "memory")

#endif
