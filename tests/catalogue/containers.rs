//! Counts of containers and pods, under the names that the runtime's and the kubelet's files give them.

use std::{fs, path::Path, process, time::Duration};

use ebhost_tests::{Cgroup, Ebhost, Exposition, Folder, Running, Start, Waits, alone, committed, needs, wait_until};

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

/// Waits until the kernel has given a process a CPU so many times.
fn wait_until_scheduled(process: &Running, times: f64) {
    wait_until("a process gets a CPU", Duration::from_secs(60), || {
        (Waits::of(process.pid()).count >= times).then_some(())
    });
}

#[test]
fn a_container_has_its_own_name_in_the_first_scrape_and_ends_when_it_is_gone() {
    needs!(Root, Cgroup2, Tool("perl"), File("/proc/self/schedstat"));
    let _alone = alone();
    let root = Folder::new();
    // Landlock allows what is there at the start.
    for place in ["var/lib/docker/containers", "var/log/containers"] {
        fs::create_dir_all(root.path().join(place)).expect("our own folder");
    }
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
    // Their names must be there at the first scrape, so the wait is for what the kernel counted.
    processes.iter().for_each(|process| wait_until_scheduled(process, 30.0));
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

/// A host that runs in a cgroup and a cgroup namespace of its own, in which these commands were run before.
fn in_namespace(cgroup: &Cgroup, commands: &str) -> String {
    let folder = cgroup.folder().display();
    let inside = format!("set -e; {commands}; exec \"$@\"");
    format!("echo $$ > {folder}/cgroup.procs; exec unshare --cgroup --mount sh -c '{inside}' sh \"$@\"")
}

/// Every cgroup but those below its own was without a name, and nothing said so.
#[test]
fn a_cgroup_namespace_that_hides_the_other_cgroups_is_reported() {
    needs!(Root, Cgroup2, Tool("unshare"), File("/proc/self/schedstat"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("runqlat"));
    folder.set("plugins: { runqlat: on }\n");
    let cgroup = Cgroup::new(&format!("ebhost-namespace-{}", process::id()));
    let mount = cgroup.folder().parent().expect("it is below the mount").display().to_string();
    let elsewhere = Folder::new();
    let whole = elsewhere.path().display().to_string();

    let private = format!("umount -l {mount}; mount -t cgroup2 none {mount}");
    let script = in_namespace(&cgroup, &private);
    let host = Start::by(&["sh", "-c", &script, "sh"], folder.path()).listening();
    host.scrape();
    let log = host.stop();
    assert!(log.text().contains("only some cgroups have names"), "{}", log.text());

    // As in a pod: the machine's mount lies elsewhere, beside the one of the namespace.
    let script = in_namespace(&cgroup, &format!("mount --bind {mount} {whole}; {private}"));
    for args in [&[][..], &["--path.cgroup", &whole]] {
        let host = Start::by(&["sh", "-c", &script, "sh"], folder.path()).args(args).listening();
        // In its namespace its own cgroup is `/`.
        wait_until("names that are those of the machine", Duration::from_secs(60), || {
            host.scrape().value("ebhost_runqueue_latency_seconds_count", &[("cgroup", cgroup.path())])
        });
        assert!(!host.stop().text().contains("only some cgroups have names"), "{args:?}");
    }
}
