/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Start times: when something began, until it ends.
 *
 *	STAMPS_BY_TASK(queued)            queued_set(task, ns)     ns = queued_take(task)
 *	STAMPS_BY_SOCKET(opened)          opened_set(socket, ns)   ns = opened_take(socket)
 *	STAMPS_BY_KEY(starts, u64, 8192)  starts_set(&key, ns)     ns = starts_take(&key)
 *
 * `take` returns the time and forgets it; 0: there is none. `set` replaces a time that is there, and returns whether there was room. `NAME_at(task)` is where it is kept; NULL: nowhere.
 *
 * By task and by socket the time is in the kernel's storage of that task or socket: no hash, nothing to size, and it is gone with its owner.
 * Programs on tp_btf may use it from Linux 5.13 on (5.11 for sockets); `task` and `socket` must be pointers that the verifier
 * knows, as arguments of such a program are. On older kernels the same calls use the hash NAME_old with room for 10 240, by thread id or by
 * the socket's address: what finds no room there is counted in the global NAME_old_lost.
 *
 * By key it is a preallocated hash with the size that you give. What finds no room is counted in the global NAME_lost.
 *
 * For block requests "requests.h" has the same by request tag, STAMPS_BY_REQUEST, which is twice as fast as a hash by address.
 */
#ifndef EBHOST_STAMPS_H
#define EBHOST_STAMPS_H

#include "../bpf.h"

struct task_struct;
struct sock;

/* By number, as the headers of programs may have the names: BPF_MAP_TYPE_SK_STORAGE, BPF_MAP_TYPE_TASK_STORAGE. */
#define STAMPS_SOCKET_STORAGE 24
#define STAMPS_TASK_STORAGE 29
#define STAMPS_CREATE 1ull

static void *(*const stamps_socket_storage)(void *map, void *socket, void *value, u64 flags) = (void *)107;
static void *(*const stamps_task_storage)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;

/* Helpers of the kernels in which programs on tracepoints got these storages. */
enum bpf_func_id___stamps {
	BPF_FUNC_bprm_opts_set___stamps = 159, /* 5.11 */
	BPF_FUNC_for_each_map_elem___stamps = 164, /* 5.13 */
};

#define STAMPS_KERNEL_HAS(helper)                                                                            \
	bpf_core_enum_value_exists(enum bpf_func_id___stamps, BPF_FUNC_##helper##___stamps)

/* A function that a program need not use. */
#define STAMPS_UNUSED __attribute__((unused)) static __always_inline

#define STAMPS_BY_KEY(name, key_type, entries)                                                               \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_HASH);                                                             \
		__uint(max_entries, entries);                                                                \
		__type(key, key_type);                                                                       \
		__type(value, u64);                                                                          \
	} name SEC(".maps");                                                                                 \
	u64 name##_lost;                                                                                     \
                                                                                                             \
	STAMPS_UNUSED u64 *name##_at(const key_type *key)                                                    \
	{                                                                                                    \
		return bpf_map_lookup_elem(&name, key);                                                      \
	}                                                                                                    \
	STAMPS_UNUSED bool name##_set(const key_type *key, u64 ns)                                           \
	{                                                                                                    \
		if (!bpf_map_update_elem(&name, key, &ns, BPF_ANY))                                          \
			return true;                                                                         \
		__sync_fetch_and_add(&name##_lost, 1);                                                       \
		return false;                                                                                \
	}                                                                                                    \
                                                                                                             \
	STAMPS_UNUSED u64 name##_take(const key_type *key)                                                   \
	{                                                                                                    \
		u64 *found = bpf_map_lookup_elem(&name, key), ns = found ? *found : 0;                       \
                                                                                                             \
		if (found)                                                                                   \
			bpf_map_delete_elem(&name, key);                                                     \
		return ns;                                                                                   \
	}

#define STAMPS_BY_OWNER(name, owner_type, storage_type, storage, helper, old_key_type, old_key)              \
	struct {                                                                                             \
		__uint(type, storage_type);                                                                  \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                                        \
		__type(key, int);                                                                            \
		__type(value, u64);                                                                          \
	} name SEC(".maps");                                                                                 \
	STAMPS_BY_KEY(name##_old, old_key_type, 10240)                                                       \
                                                                                                             \
	STAMPS_UNUSED u64 *name##_at(owner_type *owner)                                                      \
	{                                                                                                    \
		if (STAMPS_KERNEL_HAS(helper)) {                                                             \
			return storage(&name, owner, NULL, 0);                                               \
		} else {                                                                                     \
			old_key_type key = old_key;                                                          \
                                                                                                             \
			return name##_old_at(&key);                                                          \
		}                                                                                            \
	}                                                                                                    \
	STAMPS_UNUSED bool name##_set(owner_type *owner, u64 ns)                                             \
	{                                                                                                    \
		if (STAMPS_KERNEL_HAS(helper)) {                                                             \
			u64 *slot = storage(&name, owner, NULL, STAMPS_CREATE);                              \
                                                                                                             \
			if (slot)                                                                            \
				*slot = ns;                                                                  \
			else                                                                                 \
				__sync_fetch_and_add(&name##_old_lost, 1);                                   \
			return slot;                                                                         \
		} else {                                                                                     \
			old_key_type key = old_key;                                                          \
                                                                                                             \
			return name##_old_set(&key, ns);                                                     \
		}                                                                                            \
	}                                                                                                    \
                                                                                                             \
	STAMPS_UNUSED u64 name##_take(owner_type *owner)                                                     \
	{                                                                                                    \
		if (STAMPS_KERNEL_HAS(helper)) {                                                             \
			u64 *slot = storage(&name, owner, NULL, 0), ns = slot ? *slot : 0;                   \
                                                                                                             \
			if (slot)                                                                            \
				*slot = 0;                                                                   \
			return ns;                                                                           \
		} else {                                                                                     \
			old_key_type key = old_key;                                                          \
                                                                                                             \
			return name##_old_take(&key);                                                        \
		}                                                                                            \
	}

/* `struct task_struct` with `pid` must be declared before it is used, as "task.h" does. */
#define STAMPS_BY_TASK(name)                                                                                 \
	STAMPS_BY_OWNER(name, struct task_struct, STAMPS_TASK_STORAGE, stamps_task_storage, for_each_map_elem, \
			u32, (owner)->pid)

#define STAMPS_BY_SOCKET(name)                                                                               \
	STAMPS_BY_OWNER(name, struct sock, STAMPS_SOCKET_STORAGE, stamps_socket_storage, bprm_opts_set,      \
			u64, (u64)(owner))

#endif
