//! Signatures: ours for cosign, and those of cosign, in both of its forms, for us.

use std::process::Command;

use ebhost_tests::{debian, needs};

use crate::kit::{Lab, Said, proxy};

pub(crate) fn cosign(lab: &Lab, newest: bool, args: &[&str]) -> Said {
    let command =
        if newest { debian::COSIGN_3.command("usr/bin/cosign") } else { debian::REGISTRY.command("usr/bin/cosign") };
    let mut command: Command = lab.command(command);
    Said::of(command.args(args))
}

#[test]
fn cosign_verifies_what_push_has_signed() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let pushed = lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let verify = |newest, key: &str| {
        cosign(
            &lab,
            newest,
            &["verify", "--key", &lab.at(key), "--insecure-ignore-tlog=true", "--allow-http-registry", &pushed],
        )
    };
    for newest in [false, true] {
        let said = verify(newest, "a.pub").done();
        assert!(said.contains(crate::kit::digest_of(&pushed)), "{said}");
        assert_ne!(verify(newest, "b.pub").code, Some(0));
    }
    // Signing again adds nothing; another key adds a signature.
    let layers = |lab: &Lab| {
        let tag = format!("sha256-{}.sig", &crate::kit::digest_of(&pushed)["sha256:".len()..]);
        lab.registry.manifest("acme/runqlat", &tag)["layers"].as_array().map(Vec::len)
    };
    assert_eq!(layers(&lab), Some(1));
    let target = lab.repository("acme/runqlat:1.0.0");
    let layout = format!("oci:{}", lab.at("layout"));
    lab.ebhost(&["pull", "--allow-unsigned", "--to", &layout, &target]).done();
    for (key, count) in [("a.key", 1), ("b.key", 2), ("b.key", 2)] {
        lab.ebhost(&["push", &layout, &target, "--sign-key", &lab.at(key)]).done();
        // The copy brings the signatures of the layout, to which the key's is added.
        assert_eq!(layers(&lab), Some(count), "{key}");
    }
    verify(false, "b.pub").done();
    lab.pull(&["--key", &lab.at("b.pub"), &target]).done();
}

#[test]
fn what_cosign_has_signed_is_installed() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    cosign(&lab, false, &["generate-key-pair"]).done();
    let key = lab.at("cosign.pub");
    for (newest, version) in [(false, "1.0.0"), (true, "1.1.0")] {
        let pushed = lab.push_folder(&lab.package(version), "acme/runqlat", &[]);
        lab.refused(&["--key", &key, &pushed], &["found no signature"]);
        let sign = ["sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry"];
        let newest_only: &[&str] = if newest { &["--use-signing-config=false"] } else { &[] };
        cosign(&lab, newest, &[&sign[..], newest_only, &[&pushed]].concat()).done();
        lab.refused(&["--key", &lab.at("a.pub"), &pushed], &["another key has signed"]);
        let said = lab.pull(&["--key", &key, &pushed]).done();
        assert!(said.contains(&format!("runqlat {version}: installed")) && said.contains("signed by"), "{said}");
        // The signature goes with a copy, in either form.
        let layout = format!("oci:{}", lab.at(&format!("layout-{version}")));
        lab.ebhost(&["pull", "--key", &key, "--to", &layout, &lab.repository(&format!("acme/runqlat:{version}"))])
            .done();
        lab.ebhost(&["push", &layout, &lab.repository(&format!("copy/runqlat:{version}"))]).done();
        lab.ebhost(&["verify", "--key", &key, &lab.repository(&format!("copy/runqlat:{version}"))]).done();
    }
}

/// Registries of version 1.1 list what refers to an artifact themselves, and cosign then writes no tag. Debian's does not, so the same list is
/// given by what stands before it, and the tag hidden.
#[test]
fn a_bundle_is_found_where_the_registry_lists_what_refers_to_an_artifact() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    cosign(&lab, false, &["generate-key-pair"]).done();
    let key = lab.at("cosign.pub");
    let pushed = lab.push_folder(&lab.package("1.0.0"), "acme/runqlat", &[]);
    let sign = ["sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry"];
    cosign(&lab, true, &[&sign[..], &["--use-signing-config=false", &pushed]].concat()).done();
    let registry = proxy(lab.registry.address, |request, pass_on| {
        let (hidden, list) = ("/manifests/sha256-", "/referrers/sha256:");
        if request.contains(list) {
            pass_on(&request.replacen(list, hidden, 1))
        } else {
            pass_on(&request.replacen(hidden, "/manifests/none-", 1))
        }
    });
    let reference = format!("{registry}/acme/runqlat@{}", crate::kit::digest_of(&pushed));
    lab.refused(&["--key", &lab.at("a.pub"), &reference], &["another key has signed"]);
    let said = lab.pull(&["--key", &key, &reference]).done();
    assert!(said.contains("runqlat 1.0.0: installed") && said.contains("signed by"), "{said}");
}
