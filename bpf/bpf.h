/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The part of the BPF ABI that these programs use: a few helpers, map definitions, CO-RE questions.
 *
 * Written out so that rebuilding an object takes clang and nothing else: headers of libbpf differ by
 * distribution, and the bytes of an object should not. Helpers are named by number; only those of kernel
 * 5.10 belong here.
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
#define inline inline __attribute__((always_inline))

/* Map definitions: BTF carries a number as the length of an array that a pointer points to. */
#define __uint(name, number) int(*name)[number]
#define __type(name, type) typeof(type) *name

enum {
	MAP_TYPE_HASH = 1,
	MAP_TYPE_ARRAY = 2,

	MAP_MMAPABLE = 1 << 10,

	UPDATE_ANY = 0,
	UPDATE_NOEXIST = 1,
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;

/* The loader answers these from the BTF of the running kernel; what is not taken is never verified. */
#define field_exists(field) __builtin_preserve_field_info(field, 2)
#define type_exists(type) __builtin_preserve_type_info(*(typeof(type) *)0, 0)
#define enumerator_exists(type, name) __builtin_preserve_enum_value(*(typeof(type) *)name, 0)
#define enumerator_value(type, name) __builtin_preserve_enum_value(*(typeof(type) *)name, 1)

/* Forms that return the old value need 5.12; with the result unused clang emits the old one. */
#define atomic_add(place, amount) ((void)__sync_fetch_and_add(place, amount))

/* Memory that a program nested on the same CPU may change in between. */
#define read_once(place) (*(volatile typeof(place) *)&(place))
#define write_once(place, value) (*(volatile typeof(place) *)&(place) = (value))

/* What follows stays after what precedes: clang else moves address arithmetic ahead of the test that permits it. */
#define keep_order(value) asm volatile("" : "+r"(value) : : "memory")

#endif
