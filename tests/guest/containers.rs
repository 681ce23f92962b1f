//! Containers of real runtimes: containerd, by its CRI, and podman, each with both cgroup drivers, in a Debian with cgroups of version 2. ebhost runs
//! beside them twice: as a service from the tarball, and from its image as the pod of the chart.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use ebhost_tests::{Exposition, Folder, Sample, committed, needs, output, workspace};
use serde_json::Value;

use crate::guest::{Console, Guest};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Starts the scenario and no more of systemd than that needs. The disk was never booted before. With Landlock, as Debian has it.
const SYSTEMD: &str = "lsm=landlock,bpf systemd.unit=test.service systemd.getty_auto=no systemd.condition-needs-update=no \
                       systemd.show_status=0";

/// The packages of the test.
const PACKAGES: [&str; 2] = ["pagefaults", "runqlat"];

/// The containers of the scenario: namespace, pod, container, and their cgroups.
const CONTAINERS: [([&str; 3], &str); 4] = [
    (["", "", "web"], "/machine.slice/libpod-ID.scope/container"),
    (["", "", "batch"], "/libpod_parent/libpod-ID"),
    (
        ["prod", "shop-7d9c", "app"],
        "/kubepods.slice/kubepods-pod3f1d2c4b_5a69_4788_96a5_b4c3d2e1f001.slice/cri-containerd-ID.scope",
    ),
    (["prod", "cart-0", "worker"], "/kubepods/pod51b0e1f4-16f5-4b0c-8c39-0e2f6d7c8b02/ID"),
];

/// The release that is tested; none: it was not made.
fn release() -> Option<PathBuf> {
    let folder = std::env::var_os("EBHOST_RELEASE").map_or_else(|| workspace().join("target/dist/out"), PathBuf::from);
    folder.join(format!("ebhost-{VERSION}.oci.tar")).is_file().then_some(folder)
}

/// The disk with Debian and the runtimes, which is made once.
fn disk() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").expect("a home")).join(".cache"));
    let folder = cache.join("ebhost/containers");
    let disk = folder.join("disk.ext4");
    if !disk.exists() {
        output(Command::new("bash").arg(workspace().join("tests/guest/containers/make-disk")).arg(&folder));
    }
    disk
}

/// The DaemonSet of the chart with its defaults.
fn daemonset() -> Vec<u8> {
    let text = fs::read_to_string(workspace().join("examples/kubernetes/manifests.yaml")).expect("it is committed");
    let objects = text.split("\n---\n").map(|text| serde_yaml::from_str::<Value>(text).expect("YAML"));
    let daemonset = objects.into_iter().find(|object| object["kind"] == "DaemonSet").expect("the chart has one");
    serde_json::to_vec(&daemonset).expect("it was parsed")
}

/// The settings of both hosts: these packages alone, by container. An emulated machine may take longer than 50 ms to label what is new.
fn settings() -> String {
    let names = fs::read_dir(committed())
        .expect("packages")
        .flatten()
        .filter(|entry| entry.path().join("plugin.yaml").is_file());
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let line = |name: String| {
        let choice =
            if PACKAGES.contains(&name.as_str()) { "{ cg: container, limits: { decode: 500ms } }" } else { "off" };
        format!("  {name}: {choice}\n")
    };
    format!("plugins:\n{}", names.map(line).collect::<String>())
}

/// An image with busybox alone, as `docker save` writes it, which both runtimes take. Its default command is what a pod's own container does: nothing.
fn load_image(folder: &Path) -> PathBuf {
    let script = "set -euo pipefail; cd \"$1\"; mkdir -p image rootfs/bin; cp \"$(which busybox)\" rootfs/bin/busybox\n\
                  tar --create --file image/layer.tar --owner=0 --group=0 --directory rootfs .\n\
                  digest=$(sha256sum image/layer.tar | cut -d' ' -f1)\n\
                  cat > image/config.json <<JSON\n\
                  {\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/bin/busybox\",\"sleep\",\"1000000\"]},\
                  \"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$digest\"]}}\nJSON\n\
                  cat > image/manifest.json <<JSON\n\
                  [{\"Config\":\"config.json\",\"RepoTags\":[\"docker.io/library/load:1\"],\"Layers\":[\"layer.tar\"]}]\nJSON\n\
                  tar --create --file load.tar --directory image .";
    output(Command::new("bash").args(["-c", script, "image"]).arg(folder));
    folder.join("load.tar")
}

fn boot(release: &Path) -> Console {
    let folder = Folder::new();
    let drive = format!("-drive if=virtio,format=raw,snapshot=on,file={}", disk().display());
    let guest =
        Guest::x86("6.12", "containers/init").with_devices(&drive).with_room(3072, 1800).with_parameters(SYSTEMD);
    guest.put_modules(&["virtio_blk", "overlay", "veth", "bridge", "af_packet", "llc", "stp"]);
    let sources = workspace().join("tests/guest/containers");
    for name in ["cri.py", "scenario.py", "test.service", "ebhost.conf", "network.conflist", "containerd.toml"] {
        guest.put(&sources.join(name), &format!("dist/{name}"));
    }
    guest.put(&load_image(folder.path()), "dist/load.tar");
    guest.put(&release.join(format!("ebhost-{VERSION}.oci.tar")), "dist/ebhost.tar");
    guest.put(&release.join(format!("ebhost-{VERSION}-x86_64.tar.gz")), "dist/ebhost.tar.gz");
    guest.write("dist/settings.yaml", settings().as_bytes());
    guest.write("dist/daemonset.json", &daemonset());
    guest.boot()
}

/// The values of these families that belong to a container.
fn of_container<'a>(
    served: &'a Exposition,
    family: &'a str,
    [namespace, pod, container]: [&'a str; 3],
) -> impl Iterator<Item = &'a Sample> {
    let labels = [("namespace", namespace), ("pod", pod), ("container", container)];
    served.samples().filter(move |sample| {
        sample.name == family
            && labels.iter().all(|(name, value)| sample.labels.get(*name).is_some_and(|own| own == value))
    })
}

fn sum(served: &Exposition, family: &str, labels: [&str; 3]) -> f64 {
    of_container(served, family, labels).map(|sample| sample.value).sum()
}

const WAITS: &str = "ebhost_runqueue_latency_seconds_count";
const FAULTS: &str = "ebhost_page_faults_total";

/// The numbers of a section by the names of containers.
fn by_container(console: &Console, section: &str) -> Value {
    serde_json::from_str(console.section(section)).expect("the scenario prints JSON")
}

/// Run by `cargo xtask containers`: half an hour on two cores, and Debian packages of 250 MB.
#[test]
#[ignore = "takes long; cargo xtask containers"]
fn containers_of_containerd_and_podman_have_their_own_names_while_they_exist() {
    needs!(Root, Guest, Tool("debootstrap"), Tool("mke2fs"), Tool("busybox"));
    let Some(release) = release() else {
        return ebhost_tests::skip("containers", "a release below target/dist/out (cargo xtask dist x86_64)");
    };
    let console = boot(&release);
    for host in ["service", "chart"] {
        names_come_and_go(&console, host);
    }
    for ([_, _, name], path) in CONTAINERS {
        assert_eq!(by_container(&console, "cgroups")[name], path, "the cgroup of {name}");
    }
    faults_are_the_kernels(&console);
    the_image_has_what_the_chart_grants(&console);
}

/// In the first scrape after a container's start both of its families have its name, in the last ones none.
fn names_come_and_go(console: &Console, host: &str) {
    let log = console.section(&format!("{host} log"));
    let moment = |moment| console.served(&format!("{host} {moment}"));
    let (first, running, removed, gone) = (moment("first"), moment("running"), moment("removed"), moment("gone"));
    for (labels, _) in CONTAINERS {
        // The chart gives the kubelet's folders, in which podman has no part: its containers have their ids.
        if host == "chart" && labels[0].is_empty() {
            continue;
        }
        for family in [WAITS, FAULTS] {
            let counts = [&first, &running, &removed, &gone].map(|served| sum(served, family, labels));
            let _ = writeln!(io::stderr(), "{host}: {family} of {labels:?}: {counts:?}");
            assert!(counts[0] > 10.0, "{host}: {family} of {labels:?}: {counts:?}: {log}");
            assert!(counts[1] > counts[0] && counts[2] >= counts[1], "{host}: {family} of {labels:?}: {counts:?}");
            assert_eq!(of_container(&gone, family, labels).count(), 0, "{host}: {family} of {labels:?}");
        }
    }
    let chart = ["monitoring", "ebhost-x2v9k", "ebhost"];
    assert!(sum(&gone, WAITS, chart) > 0.0, "{host}: {log}");
    if host == "service" {
        let is_id = |text: &&String| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let ids: Vec<_> = running.samples().filter_map(|sample| sample.labels.get("container")).filter(is_id).collect();
        assert!(ids.is_empty(), "containers without a name: {ids:?}");
    }
}

/// The kernel counts the faults of a cgroup, too.
fn faults_are_the_kernels(console: &Console) {
    let (before, after) = (by_container(console, "faults before"), by_container(console, "faults after"));
    let served = console.served("service running");
    for (labels, _) in CONTAINERS {
        let counted = sum(&served, FAULTS, labels);
        let kernel = |section: &Value| section[labels[2]].as_f64().expect("a number");
        let (least, most) = (kernel(&before) * 0.8, kernel(&after) * 1.2);
        assert!(counted >= least && counted <= most, "{labels:?}: {counted} faults, the kernel has {least} to {most}");
    }
}

/// After its start no thread of the image's main process may do more than the two capabilities of the chart allow.
fn the_image_has_what_the_chart_grants(console: &Console) {
    const BPF_AND_PERFMON: u64 = 1 << 38 | 1 << 39;
    let status = console.section("rights");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let bounding = u64::from_str_radix(field("CapBnd:").expect("a status"), 16).expect("a number");
    assert_eq!(bounding, BPF_AND_PERFMON, "{status}");
    assert_eq!(
        (field("CapEff:"), field("NoNewPrivs:"), field("Seccomp:")),
        (Some("0000000000000000"), Some("1"), Some("2"))
    );
}
