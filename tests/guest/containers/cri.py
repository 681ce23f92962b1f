"""A client of the container runtime interface, as far as the scenario needs it: https://github.com/kubernetes/cri-api, runtime/v1/api.proto.

Messages are dictionaries. The numbers of their fields are below; Debian has the library for gRPC, and no client.
"""

import grpc

# Message → field → its number and type: a scalar ("text", "number"), a "map" of texts, or a message. A list in Python is a repeated field.
MESSAGES = {
    "RunPodSandbox": {"config": (1, "PodSandboxConfig"), "runtime_handler": (2, "text")},
    "PodSandboxStatus": {"pod_sandbox_id": (1, "text")},
    "StopPodSandbox": {"pod_sandbox_id": (1, "text")},
    "RemovePodSandbox": {"pod_sandbox_id": (1, "text")},
    "CreateContainer": {"pod_sandbox_id": (1, "text"), "config": (2, "ContainerConfig"), "sandbox_config": (3, "PodSandboxConfig")},
    "StartContainer": {"container_id": (1, "text")},
    "StopContainer": {"container_id": (1, "text"), "timeout": (2, "number")},
    "RemoveContainer": {"container_id": (1, "text")},
    "ContainerStatus": {"container_id": (1, "text"), "verbose": (2, "number")},
    "PodSandboxConfig": {
        "metadata": (1, "PodMetadata"), "hostname": (2, "text"), "log_directory": (3, "text"), "labels": (6, "map"),
        "linux": (8, "LinuxPodSandboxConfig"),
    },
    "PodMetadata": {"name": (1, "text"), "uid": (2, "text"), "namespace": (3, "text"), "attempt": (4, "number")},
    "LinuxPodSandboxConfig": {"cgroup_parent": (1, "text"), "security_context": (2, "PodSecurity")},
    "PodSecurity": {"namespace_options": (1, "Namespaces"), "seccomp": (9, "SecurityProfile")},
    "Namespaces": {"network": (1, "number"), "pid": (2, "number"), "ipc": (3, "number")},
    "SecurityProfile": {"profile_type": (1, "number")},
    "ContainerConfig": {
        "metadata": (1, "ContainerMetadata"), "image": (2, "Image"), "command": (3, "text"), "args": (4, "text"), "mounts": (7, "Mount"),
        "labels": (9, "map"), "log_path": (11, "text"), "linux": (15, "LinuxContainerConfig"),
    },
    "ContainerMetadata": {"name": (1, "text"), "attempt": (2, "number")},
    "Image": {"image": (1, "text")},
    "Mount": {"container_path": (1, "text"), "host_path": (2, "text"), "readonly": (3, "number")},
    "LinuxContainerConfig": {"resources": (1, "Resources"), "security_context": (2, "Security")},
    "Resources": {"cpu_shares": (3, "number"), "memory_limit_in_bytes": (4, "number")},
    "Security": {
        "capabilities": (1, "Capabilities"), "privileged": (2, "number"), "namespace_options": (3, "Namespaces"), "run_as_user": (5, "Number"),
        "readonly_rootfs": (7, "number"), "no_new_privs": (11, "number"), "run_as_group": (12, "Number"), "masked_paths": (13, "text"),
        "readonly_paths": (14, "text"), "seccomp": (15, "SecurityProfile"),
    },
    "Capabilities": {"add_capabilities": (1, "text"), "drop_capabilities": (2, "text")},
    "Number": {"value": (1, "number")},
    "Entry": {"key": (1, "text"), "value": (2, "text")},
}


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def encode(message, fields):
    out = b""
    for name, value in fields.items():
        number, kind = MESSAGES[message][name]
        if kind == "map":
            kind, value = "Entry", [{"key": k, "value": v} for k, v in value.items()]
        for one in value if isinstance(value, list) else [value]:
            if kind == "number":
                out += varint(number << 3) + varint(int(one))
                continue
            data = one.encode() if kind == "text" else encode(kind, one)
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def decode(data):
    """Fields by number: numbers, and bytes for texts and messages. The last one of a repeated field."""
    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    fields, at = {}, 0
    while at < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            at += value
            value = data[at - value:at]
        fields[key >> 3] = value
    return fields


class Runtime:
    def __init__(self, socket):
        self.channel = grpc.insecure_channel(f"unix://{socket}")
        grpc.channel_ready_future(self.channel).result(timeout=120)

    def call(self, method, **fields):
        send = self.channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")
        return decode(send(encode(method, fields), timeout=180))
