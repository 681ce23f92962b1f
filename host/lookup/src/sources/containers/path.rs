//! The container and the pod that a cgroup belongs to, by its path alone.
//!
//! Runtimes name the cgroups of containers in a few forms, each with the container's id in it; the kubelet names those of pods, with the pod's
//! uid. Below a pod's cgroup the first container is the one that the runtime of this machine knows, and otherwise the outermost one is:
//! containers inside it are its own affair.

/// The container or the pod of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Membership<'a> {
    pub(crate) container: Option<ContainerRef<'a>>,
    /// The uid of a Kubernetes pod, as the API server writes it.
    pub(crate) pod_uid: Option<String>,
}

/// A container as its cgroup names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ContainerRef<'a> {
    /// 64 hexadecimal digits, by which the runtime knows it.
    Id(&'a str),
    /// A name that needs no look-up: LXC, systemd-nspawn and other machines.
    Name(String),
}

/// Prefixes of ids in names of cgroups. The monitors of containers have others (`crio-conmon-ID`, `libpod-conmon-ID`).
const PREFIXES: [&str; 6] = ["cri-containerd-", "crio-", "docker-", "libpod-", "libpod-payload-", "nerdctl-"];

const ID_DIGITS: usize = 64;

impl<'a> Membership<'a> {
    /// `None`: the cgroup belongs to neither.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let folders: Vec<_> = path.split('/').filter(|folder| !folder.is_empty()).collect();
        let pod = folders.iter().enumerate().find_map(|(at, folder)| Some((at, pod_uid(&folders[..at], folder)?)));
        let from = pod.as_ref().map_or(0, |(at, _)| *at);
        let container = (from..folders.len()).find_map(|at| container(&folders[..at], folders[at], &folders[at + 1..]));
        let pod_uid = pod.map(|(_, uid)| uid);
        (container.is_some() || pod_uid.is_some()).then_some(Self { container, pod_uid })
    }
}

/// The id of the container that a cgroup belongs to, by the cgroup's path: 64 hexadecimal digits. `None`: it belongs to no container that
/// has one.
pub fn container_id(path: &str) -> Option<&str> {
    match Membership::of(path)?.container? {
        ContainerRef::Id(id) => Some(id),
        ContainerRef::Name(_) => None,
    }
}

/// The uid in the folder of a pod.
fn pod_uid(above: &[&str], folder: &str) -> Option<String> {
    // The driver cgroupfs: kubepods/burstable/podUID.
    if let Some(uid) = folder.strip_prefix("pod")
        && above.contains(&"kubepods")
    {
        return is_uid(uid).then(|| uid.to_owned());
    }
    // The driver systemd: kubepods-burstable-podU_I_D.slice, where `-` would begin another slice. A runtime that was told of the other driver adds
    // `:cri-containerd:ID`.
    let slice = folder.split(':').next()?.strip_suffix(".slice")?;
    let (kubepods, uid) = slice.rsplit_once("-pod")?;
    let uid = uid.replace('_', "-");
    (kubepods.contains("kubepods") && is_uid(&uid)).then_some(uid)
}

/// A UUID, or the hash that pods have which come from files.
fn is_uid(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| *byte != b'-');
    digits.clone().all(|byte| byte.is_ascii_hexdigit()) && digits.count() == 32
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The container that a folder belongs to.
fn container<'a>(above: &[&str], folder: &'a str, below: &[&'a str]) -> Option<ContainerRef<'a>> {
    let name = folder.strip_suffix(".scope").unwrap_or(folder);
    let prefixed = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix).filter(|id| is_id(id)));
    // system.slice:docker:ID, or kubepods-….slice:cri-containerd:ID.
    let after_colons = || folder.rsplit_once(':').map(|(_, id)| id).filter(|id| is_id(id));
    // docker/ID, kubepods/burstable/podUID/ID; below libpod_parent such a folder is a pod of podman's.
    let bare = || (is_id(folder) && above.last() != Some(&"libpod_parent")).then_some(folder);
    if let Some(id) = prefixed.or_else(after_colons).or_else(bare) {
        return Some(ContainerRef::Id(id));
    }
    machine(above, folder, below).map(ContainerRef::Name)
}

/// The name of a container that is not known by an id.
fn machine<'a>(above: &[&str], folder: &'a str, below: &[&'a str]) -> Option<String> {
    // LXC since version 4; lxc.monitor.NAME is the process that watches it. Before: lxc/NAME.
    if let Some(name) = folder.strip_prefix("lxc.payload.") {
        return Some(name.to_owned());
    }
    if let ("lxc" | "lxc.payload", [name, ..]) = (folder, below)
        && above.is_empty()
    {
        return Some((*name).to_owned());
    }
    let is_machine = above.last() == Some(&"machine.slice");
    if let Some(name) = folder.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service")) {
        return Some(unescaped(name));
    }
    let name = folder.strip_prefix("machine-")?.strip_suffix(".scope")?;
    is_machine.then(|| unescaped(name))
}

/// A name of systemd's without its escapes: `\x2d` is `-`.
fn unescaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        text.push_str(before);
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii) {
            Some(byte) => {
                text.push(char::from(byte));
                rest = &after[2..];
            }
            None => {
                text.push_str("\\x");
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "d6b8a1f0c2e34958a7b6c5d4e3f201122334455667788990a0b1c2d3e4f50617";
    const OTHER: &str = "00000000000000000000000000000000000000000000000000000000000000ff";
    const UID: &str = "3f1d2c4b-5a69-4788-96a5-b4c3d2e1f001";

    /// Paths as runtimes write them, in which `ID`, `OTHER`, `UID` and `U_I_D` stand for ids; the container and whether the pod is found.
    const FORMS: &str = include_str!("forms.txt");

    #[test]
    fn every_form_of_a_path_gives_the_container_and_the_pod() {
        for line in FORMS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let [path, container, pod] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
            let full = |text: &str| {
                text.replace("U_I_D", &UID.replace('-', "_"))
                    .replace("OTHER", OTHER)
                    .replace("UID", UID)
                    .replace("ID", ID)
            };
            let path = full(path);
            let expected = match (container, pod) {
                ("-", "-") => None,
                (container, pod) => Some(Membership {
                    container: match container {
                        "-" => None,
                        "ID" => Some(ContainerRef::Id(ID)),
                        name => Some(ContainerRef::Name(name.to_owned())),
                    },
                    pod_uid: (pod != "-").then(|| full(pod)),
                }),
            };
            assert_eq!(Membership::of(&path), expected, "{line}");
        }
    }

    #[test]
    fn damaged_escapes_stay_as_they_are() {
        for (escaped, text) in
            [("a\\x2db", "a-b"), ("a\\x2", "a\\x2"), ("\\xzz\\x40", "\\xzz@"), ("\\xc3\\xa9", "\\xc3\\xa9")]
        {
            assert_eq!(unescaped(escaped), text);
        }
    }
}
