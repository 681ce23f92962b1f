// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Commands that NVMe controllers completed, by operation and status.
 *
 * The driver is a module on most machines. Its tracepoint exists while it is loaded, and so does the type of its part of a request, which
 * follows the request in memory. A command that fails and is sent again is counted each time it completes.
 */
#include "ebhost/counts.h"
#include "ebhost/program.h"

char LICENSE[] SEC("license") = "GPL";

static long (*const bpf_probe_read_kernel)(void *to, u32 bytes, const void *from) = (void *)113;
static long (*const bpf_probe_read_kernel_str)(void *to, u32 bytes, const void *from) = (void *)115;

#define DEVICE_BYTES 16
/* The bits of a status that say what happened; others say whether a retry makes sense. */
#define STATUS_MASK 0x7ff
/* Added to the operations of the admin queue, whose numbers mean other things. */
#define ADMIN 0x100

struct command {
	char device[DEVICE_BYTES];
	u16 status;
	u16 opcode;
	u32 zero;
};

COUNTS(commands, struct command, 1)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kobject {
	const char *name;
};

struct device {
	struct kobject kobj;
};

struct request_queue {
	void *queuedata; /* the namespace; none for the admin queue */
};

struct request {
	struct request_queue *q;
	u32 cmd_flags;
};

struct nvme_ctrl {
	struct device *device;
};

struct nvme_request {
	void *cmd; /* begins with the operation */
	u16 status;
	struct nvme_ctrl *ctrl;
};

#pragma clang attribute pop

/* Reads a member of a struct of the kernel. */
#define READ(from, member)                                                       \
	({                                                                       \
		typeof((from)->member) value_ = {};                              \
		bpf_probe_read_kernel(&value_, sizeof(value_), &(from)->member); \
		value_;                                                          \
	})

#define bpf_core_type_size(type) __builtin_preserve_type_info(*(type *)0, 1)

#define REQ_OP_MASK 0xff

/* Operations of block I/O, the same numbers in every kernel that has BTF. */
enum req_op {
	REQ_OP_READ = 0,
	REQ_OP_WRITE = 1,
	REQ_OP_FLUSH = 2,
	REQ_OP_DISCARD = 3,
};

enum nvme_opcode {
	nvme_cmd_flush = 0x00,
	nvme_cmd_write = 0x01,
	nvme_cmd_read = 0x02,
	nvme_cmd_dsm = 0x09,
};

/* The operation of a command. Before 5.13 a request of block I/O did not keep its command. */
static __always_inline u8 opcode_of(struct request *request, struct nvme_request *nvme)
{
	u8 opcode = 0;

	switch (READ(request, cmd_flags) & REQ_OP_MASK) {
	case REQ_OP_READ:
		return nvme_cmd_read;
	case REQ_OP_WRITE:
		return nvme_cmd_write;
	case REQ_OP_FLUSH:
		return nvme_cmd_flush;
	case REQ_OP_DISCARD:
		return nvme_cmd_dsm;
	}
	bpf_probe_read_kernel(&opcode, sizeof(opcode), READ(nvme, cmd));
	return opcode;
}

RAW_TP(nvme_complete_rq, struct request *request)
{
	struct nvme_request *nvme = (void *)request + bpf_core_type_size(struct request);
	struct command command = { .status = READ(nvme, status) & STATUS_MASK };
	struct device *device = READ(READ(nvme, ctrl), device);
	u8 opcode = opcode_of(request, nvme);

	command.opcode = READ(READ(request, q), queuedata) ? opcode : ADMIN | opcode;
	bpf_probe_read_kernel_str(command.device, sizeof(command.device), READ(device, kobj.name));
	commands_add(&command, 0, 1);
	return 0;
}
