//! Counts of containers and pods, under the names that the runtime's and the kubelet's files give them.

use std::{fs, path::Path, process, time::Duration};

use ebhost_tests::{Cgroup, Ebhost, Exposition, Folder, Running, Start, alone, committed, needs, wait_until};

const UID: &str = "3f1d2c4b-5a69-4788-96a5-b4c3d2e1f001";

/// A container's id, which is this process' own.
fn id(which: u32) -> String {
    format!("{:064x}", u64::from(process::id()) << 8 | u64::from(which))
}

fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().expect("it is below our own folder")).expect("our own folder");
    fs::write(file, text).expect("our own folder");
}

/// A host with runqlat by container, which reads the state of container runtimes below `root`.
fn host(root: &Path) -> (Folder, Ebhost) {
    let folder = Folder::new();
    folder.copy(&committed().join("runqlat"));
    folder.set("plugins: { runqlat: { cg: container } }\n");
    let root = root.display().to_string();
    let host = Start::with(folder.path()).args(&["--path.rootfs", &root]).listening();
    (folder, host)
}

fn waits(served: &Exposition, [namespace, pod, container]: [&str; 3]) -> Option<f64> {
    let labels = [("namespace", namespace), ("pod", pod), ("container", container)];
    served.value("ebhost_runqueue_latency_seconds_count", &labels)
}

/// A process that sleeps and wakes in a cgroup.
fn busy_in(cgroup: &Cgroup) -> Running {
    let script = "while (1) { select undef, undef, undef, 0.002 }";
    Running::start(cgroup.starter().args(["perl", "-e", script]))
}

#[test]
fn a_container_has_its_own_name_in_the_first_scrape_and_ends_when_it_is_gone() {
    needs!(Root, Cgroup2, Tool("perl"), File("/proc/self/schedstat"));
    let _alone = alone();
    let root = Folder::new();
    let (_folder, host) = host(root.path());

    let docker = Cgroup::new(&format!("docker-{}.scope", id(1)));
    let config = root.path().join("var/lib/docker/containers").join(id(1)).join("config.v2.json");
    write(&config, r#"{"Name":"/web","Config":{}}"#);
    let slice = Cgroup::new(&format!("kubepods-pod{}.slice", UID.replace('-', "_")));
    let pod = Cgroup::new(&format!("{}/cri-containerd-{}.scope", &slice.path()[1..], id(2)));
    let link = format!("var/log/containers/shop-7d9c_prod_app-{}.log", id(2));
    write(&root.path().join(link), "");
    let inner = Cgroup::new(&format!("{}/worker", &docker.path()[1..]));

    let processes = [busy_in(&docker), busy_in(&pod), busy_in(&inner)];
    std::thread::sleep(Duration::from_millis(300));
    let served = host.scrape();
    assert!(waits(&served, ["", "", "web"]) > Some(10.0), "{:?}", waits(&served, ["", "", "web"]));
    assert!(waits(&served, ["prod", "shop-7d9c", "app"]) > Some(10.0));

    // Its last counts are served under its name, although its files are gone before it.
    fs::remove_dir_all(root.path().join("var")).expect("our own folder");
    drop(processes);
    drop(inner);
    drop(docker);
    let last = host.scrape();
    assert!(waits(&last, ["", "", "web"]) >= waits(&served, ["", "", "web"]));
    wait_until("its series ends", Duration::from_secs(20), || {
        waits(&host.scrape(), ["", "", "web"]).is_none().then_some(())
    });
    drop((pod, slice));
    host.stop();
}
