//! Other tools read ours, and we theirs.

use std::fs;

use ebhost_tests::{committed, needs};
use serde_json::Value;

use crate::kit::{Lab, digest_of, files};

#[test]
fn skopeo_lists_inspects_and_copies_our_packages() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let pushed = lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let repository = format!("docker://{}", lab.repository("acme/runqlat"));
    let listed: Value =
        serde_json::from_str(&lab.tool("skopeo", &["list-tags", "--tls-verify=false", &repository]).done())
            .expect("JSON");
    let signature = format!("sha256-{}.sig", &digest_of(&pushed)["sha256:".len()..]);
    let mut tags: Vec<_> = listed["Tags"].as_array().expect("tags").iter().filter_map(Value::as_str).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["1.0.0", &signature]);
    let one = format!("{repository}:1.0.0");
    let raw = lab.tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &one]).done();
    assert_eq!(serde_json::from_str::<Value>(&raw).expect("JSON"), lab.registry.manifest("acme/runqlat", "1.0.0"));
    // Into a layout folder, and from there into the folder of a host.
    let name = lab.repository("acme/runqlat:1.0.0");
    let layout = format!("oci:{}:{name}", lab.at("layout"));
    lab.tool("skopeo", &["copy", "--insecure-policy", "--src-tls-verify=false", &one, &layout]).done();
    let from = format!("oci:{}", lab.at("layout"));
    let said = lab.pull(&["--allow-unsigned", "--from", &from, &name]).done();
    assert_eq!(said, format!("runqlat 1.0.0: installed, not signed: {pushed}\n"));
    // And out of ours.
    let ours = format!("oci:{}", lab.at("ours"));
    lab.ebhost(&["pull", "--key", &lab.at("a.pub"), "--to", &ours, &name]).done();
    let copy = format!("docker://{}", lab.repository("copy/runqlat:1.0.0"));
    lab.tool("skopeo", &["copy", "--insecure-policy", "--dest-tls-verify=false", &format!("{ours}:{name}"), &copy])
        .done();
    assert_eq!(lab.registry.manifest("copy/runqlat", "1.0.0"), lab.registry.manifest("acme/runqlat", "1.0.0"));
}

#[test]
fn a_package_that_oras_pushed_is_installed_and_oras_pulls_ours() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let folder = lab.path("biolatency");
    ebhost_tests::copy_package(&committed().join("biolatency"), &folder);
    let by_oras = lab.repository("oras/biolatency:1");
    let mut oras = lab.command(ebhost_tests::debian::REGISTRY.command("usr/bin/oras"));
    oras.args([
        "push",
        "--plain-http",
        &by_oras,
        "plugin.yaml",
        "biolatency.wasm:application/wasm",
        "biolatency.bpf.o",
    ]);
    crate::kit::Said::of(oras.current_dir(&folder)).done();
    let said = lab.pull(&["--allow-unsigned", &by_oras]).done();
    assert!(said.starts_with("biolatency without a version: installed, not signed: "), "{said}");
    for name in ["plugin.yaml", "biolatency.wasm", "biolatency.bpf.o"] {
        let installed = fs::read(lab.plugins().join("biolatency").join(name)).expect("an installed file");
        assert!(installed == fs::read(folder.join(name)).expect("its source"), "{name}");
    }
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let (out, ours) = (lab.at("out"), lab.repository("acme/runqlat:1.0.0"));
    lab.tool("oras", &["pull", "--plain-http", "-o", &out, &ours]).done();
    assert!(files(&lab.path("out")) == files(&lab.path("runqlat-1.0.0")));
    // A folder as one layer is an archive to oras.
    let mut oras = lab.command(ebhost_tests::debian::REGISTRY.command("usr/bin/oras"));
    let archive = lab.repository("oras/archive:1");
    crate::kit::Said::of(oras.args(["push", "--plain-http", &archive, "runqlat-1.0.0"])).done();
    lab.refused(
        &["--allow-unsigned", &archive],
        &["runqlat-1.0.0: found an archive of a folder, expected its files as layers"],
    );
}
