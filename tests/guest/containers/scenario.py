"""Runs in the guest: containers of containerd's CRI and of podman, each with either cgroup driver, come under load and go, beside ebhost as a
service of systemd's and ebhost's image as the chart's pod. Prints sections for the test, which is ../containers.rs.
"""

import json
import os
import subprocess
import time
import traceback
import urllib.request

from cri import Runtime, decode

NETWORK_POD, PID_CONTAINER = 0, 1
RUNTIME_DEFAULT = 0
# As the kubelet has them for containers that are not privileged.
MASKED = ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
          "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
# Each turn is a process that starts, faults its pages in, sleeps and waits for a CPU.
LOAD = ["/bin/busybox", "sh", "-c", "while :; do /bin/busybox usleep 2000; done"]
IMAGE = "docker.io/library/load:1"


def say(section):
    print(f"== {section}", flush=True)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}")
    return done.stdout.strip()


def read(file):
    with open(file) as opened:
        return opened.read()


class Pod:
    """A pod as the kubelet makes it: the sandbox, its folder of logs, and a link for each container's log."""

    def __init__(self, runtime, namespace, name, uid, handler="systemd"):
        self.runtime, self.namespace, self.name = runtime, namespace, name
        logs = f"/var/log/pods/{namespace}_{name}_{uid}"
        os.makedirs(logs)
        parent = f"kubepods-pod{uid.replace('-', '_')}.slice" if handler == "systemd" else f"/kubepods/pod{uid}"
        self.labels = {"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.uid": uid}
        self.config = {
            "metadata": {"name": name, "uid": uid, "namespace": namespace, "attempt": 0}, "hostname": name, "log_directory": logs,
            "labels": self.labels,
            "linux": {"cgroup_parent": parent, "security_context": {
                "namespace_options": {"network": NETWORK_POD, "pid": PID_CONTAINER}, "seccomp": {"profile_type": RUNTIME_DEFAULT}}},
        }
        self.id = runtime.call("RunPodSandbox", config=self.config, runtime_handler=handler)[1].decode()

    def start(self, name, image, **config):
        os.makedirs(f"{self.config['log_directory']}/{name}")
        config = {
            "metadata": {"name": name, "attempt": 0}, "image": {"image": image}, "log_path": f"{name}/0.log",
            "labels": self.labels | {"io.kubernetes.container.name": name}, **config,
        }
        created = self.runtime.call("CreateContainer", pod_sandbox_id=self.id, config=config, sandbox_config=self.config)
        container = created[1].decode()
        os.symlink(f"{self.config['log_directory']}/{name}/0.log",
                   f"/var/log/containers/{self.name}_{self.namespace}_{name}-{container}.log")
        self.runtime.call("StartContainer", container_id=container)
        return container

    def address(self):
        status = decode(self.runtime.call("PodSandboxStatus", pod_sandbox_id=self.id)[1])
        return decode(status[5])[1].decode()

    def remove(self, container):
        self.runtime.call("StopContainer", container_id=container, timeout=0)
        self.runtime.call("RemoveContainer", container_id=container)
        self.runtime.call("StopPodSandbox", pod_sandbox_id=self.id)
        self.runtime.call("RemovePodSandbox", pod_sandbox_id=self.id)


def chart(runtime):
    """The pod of the chart's DaemonSet, with its one container, as the kubelet hands it to the runtime."""
    spec = json.loads(read("/dist/daemonset.json"))["spec"]["template"]["spec"]
    container, = spec["containers"]
    security, places = container["securityContext"], {}
    for volume in spec["volumes"]:
        if "hostPath" in volume:
            places[volume["name"]] = volume["hostPath"]["path"]
        else:
            places[volume["name"]] = f"/var/lib/kubelet/{volume['name']}"
            os.makedirs(places[volume["name"]])
        if "configMap" in volume:
            os.link("/dist/settings.yaml", f"{places[volume['name']]}/ebhost.yaml")
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}, spec["securityContext"]
    assert set(security) == {"runAsUser", "runAsGroup", "privileged", "allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"}
    pod = Pod(runtime, "monitoring", "ebhost-x2v9k", "0c5e4a52-7f3d-4d0e-9d0b-6a1f1f6a9a01")
    config = {
        "args": container["args"],
        "mounts": [{"container_path": m["mountPath"], "host_path": places[m["name"]], "readonly": m.get("readOnly", False)}
                   for m in container["volumeMounts"]],
        "linux": {
            "resources": {"cpu_shares": 20, "memory_limit_in_bytes": 512 << 20},
            "security_context": {
                "capabilities": {"add_capabilities": security["capabilities"]["add"], "drop_capabilities": security["capabilities"]["drop"]},
                "privileged": security["privileged"], "namespace_options": {"network": NETWORK_POD, "pid": PID_CONTAINER},
                "run_as_user": {"value": security["runAsUser"]}, "run_as_group": {"value": security["runAsGroup"]},
                "readonly_rootfs": security["readOnlyRootFilesystem"], "no_new_privs": not security["allowPrivilegeEscalation"],
                "masked_paths": MASKED, "readonly_paths": READ_ONLY, "seccomp": {"profile_type": RUNTIME_DEFAULT},
            },
        },
    }
    return pod, pod.start(container["name"], f"docker.io/library/{container['image']}", **config)


def get(address, path):
    with urllib.request.urlopen(f"http://{address}:9435{path}", timeout=60) as answer:
        return answer.read().decode()


def await_ready(address):
    for _ in range(1200):
        try:
            return get(address, "/-/ready")
        except OSError:
            time.sleep(1)
    raise RuntimeError(f"no ebhost at {address}")


def processes():
    """The ids, cgroups and statuses of all processes."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            yield process, read(f"/proc/{process}/cgroup").strip().removeprefix("0::"), read(f"/proc/{process}/status")
        except OSError:
            continue  # It has ended.


def cgroup_of(container):
    """The cgroup of a container's processes."""
    return next(cgroup for _, cgroup, _ in processes() if container in cgroup and "conmon" not in cgroup)


def faults(cgroup):
    # crun puts processes into a cgroup below the container's, which has no counts of its own.
    while not os.path.exists(f"/sys/fs/cgroup{cgroup}/memory.stat"):
        cgroup = os.path.dirname(cgroup)
    return next(int(line.split()[1]) for line in read(f"/sys/fs/cgroup{cgroup}/memory.stat").splitlines() if line.startswith("pgfault "))


class Hosts:
    def __init__(self, addresses):
        self.addresses = addresses

    def scrape(self, moment):
        texts = {name: get(address, "/metrics") for name, address in self.addresses.items()}
        for name, text in texts.items():
            say(f"{name} {moment}")
            print(text, end="")
        return "".join(texts.values())


def main():
    say("machine")
    print(read("/proc/version"), run("podman", "--version"), run("containerd", "--version"), sep="\n")
    os.makedirs("/var/log/containers")
    run("systemctl", "start", "containerd")
    for image in ("load", "ebhost"):
        print(run("ctr", "--namespace", "k8s.io", "images", "import", "--base-name", f"docker.io/library/{image}", f"/dist/{image}.tar"))
    print(run("podman", "load", "--input", "/dist/load.tar"))
    runtime = Runtime("/run/containerd/containerd.sock")
    # One after the other: both compile a component, which takes long in an emulated machine.
    run("systemctl", "start", "ebhost")
    await_ready("127.0.0.1")
    say("chart")
    pod, image = chart(runtime)
    hosts = Hosts({"service": "127.0.0.1", "chart": pod.address()})
    await_ready(hosts.addresses["chart"])
    hosts.scrape("before")
    say("rights")
    # Its first process: others compile components and switch statistics on.
    print(next(status for _, cgroup, status in processes() if image in cgroup and "\t1\n" in status.split("NSpid:")[1].split("NSpgid:")[0]))

    containers = {}
    for name, driver in (("web", "systemd"), ("batch", "cgroupfs")):
        started = run("podman", f"--cgroup-manager={driver}", "run", "--detach", "--network=none", f"--name={name}", IMAGE, *LOAD)
        containers[name] = started.splitlines()[-1]
    pods = {}
    for name, pod_name, uid, driver in (("app", "shop-7d9c", "3f1d2c4b-5a69-4788-96a5-b4c3d2e1f001", "systemd"),
                                        ("worker", "cart-0", "51b0e1f4-16f5-4b0c-8c39-0e2f6d7c8b02", "cgroupfs")):
        pods[name] = Pod(runtime, "prod", pod_name, uid, driver)
        containers[name] = pods[name].start(name, IMAGE, command=LOAD, linux={"security_context": {"namespace_options": {
            "network": NETWORK_POD, "pid": PID_CONTAINER}}})
    time.sleep(1)
    hosts.scrape("first")
    time.sleep(5)
    cgroups = {name: cgroup_of(container) for name, container in containers.items()}
    say("faults before")
    print(json.dumps({name: faults(cgroup) for name, cgroup in cgroups.items()}))
    hosts.scrape("running")
    say("faults after")
    print(json.dumps({name: faults(cgroup) for name, cgroup in cgroups.items()}))
    say("cgroups")
    print(json.dumps({name: cgroup.replace(containers[name], "ID") for name, cgroup in cgroups.items()}))

    for name in ("web", "batch"):
        run("podman", "rm", "--force", "--time=0", name)
    for name, one in pods.items():
        one.remove(containers[name])
        for link in os.listdir("/var/log/containers"):
            if containers[name] in link:
                os.unlink(f"/var/log/containers/{link}")
    removed = time.monotonic()
    hosts.scrape("removed")
    while True:
        text = hosts.scrape("going")
        if not any(f'container="{name}"' in text for name in containers):
            break
        if time.monotonic() - removed > 120:
            raise RuntimeError("series of containers that are gone stay")
        time.sleep(2)
    hosts.scrape("gone")
    say("seconds")
    print(time.monotonic() - removed)
    say("service log")
    print(run("journalctl", "--no-pager", "--output=cat", "--unit=ebhost"))
    say("chart log")
    print(read(f"{pod.config['log_directory']}/ebhost/0.log"))


try:
    main()
except Exception:
    say("failed")
    traceback.print_exc()
    for unit in ("ebhost", "containerd"):
        subprocess.run(["journalctl", "--no-pager", "--output=cat", "--lines=60", f"--unit={unit}"])
    subprocess.run("cat /var/log/pods/*/*/0.log", shell=True)
print("\n== end", flush=True)
time.sleep(1)
subprocess.run(["systemctl", "poweroff", "--force", "--force"])
