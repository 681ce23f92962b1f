"""Renders the chart as Helm does and checks the result offline: `python3 test.py`, after `pip install --target FOLDER kubernetes-validate==1.37.0`, with
PYTHONPATH=FOLDER, and `apt-get install golang-go golang-github-masterminds-sprig-dev golang-k8s-sigs-yaml-dev`: render/main.go is built of Debian's
packages of the libraries that Helm's engine is made of.

`python3 test.py --write` writes manifests.yaml, which is the chart with its defaults.
"""

import atexit
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import jsonschema
import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).parent
SCHEMA = json.loads((HERE / "chart/values.schema.json").read_text())
DEFAULTS = yaml.safe_load((HERE / "chart/values.yaml").read_text())
VERSION = "1.31"  # of Kubernetes, against whose schemas objects are checked
MONITORS = ("PodMonitor", "ServiceMonitor", "PrometheusRule")  # the Prometheus operator's, which have no schema there
HEADER = "# The chart with its defaults, for `kubectl apply --namespace NAMESPACE -f`. Written by test.py --write.\n"

# A value other than the default for each value of the chart.
OTHERS = {
    "image": {"repository": "registry.example/ebhost", "tag": "1", "digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "pull"}],
    "settings": {"plugins": {"biolatency": {"native": True}}, "limits": {"series": 20000}},
    "extraArgs": ["--log.format=json"],
    "port": 9436,
    "web": {"existingSecret": "ebhost-web", "scheme": "https"},
    "extraCapabilities": ["SYS_ADMIN"],
    "host": {"cgroup": False, "containers": False, "tracing": True, "network": True},
    "resources": {"limits": {"memory": "1Gi"}},
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}},
    "priorityClassName": "system-node-critical",
    "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "serviceAccount": {"create": False, "name": "other", "annotations": {"a": "b"}},
    "service": {"enabled": False, "annotations": {"a": "b"}},
    "podMonitor": {"enabled": True, "interval": "1m", "scrapeTimeout": "20s", "labels": {"release": "a"}},
    "serviceMonitor": {"enabled": True, "interval": "1m", "scrapeTimeout": "20s", "labels": {"release": "a"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "a"}},
    "dashboards": {"enabled": True, "native": True, "labels": {"b": "c"}},
}

# Values that are objects of any shape.
FREE = (("resources",), ("updateStrategy",), ("affinity",), ("settings",), ("dashboards", "labels"))


def build():
    """Builds the renderer of Debian's packages alone: no module is downloaded."""
    folder = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(folder / "cache"), "GOFLAGS": ""}
    subprocess.run(["go", "build", "-o", folder / "render", HERE / "render/main.go"], check=True, env=environment)
    return folder / "render"


RENDER = build()


class Refused(Exception):
    pass


def rendered(values):
    """The text of each template, after the merged values were held against the schema, as Helm does."""
    done = subprocess.run([RENDER, HERE / "chart"], input=json.dumps(values), capture_output=True, text=True)
    if done.returncode:
        raise Refused(done.stderr)
    answer = json.loads(done.stdout)
    try:
        jsonschema.validate(answer["values"], SCHEMA)
    except jsonschema.ValidationError as error:
        raise Refused(error.message) from error
    return answer["rendered"]


def render(values):
    texts = [text for name, text in rendered(values).items() if name.endswith(".yaml")]
    objects = [o for text in texts for o in yaml.safe_load_all(text) if isinstance(o, dict) and "kind" in o]
    return sorted(objects, key=lambda o: (o["kind"], o["metadata"]["name"]))


def check(objects):
    for o in objects:
        if o["kind"] not in MONITORS:
            kubernetes_validate.validate(o, VERSION, strict=True)


def daemonset(objects):
    return next(o for o in objects if o["kind"] == "DaemonSet")["spec"]["template"]["spec"]


def leaves(values, path=()):
    """The paths of all values; free-form objects and lists are values."""
    if isinstance(values, dict) and values and path not in FREE:
        for key, value in values.items():
            yield from leaves(value, path + (key,))
    else:
        yield path


def at(values, path):
    for key in path:
        values = values[key]
    return values


def test_defaults():
    objects = render({})
    check(objects)
    assert [o["kind"] for o in objects] == ["ConfigMap", "DaemonSet", "Service", "ServiceAccount"], objects
    pod = daemonset(objects)
    security = pod["containers"][0]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["BPF", "PERFMON"]}
    assert security["privileged"] is False and security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert not pod["hostNetwork"] and not pod["automountServiceAccountToken"] and "hostPID" not in pod
    mounts = pod["containers"][0]["volumeMounts"]
    assert all(m.get("readOnly") for m in mounts if m["name"] != "cache"), mounts
    assert sorted(m["name"] for m in mounts) == sorted(v["name"] for v in pod["volumes"])


def test_every_value_changes_something():
    enabling = {"serviceAccount": {"annotations": {"x": "y"}}}
    for path in leaves(DEFAULTS):
        base = dict(enabling)
        if path[0] in ("podMonitor", "serviceMonitor", "prometheusRule", "dashboards") and path[1] != "enabled":
            base = {path[0]: {"enabled": True}}
        changed = json.loads(json.dumps(base))
        other = at(OTHERS, path)
        if len(path) == 1:
            changed[path[0]] = other
        else:
            changed.setdefault(path[0], {})[path[1]] = other
        with_other = render(changed)
        check(with_other)
        assert with_other != render(base), f"{'.'.join(path)} has no effect"


def test_all_others_at_once():
    check(render(OTHERS))


def test_the_schema_refuses_what_is_wrong():
    for wrong in (
        {"port": "9435"}, {"port": 0}, {"no-such": 1}, {"host": {"pid": True}}, {"image": {"digest": "abc"}},
        {"extraCapabilities": ["CAP_BPF"]}, {"extraArgs": ["log.level"]}, {"web": {"scheme": "HTTP"}}, {"podMonitor": {"interval": "often"}},
    ):
        try:
            render(wrong)
        except Refused:
            continue
        raise AssertionError(f"{wrong} was accepted")


def test_every_value_is_documented():
    table = (HERE / "README.md").read_text()
    documented = set(re.findall(r"^\| `([a-zA-Z.]+)`", table, re.MULTILINE))
    values = {".".join(path) for path in leaves(DEFAULTS)}
    assert documented == values, f"missing {values - documented}, too many {documented - values}"


def test_rules_are_those_of_the_example():
    rule = next(o for o in render({"prometheusRule": {"enabled": True}}) if o["kind"] == "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((HERE / "../prometheus/alerts.yml").read_text())


def dashboards(native):
    maps = [o["data"] for o in render({"dashboards": {"enabled": True, "native": native}}) if o["kind"] == "ConfigMap"]
    return {name: json.loads(text) for data in maps for name, text in data.items() if name != "ebhost.yaml"}


def test_dashboards_are_those_of_the_examples():
    files = {f.name: json.loads(f.read_text()) for f in (HERE / "../grafana").glob("*.json")}
    found = dashboards(native=False)
    assert found == {name: text for name, text in files.items() if not name.endswith("-native.json")}
    assert "biolatency.json" in found and "host.json" in found


def test_with_native_histograms_no_package_is_left_without_a_dashboard():
    packages = {name.removesuffix(".json") for name in dashboards(native=False)}
    found = dashboards(native=True)
    assert {name.removesuffix(".json").removesuffix("-native") for name in found} == packages
    assert len(found) == len(packages), "a package has two dashboards"
    assert "biolatency-native.json" in found and "host.json" in found


def manifests():
    objects = render({})
    for o in objects:
        del o["metadata"]["namespace"]  # that of `kubectl --namespace`
    return HEADER + "".join("---\n" + yaml.safe_dump(o, sort_keys=False, width=140) for o in objects)


def test_manifests_are_the_chart_with_its_defaults():
    assert (HERE / "manifests.yaml").read_text() == manifests(), "write them with `python3 test.py --write`"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        (HERE / "manifests.yaml").write_text(manifests())
    else:
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test()
                print("ok", name)
