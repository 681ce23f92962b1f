//! Names of containers from what runtimes and the kubelet leave in files. Each file's form is its runtime's own; only what names a container is read.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use ebhost_limits as limits;
use serde::{Deserialize, de::DeserializeOwned};

/// The names of a container or of a pod; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContainerNames {
    pub(crate) container: String,
    pub(crate) pod: String,
    pub(crate) namespace: String,
}

/// The outcome of a search.
#[derive(Debug)]
pub(crate) enum Search {
    Found(ContainerNames),
    /// No runtime knows it, perhaps not yet.
    NotFound,
    /// Files are there that could have named it, and this is why they cannot be read.
    Denied {
        file: PathBuf,
        error: io::Error,
    },
}

/// The container of a pod that holds its namespaces; cAdvisor and the kubelet call it so.
const SANDBOX: &str = "POD";

/// Folders of containerd, and of the one in k3s and RKE2: below each NAMESPACE/ID/config.json.
const CONTAINERD: [&str; 2] =
    ["run/containerd/io.containerd.runtime.v2.task", "run/k3s/containerd/io.containerd.runtime.v2.task"];
/// Folder of CRI-O and podman: below it ID/userdata/config.json.
const BUNDLES: &str = "run/containers/storage/overlay-containers";
/// Lists of podman's containers with their names.
const LISTS: [&str; 2] = [
    "var/lib/containers/storage/overlay-containers/containers.json",
    "run/containers/storage/overlay-containers/volatile-containers.json",
];
/// Folder of Docker: below it ID/config.v2.json.
const DOCKER: &str = "var/lib/docker/containers";
/// Links of the kubelet: POD_NAMESPACE_CONTAINER-ID.log. Everybody may list it.
const LOGS: &str = "var/log/containers";
/// Folders of the kubelet: NAMESPACE_POD_UID. Everybody may list it.
const PODS: &str = "var/log/pods";

/// The folders that are read, below the root of the file system: not files, so that those that are created later are allowed, too.
pub(super) fn places(root: &Path) -> Vec<PathBuf> {
    let folders = [BUNDLES, "var/lib/containers/storage/overlay-containers", DOCKER, LOGS, PODS];
    CONTAINERD.iter().chain(&folders).map(|place| root.join(place)).collect()
}

/// The names of the container with this id.
pub(super) fn of_container(root: &Path, id: &str) -> Search {
    let mut search = Searching::default();
    let namespaces: Vec<_> = CONTAINERD.iter().flat_map(|folder| search.list(&root.join(folder))).collect();
    for folder in namespaces {
        let bundle = search.read::<Bundle>(&folder.join(id).join("config.json"));
        if let Some(names) = bundle.and_then(|bundle| bundle.names()) {
            return Search::Found(names);
        }
    }
    let bundle = search.read::<Bundle>(&root.join(BUNDLES).join(id).join("userdata/config.json"));
    if let Some(names) = bundle.and_then(|bundle| bundle.names()) {
        return Search::Found(names);
    }
    let docker = search.read::<DockerConfig>(&root.join(DOCKER).join(id).join("config.v2.json"));
    if let Some(docker) = docker {
        return Search::Found(docker.names());
    }
    for list in LISTS {
        let all = search.read::<Vec<Listed>>(&root.join(list)).unwrap_or_default();
        if let Some(name) =
            all.into_iter().find(|listed| listed.id == id).and_then(|listed| listed.names.into_iter().next())
        {
            return Search::Found(ContainerNames { container: name, ..ContainerNames::default() });
        }
    }
    let links = search.names_in(&root.join(LOGS));
    search.end(links.iter().find_map(|link| of_log(link, id)))
}

/// The names of the pod with this uid.
pub(super) fn of_pod(root: &Path, uid: &str) -> Search {
    let mut search = Searching::default();
    let folders = search.names_in(&root.join(PODS));
    search.end(folders.iter().find_map(|folder| of_pod_folder(folder, uid)))
}

/// The names in POD_NAMESPACE_CONTAINER-ID.log. None of them has a `_`.
fn of_log(link: &str, id: &str) -> Option<ContainerNames> {
    let names = link.strip_suffix(".log")?.strip_suffix(id)?.strip_suffix('-')?;
    let [pod, namespace, container] = names.split('_').collect::<Vec<_>>()[..] else { return None };
    Some(ContainerNames { container: container.into(), pod: pod.into(), namespace: namespace.into() })
}

/// The names in NAMESPACE_POD_UID.
fn of_pod_folder(folder: &str, uid: &str) -> Option<ContainerNames> {
    let [namespace, pod, found] = folder.split('_').collect::<Vec<_>>()[..] else { return None };
    let names = ContainerNames { container: String::new(), pod: pod.into(), namespace: namespace.into() };
    (found == uid).then_some(names)
}

/// Reads files, and remembers the first that is there and may not be read.
#[derive(Debug, Default)]
struct Searching {
    denied: Option<(PathBuf, io::Error)>,
}

impl Searching {
    fn end(self, found: Option<ContainerNames>) -> Search {
        match (found, self.denied) {
            (Some(names), _) => Search::Found(names),
            (None, Some((file, error))) => Search::Denied { file, error },
            (None, None) => Search::NotFound,
        }
    }

    /// The contents of a file; `None` if it is not there, cannot be read, or has another form.
    fn read<T: DeserializeOwned>(&mut self, file: &Path) -> Option<T> {
        let mut text = Vec::new();
        let open = self.noted(file, File::open(file))?;
        self.noted(file, open.take(limits::CONTAINER_STATE_BYTES).read_to_end(&mut text))?;
        serde_json::from_slice(&text).ok()
    }

    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        let entries = self.noted(folder, fs::read_dir(folder));
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    fn names_in(&mut self, folder: &Path) -> Vec<String> {
        let paths = self.list(folder);
        paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    fn noted<T>(&mut self, file: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if error.kind() == io::ErrorKind::PermissionDenied && self.denied.is_none() {
                    self.denied = Some((file.to_owned(), error));
                }
                None
            }
        }
    }
}

/// An OCI runtime configuration; runtimes put names into its annotations.
#[derive(Debug, Deserialize)]
struct Bundle {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

impl Bundle {
    fn names(&self) -> Option<ContainerNames> {
        let find = |keys: &[&str]| keys.iter().find_map(|key| self.annotations.get(*key)).cloned().unwrap_or_default();
        let is_sandbox = find(&["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]) == "sandbox";
        let container = find(&["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"]);
        let names = ContainerNames {
            container: if is_sandbox { SANDBOX.to_owned() } else { container },
            pod: find(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]),
            namespace: find(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]),
        };
        (!names.container.is_empty()).then_some(names)
    }
}

/// Docker's own record of a container.
#[derive(Debug, Deserialize)]
struct DockerConfig {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Config", default)]
    config: DockerLabels,
}

#[derive(Debug, Default, Deserialize)]
struct DockerLabels {
    #[serde(rename = "Labels", default)]
    labels: Option<HashMap<String, String>>,
}

impl DockerConfig {
    fn names(self) -> ContainerNames {
        let mut labels = self.config.labels.unwrap_or_default();
        let mut label = |key: &str| labels.remove(key).unwrap_or_default();
        let is_sandbox = label("io.kubernetes.docker.type") == "podsandbox";
        let in_pod = label("io.kubernetes.container.name");
        ContainerNames {
            container: match () {
                () if is_sandbox => SANDBOX.to_owned(),
                () if in_pod.is_empty() => self.name.trim_start_matches('/').to_owned(),
                () => in_pod,
            },
            pod: label("io.kubernetes.pod.name"),
            namespace: label("io.kubernetes.pod.namespace"),
        }
    }
}

/// An entry of podman's lists.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}
