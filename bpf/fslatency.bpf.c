// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * How long reads, writes, opens and fsyncs of regular files took, by file system type.
 *
 * A call is timed from the entry of the kernel's vfs_* function to its return, whether it succeeded or not, so a read that the page cache served
 * counts like one that waited for a disk. Calls that do not pass through these functions are not seen: readv and writev, io_uring, mmap, and
 * opens that a network file system does together with its lookup.
 */
#include "current.h"
#include "ebhost/cgroup.h"
#include "ebhost/counts.h"
#include "ebhost/durations.h"
#include "ebhost/program.h"
#include "ebhost/stamps.h"
#include "probe.h"

char LICENSE[] SEC("license") = "GPL";

static long (*const bpf_probe_read_kernel_str)(void *to, u32 bytes, const void *from) = (void *)115;

#define TYPE_BYTES 16

/* The component's configuration knows the numbers. */
enum operation { OPERATION_READ, OPERATION_WRITE, OPERATION_OPEN, OPERATION_FSYNC };

struct call {
	u64 cgroup;
	char type[TYPE_BYTES];
	u32 operation;
	u32 zero;
};

DURATIONS(calls, struct call)
/* One for each operation, because a synchronous write has an fsync within it. */
STAMPS_BY_CURRENT(reads)
STAMPS_BY_CURRENT(writes)
STAMPS_BY_CURRENT(opens)
STAMPS_BY_CURRENT(fsyncs)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct file_system_type {
	const char *name;
};

struct super_block {
	struct file_system_type *s_type;
};

struct inode {
	u16 i_mode;
	struct super_block *i_sb;
};

struct dentry {
	struct inode *d_inode;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct inode *f_inode;
};

struct fdtable {
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct___files {
	struct files_struct *files;
};

#pragma clang attribute pop

#define S_IFMT 0170000
#define S_IFREG 0100000

static __always_inline bool is_regular(struct inode *inode)
{
	return (inode->i_mode & S_IFMT) == S_IFREG;
}

static __always_inline int count_call(struct inode *inode, enum operation operation, u64 since)
{
	struct call call = { .cgroup = current_cg(), .operation = operation };

	bpf_probe_read_kernel_str(call.type, sizeof(call.type), inode->i_sb->s_type->name);
	calls_time(&call, bpf_ktime_get_ns() - since);
	return 0;
}

/* The programs of a function whose argument leads to `inode`: `stamps` keep the start of a call that runs. */
#define TIMED(function, argument, inode, stamps, operation)                                                  \
	PROGRAM("fentry", function, argument)                                                                \
	{                                                                                                    \
		if (is_regular(inode))                                                                       \
			stamps##_begin(bpf_ktime_get_ns());                        \
		return 0;                                                                                    \
	}                                                                                                    \
                                                                                                             \
	static __always_inline int end_##function(argument)                                                  \
	{                                                                                                    \
		u64 since = stamps##_end();                                       \
                                                                                                             \
		return since ? count_call(inode, operation, since) : 0;                                      \
	}                                                                                                    \
                                                                                                             \
	SEC("fexit/" #function) int function##_end(u64 *args)                                                \
	{                                                                                                    \
		return end_##function((void *)args[0]);                                                      \
	}

TIMED(vfs_read, struct file *file, file->f_inode, reads, OPERATION_READ)
TIMED(vfs_write, struct file *file, file->f_inode, writes, OPERATION_WRITE)
TIMED(vfs_open, struct path *path, path->dentry->d_inode, opens, OPERATION_OPEN)
/*
 * fsync(2) passes through do_fsync, vfs_fsync and vfs_fsync_range, and kernels differ in which of them the compiler inlined. Where one calls the
 * other, the inner one takes the start, and the outer one finds none.
 */
TIMED(vfs_fsync, struct file *file, file->f_inode, fsyncs, OPERATION_FSYNC)
TIMED(vfs_fsync_range, struct file *file, file->f_inode, fsyncs, OPERATION_FSYNC)

/* The type of an inode whose fields the verifier does not know. */
static __always_inline struct file_system_type *type_of(struct inode *inode)
{
	return READ(READ(inode->i_sb)->s_type);
}

/* The file of a descriptor of the current task. */
static __always_inline struct file *file_of(u32 descriptor)
{
	struct task_struct___files *task = (void *)bpf_get_current_task();
	struct file **files = READ(READ(READ(task->files)->fdt)->fd), *file = NULL;

	probe_read(&file, sizeof(file), &files[descriptor]);
	return file;
}

PROGRAM("fentry", do_fsync)
{
	fsyncs_begin(bpf_ktime_get_ns());
	return 0;
}

SEC("fexit/do_fsync") int do_fsync_end(u64 *args)
{
	struct call call = { .cgroup = current_cg(), .operation = OPERATION_FSYNC };
	u64 since = fsyncs_end();
	struct inode *inode;

	if (!since)
		return 0;
	inode = READ(file_of(args[0])->f_inode);
	if ((READ(inode->i_mode) & S_IFMT) != S_IFREG)
		return 0;
	bpf_probe_read_kernel_str(call.type, sizeof(call.type), READ(type_of(inode)->name));
	calls_time(&call, bpf_ktime_get_ns() - since);
	return 0;
}

/*
 * The same for kernels that run no program at the entry and exit of a function (see probe.h). A program at a return has no arguments, so the type of
 * the file system is kept with the start. A thread runs one call of an operation at a time.
 */
struct running {
	u32 thread;
	u32 operation;
};

struct began {
	u64 since;
	struct file_system_type *type;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct running);
	__type(value, struct began);
} probed SEC(".maps");

static __always_inline int begin_probed(struct inode *inode, enum operation operation)
{
	struct running running = { .thread = current_thread(), .operation = operation };
	struct began began = { .since = bpf_ktime_get_ns() };

	if ((READ(inode->i_mode) & S_IFMT) != S_IFREG)
		return 0;
	began.type = type_of(inode);
	bpf_map_update_elem(&probed, &running, &began, BPF_ANY);
	return 0;
}

static __always_inline int end_probed(enum operation operation)
{
	struct running running = { .thread = current_thread(), .operation = operation };
	struct call call = { .cgroup = current_cg(), .operation = operation };
	struct began *began = bpf_map_lookup_elem(&probed, &running), ended;

	if (!began)
		return 0;
	ended = *began;
	bpf_map_delete_elem(&probed, &running);
	bpf_probe_read_kernel_str(call.type, sizeof(call.type), READ(ended.type->name));
	calls_time(&call, bpf_ktime_get_ns() - ended.since);
	return 0;
}

static __always_inline struct inode *inode_of_file(struct file *file)
{
	return READ(file->f_inode);
}

static __always_inline struct inode *inode_of_path(struct path *path)
{
	return READ(READ(path->dentry)->d_inode);
}

#define PROBED(function, inode_of, operation)                                                                \
	SEC("kprobe/" #function) int function##_probe(void *registers)                                       \
	{                                                                                                    \
		return begin_probed(inode_of(first_argument(registers)), operation);                         \
	}                                                                                                    \
	SEC("kretprobe/" #function) int function##_probe_end(void *registers)                                \
	{                                                                                                    \
		return end_probed(operation);                                                                \
	}

PROBED(vfs_read, inode_of_file, OPERATION_READ)
PROBED(vfs_write, inode_of_file, OPERATION_WRITE)
PROBED(vfs_open, inode_of_path, OPERATION_OPEN)
PROBED(vfs_fsync, inode_of_file, OPERATION_FSYNC)
PROBED(vfs_fsync_range, inode_of_file, OPERATION_FSYNC)

static __always_inline struct inode *inode_of_descriptor(void *descriptor)
{
	return READ(file_of((u64)descriptor)->f_inode);
}

PROBED(do_fsync, inode_of_descriptor, OPERATION_FSYNC)
