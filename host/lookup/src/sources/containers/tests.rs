//! Files as runtimes leave them, found by the id in a cgroup's path.

use std::fs;

use super::*;

const ID: &str = "d6b8a1f0c2e34958a7b6c5d4e3f201122334455667788990a0b1c2d3e4f50617";
const UID: &str = "3f1d2c4b-5a69-4788-96a5-b4c3d2e1f001";

struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("ebhost-containers-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.0.join(file.replace("ID", ID));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text.replace("ID", ID)).unwrap();
    }

    fn containers(&self) -> Containers {
        let nowhere = Path::new("/dev/null");
        Containers::open(&Roots { rootfs: self.0.clone(), ..Roots::below(nowhere) })
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn in_pod() -> String {
    format!("/kubepods.slice/kubepods-pod{}.slice/cri-containerd-{ID}.scope", UID.replace('-', "_"))
}

fn outside() -> String {
    format!("/system.slice/docker-{ID}.scope")
}

/// Container, pod, namespace and the pod's uid, or those that are found at once.
fn names(containers: &mut Containers, path: &str) -> [Option<String>; 4] {
    [ContainerLabel::Container, ContainerLabel::Pod, ContainerLabel::Namespace, ContainerLabel::PodUid].map(|label| {
        match containers.name(Found::Name(path.to_owned()), label) {
            Found::Name(name) => Some(name),
            _ => None,
        }
    })
}

fn all(names: [&str; 4]) -> [Option<String>; 4] {
    names.map(|name| Some(name.to_owned()))
}

#[test]
fn containerds_bundle_names_container_pod_and_namespace() {
    let root = Root::new("containerd");
    root.write(
        "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
        r#"{"ociVersion":"1.1.0","process":{"args":["/web"]},"annotations":{"io.kubernetes.cri.container-name":"web",
           "io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-name":"shop-7d9c","io.kubernetes.cri.sandbox-namespace":"prod"}}"#,
    );
    assert_eq!(names(&mut root.containers(), &in_pod()), all(["web", "shop-7d9c", "prod", UID]));
}

#[test]
fn the_container_that_holds_a_pods_namespaces_is_called_as_cadvisor_calls_it() {
    let root = Root::new("sandbox");
    root.write(
        "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
        r#"{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-name":"shop-7d9c",
           "io.kubernetes.cri.sandbox-namespace":"prod"}}"#,
    );
    assert_eq!(names(&mut root.containers(), &in_pod()), all(["POD", "shop-7d9c", "prod", UID]));
}

#[test]
fn crios_bundle_names_container_pod_and_namespace() {
    let root = Root::new("crio");
    root.write(
        "run/containers/storage/overlay-containers/ID/userdata/config.json",
        r#"{"annotations":{"io.kubernetes.container.name":"web","io.kubernetes.cri-o.ContainerType":"container",
           "io.kubernetes.pod.name":"shop-7d9c","io.kubernetes.pod.namespace":"prod"}}"#,
    );
    assert_eq!(names(&mut root.containers(), &in_pod()), all(["web", "shop-7d9c", "prod", UID]));
}

#[test]
fn dockers_record_names_a_container_also_one_of_a_pod() {
    let root = Root::new("docker");
    // containerd has a bundle of it, too, which has no names.
    root.write("run/containerd/io.containerd.runtime.v2.task/moby/ID/config.json", r#"{"ociVersion":"1.0.2"}"#);
    root.write("var/lib/docker/containers/ID/config.v2.json", r#"{"ID":"ID","Name":"/web","Config":{"Labels":null}}"#);
    assert_eq!(names(&mut root.containers(), &outside()), all(["web", "", "", ""]));
    root.write(
        "var/lib/docker/containers/ID/config.v2.json",
        r#"{"Name":"/k8s_web_shop","Config":{"Labels":{"io.kubernetes.container.name":"web","io.kubernetes.pod.name":"shop",
           "io.kubernetes.pod.namespace":"prod","io.kubernetes.docker.type":"container"}}}"#,
    );
    assert_eq!(names(&mut root.containers(), &in_pod()), all(["web", "shop", "prod", UID]));
}

#[test]
fn podmans_list_names_a_container() {
    for list in [
        "var/lib/containers/storage/overlay-containers/containers.json",
        "run/containers/storage/overlay-containers/volatile-containers.json",
    ] {
        let root = Root::new("podman");
        root.write(
            "run/containers/storage/overlay-containers/ID/userdata/config.json",
            r#"{"annotations":{"run.oci.x":"1"}}"#,
        );
        root.write(list, r#"[{"id":"0","names":["other"]},{"id":"ID","names":["web"],"image":"x"}]"#);
        let path = format!("/machine.slice/libpod-{ID}.scope/container");
        assert_eq!(names(&mut root.containers(), &path), all(["web", "", "", ""]), "{list}");
    }
}

#[test]
fn the_kubelets_logs_name_a_container_where_the_runtimes_files_cannot_be_read() {
    let root = Root::new("logs");
    root.write("var/log/containers/shop-7d9c_prod_web-ID.log", "");
    assert_eq!(names(&mut root.containers(), &in_pod()), all(["web", "shop-7d9c", "prod", UID]));
}

#[test]
fn a_pods_own_cgroup_has_the_pods_names() {
    let root = Root::new("pod");
    root.write(&format!("var/log/pods/prod_shop-7d9c_{UID}/web/0.log"), "");
    let path = in_pod().rsplit_once('/').unwrap().0.to_owned();
    assert_eq!(names(&mut root.containers(), &path), all(["", "shop-7d9c", "prod", UID]));
}

#[test]
fn a_container_whose_file_comes_later_than_its_cgroup_gets_its_name_and_not_its_id() {
    let root = Root::new("late");
    let mut containers = root.containers();
    assert_eq!(containers.name(Found::Name(outside()), ContainerLabel::Container), Found::NotYet);
    containers.refresh();
    root.write("var/lib/docker/containers/ID/config.v2.json", r#"{"Name":"/web","Config":{}}"#);
    assert_eq!(names(&mut containers, &outside()), all(["web", "", "", ""]));
}

#[test]
fn a_container_that_no_file_names_has_its_short_id_after_a_few_collections() {
    let root = Root::new("unnamed");
    let mut containers = root.containers();
    root.write(&format!("var/log/pods/prod_shop-7d9c_{UID}/web/0.log"), "");
    for _ in 0..limits::CONTAINER_NAME_ATTEMPTS {
        assert_eq!(names(&mut containers, &in_pod())[0], None);
        containers.refresh();
    }
    assert_eq!(names(&mut containers, &in_pod()), all([&ID[..12], "shop-7d9c", "prod", UID]));
}

#[test]
fn a_dead_container_keeps_its_name_although_its_files_are_gone() {
    let root = Root::new("dead");
    root.write("var/lib/docker/containers/ID/config.v2.json", r#"{"Name":"/web","Config":{}}"#);
    let mut containers = root.containers();
    assert_eq!(names(&mut containers, &outside())[0].as_deref(), Some("web"));
    fs::remove_dir_all(root.0.join("var")).unwrap();
    containers.refresh();
    assert_eq!(containers.name(Found::Gone(outside()), ContainerLabel::Container), Found::Gone("web".into()));
    let mut late = root.containers();
    assert_eq!(
        late.name(Found::Gone(outside()), ContainerLabel::Container),
        Found::Gone(ID[..12].into()),
        "nobody waits"
    );
}

#[test]
fn damaged_and_foreign_files_are_no_names() {
    let root = Root::new("damaged");
    root.write("run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json", "{\"annotations\":{\"io.kub");
    root.write("run/containers/storage/overlay-containers/ID/userdata/config.json", "[]");
    root.write("var/lib/containers/storage/overlay-containers/containers.json", "{}");
    root.write("var/log/containers/a_b-ID.log", "");
    assert_eq!(root.containers().name(Found::Gone(outside()), ContainerLabel::Container), Found::Gone(ID[..12].into()));
}
