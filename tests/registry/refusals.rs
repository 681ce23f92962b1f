//! Everything that may be wrong with an artifact, a registry or the way to it: refused with its reason, and nothing is changed.

use std::{fs, net::SocketAddr};

use ebhost_tests::needs;
use serde_json::{Value, json};

use crate::kit::{Lab, digest_of, proxy};

/// The digest of a layer by its title.
fn layer(manifest: &Value, title: &str) -> String {
    let layers = manifest["layers"].as_array().expect("layers").iter();
    let mut named = layers.filter(|layer| layer["annotations"]["org.opencontainers.image.title"] == title);
    named.next().and_then(|layer| layer["digest"].as_str()).expect("a layer").to_owned()
}

#[test]
fn a_package_without_the_right_signature_is_not_installed() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let (a, b) = (lab.at("a.pub"), lab.at("b.pub"));
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let signed = lab.repository("acme/runqlat:1.0.0");
    lab.refused(
        &["--key", &b, &signed],
        &["found a signature of sha256:", &format!("expected one by {b}"), "another key has signed"],
    );
    lab.push_folder(&lab.package("1.1.0"), "acme/runqlat:1.1.0", &[]);
    let unsigned = lab.repository("acme/runqlat:1.1.0");
    lab.refused(
        &["--key", &a, "--key", &b, &unsigned],
        &["found no signature of sha256:", &format!("expected one by {a} or {b}")],
    );
    lab.refused(&[&signed], &["found no policy at /etc/ebhost/policy.yaml and no --key"]);
    // A signature of another artifact does not do, though the key is right.
    let (one, other) = (lab.registry.manifest("acme/runqlat", "1.0.0"), lab.registry.manifest("acme/runqlat", "1.1.0"));
    assert_ne!(one, other);
    let tag_of = |tag: &str| {
        let found = lab.ebhost(&["verify", "--allow-unsigned", &lab.repository(&format!("acme/runqlat:{tag}"))]).done();
        let (_, digest) = found.split_once('@').expect("a reference with a digest");
        format!("{}.sig", digest.split_once(':').map(|(_, rest)| format!("sha256-{}", &rest[..64])).expect("a digest"))
    };
    let signature = lab.registry.manifest("acme/runqlat", &tag_of("1.0.0"));
    lab.registry.put_manifest("acme/runqlat", &tag_of("1.1.0"), &signature);
    lab.refused(&["--key", &a, &unsigned], &["the key has signed sha256:", "which is another artifact"]);
    // One good package does not bring a bad one with it.
    lab.refused(&["--key", &a, &signed, &unsigned], &["acme/runqlat:1.1.0@sha256:"]);
    assert!(lab.installed().is_empty());
}

#[test]
fn a_layer_that_was_changed_or_cut_in_the_registry_is_not_installed() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let (key, reference) = (lab.at("a.pub"), lab.repository("acme/runqlat:1.0.0"));
    lab.pull(&["--key", &key, &reference]).done();
    let newer = lab.repository("acme/runqlat:1.1.0");
    lab.push("1.1.0", "acme/runqlat", "1.1.0");
    let digest = layer(&lab.registry.manifest("acme/runqlat", "1.1.0"), "plugin.yaml");
    let file = lab.registry.blob_file(&digest);
    let bytes = fs::read(&file).expect("a blob");
    let mut changed = bytes.clone();
    changed[10] ^= 1;
    fs::write(&file, &changed).expect("the registry's own file");
    lab.refused(
        &["--key", &key, &newer],
        &[&format!("blob {digest}: found the digest sha256:"), "nothing of it is used"],
    );
    fs::write(&file, &bytes[..bytes.len() - 1]).expect("the registry's own file");
    let short = format!("found {} bytes, expected {}: the download was cut short", bytes.len() - 1, bytes.len());
    lab.refused(&["--key", &key, &newer], &[&short]);
    fs::write(&file, [&bytes[..], b"x"].concat()).expect("the registry's own file");
    lab.refused(&["--key", &key, &newer], &["found more than", "expected the blob that the manifest describes"]);
    fs::remove_file(&file).expect("the registry's own file");
    lab.refused(&["--key", &key, &newer], &["expected the blob that the manifest names"]);
    fs::write(&file, &bytes).expect("the registry's own file");
    let said = lab.pull(&["--key", &key, &newer]).done();
    assert!(said.starts_with("runqlat 1.1.0: installed in the place of 1.0.0"), "{said}");
}

/// Ends each answer with a blob after so many bytes.
fn cutting_proxy(registry: SocketAddr, after: usize) -> SocketAddr {
    proxy(registry, move |request, pass_on| {
        let mut answer = pass_on(request);
        if request.contains("/blobs/") {
            answer.truncate(after);
        }
        answer
    })
}

#[test]
fn a_connection_that_breaks_during_a_download_changes_nothing() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let proxy = cutting_proxy(lab.registry.address, 20_000);
    let reference = format!("{proxy}/acme/runqlat:1.0.0");
    lab.refused(&["--key", &lab.at("a.pub"), &reference], &["/blobs/sha256:", "was cut short", "try again"]);
    let nobody = crate::kit::free_address();
    lab.refused(
        &["--allow-unsigned", &format!("{nobody}/x:1")],
        &["no answer", "is this the registry, and does it listen there?"],
    );
}

#[test]
fn an_older_version_that_is_played_back_is_not_installed() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let (key, tag) = (lab.at("a.pub"), lab.repository("acme/runqlat:stable"));
    let old = lab.push("1.9.0", "acme/runqlat", "stable");
    lab.push("1.10.0", "acme/runqlat", "stable");
    lab.pull(&["--key", &key, &tag]).done();
    // Somebody moves the tag back: the old artifact still has its good signature.
    let old_digest = format!("{}@{}", lab.repository("acme/runqlat"), digest_of(&old));
    lab.tool("oras", &["tag", "--plain-http", &old_digest, "stable"]).done();
    lab.refused(
        &["--key", &key, &tag],
        &["found version 1.9.0, expected 1.10.0 or later, which is installed", "--allow-downgrade"],
    );
    let said = lab.pull(&["--key", &key, "--allow-downgrade", &tag]).done();
    assert!(said.starts_with("runqlat 1.9.0: installed in the place of 1.10.0"), "{said}");
    // An operator who names a digest has chosen it.
    let newest = lab.push("1.11.0", "acme/runqlat", "1.11.0");
    lab.pull(&["--key", &key, &newest]).done();
    lab.pull(&["--key", &key, &old]).done();
}

#[test]
fn a_policy_says_what_may_come_from_where() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    lab.push("1.0.0-x", "lab/runqlat", "1.0.0");
    lab.push("1.0.0-y", "named/runqlat", "1.0.0");
    let address = lab.registry.address;
    let policy = lab.write(
        "policy.yaml",
        &format!(
            "rules:\n- {{ repository: '{address}/acme/*', keys: [a.pub], bpf: true }}\n- {{ repository: '{address}/lab/*', keys: [a.pub] }}\n\
             - {{ repository: '{address}/named/*', keys: [a.pub], bpf: true, packages: [biolatency] }}\n"
        ),
    );
    let pull = |path: &str| lab.repository(path);
    lab.refused(
        &["--policy", &policy, &pull("evil/runqlat:1.0.0")],
        &["found no rule for", &format!("expected one of {address}/acme/*, ")],
    );
    lab.refused(&["--policy", &policy, "ghcr.io/acme/runqlat"], &["found no rule for ghcr.io/acme/runqlat"]);
    let bpf =
        [&format!("found a BPF object in `runqlat`, expected none: {policy} lets no package from {address}/lab/*")[..]];
    lab.refused(&["--policy", &policy, &pull("lab/runqlat:1.0.0")], &bpf);
    lab.refused(
        &["--policy", &policy, &pull("named/runqlat:1.0.0")],
        &["found the package `runqlat`, expected biolatency"],
    );
    lab.refused(&["--policy", &policy, "--key", &lab.at("b.pub"), &pull("acme/runqlat:1.0.0")], &["it alone decides"]);
    lab.refused(&["--policy", &policy, &pull("acme/runqlat:2.0.0")], &["found no such artifact in"]);
    lab.pull(&["--policy", &policy, &pull("acme/runqlat:1.0.0")]).done();
    let said = lab.ebhost(&["verify", "--policy", &policy, &lab.at("plugins")]).done();
    assert!(said.contains("1 packages, 2 pinned files"), "{said}");
    lab.write("policy.yaml", &format!("rules: [{{ repository: '{address}/other/*', keys: [a.pub] }}]\n"));
    let said = lab.ebhost(&["verify", "--policy", &policy, &lab.at("plugins")]);
    assert!(said.code == Some(1) && said.out.contains("runqlat: found no rule for"), "{said:?}");
}

#[test]
fn a_package_does_not_take_the_place_of_one_from_elsewhere() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let key = lab.at("a.pub");
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    lab.push("2.0.0", "other/tool", "2.0.0");
    let (ours, other) = (lab.repository("acme/runqlat:1.0.0"), lab.repository("other/tool:2.0.0"));
    ebhost_tests::copy_package(&lab.path("runqlat-1.0.0"), &lab.plugins().join("runqlat"));
    lab.refused(&["--key", &key, &ours], &["found the package `runqlat` in", "which `ebhost pull` did not put there"]);
    lab.refused(&["--key", &key, &ours, &other], &["which `ebhost pull` did not put there"]);
    lab.pull(&["--key", &key, "--replace", &ours]).done();
    let elsewhere = format!("which is installed from {}", lab.repository("acme/runqlat"));
    lab.refused(&["--key", &key, &other], &["found the package `runqlat`", &elsewhere, "--replace"]);
    lab.pull(&["--key", &key, "--replace", &other]).done();
    lab.refused(&["--key", &key, "--replace", &ours, &ours, &other], &["is as well; expected each once"]);
    fs::remove_dir_all(lab.plugins().join("runqlat")).expect("our own folder");
    std::os::unix::fs::symlink(lab.path("runqlat-1.0.0"), lab.plugins().join("runqlat")).expect("our own folder");
    lab.refused(&["--key", &key, "--replace", &ours], &["found a link, expected a folder"]);
}

#[test]
fn a_manifest_that_lies_about_paths_or_sizes_is_refused_before_anything_is_written() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let good = lab.registry.manifest("acme/runqlat", "1.0.0");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        lab.registry.put_manifest("acme/runqlat", "evil", &manifest);
        lab.repository("acme/runqlat:evil")
    };
    let title = "org.opencontainers.image.title";
    for path in ["../../etc/cron.d/x", "/etc/cron.d/x", "a/../../x", ".hidden", "sub/.x"] {
        let evil = with(&|manifest| manifest["layers"][1]["annotations"][title] = json!(path));
        lab.refused(
            &["--allow-unsigned", &evil],
            &[&format!("found the path `{path}`, expected one inside the package")],
        );
    }
    let evil = with(&|manifest| manifest["layers"][1]["annotations"][title] = json!("plugin.yaml"));
    lab.refused(&["--allow-unsigned", &evil], &["plugin.yaml: found it twice"]);
    let evil = with(&|manifest| manifest["layers"][1]["annotations"] = json!({}));
    lab.refused(
        &["--allow-unsigned", &evil],
        &["found a layer of type `application/vnd.ebhost.bpf.v1+elf` without the annotation"],
    );
    let evil = with(&|manifest| manifest["layers"][1]["size"] = json!(40_000_000));
    lab.refused(&["--allow-unsigned", &evil], &["runqlat.bpf.o: found 40000000 bytes, expected at most 33554432"]);
    let evil = with(&|manifest| manifest["layers"] = json!([good["layers"][1]]));
    lab.refused(&["--allow-unsigned", &evil], &["found no file `plugin.yaml` among its layers"]);
    let evil = with(&|manifest| manifest["layers"] = json!([good["layers"][0]]));
    lab.refused(&["--allow-unsigned", &evil], &["the files make no package", "runqlat.bpf.o"]);
    let evil = with(&|manifest| manifest["layers"] = Value::Array(vec![good["layers"][1].clone(); 65]));
    lab.refused(&["--allow-unsigned", &evil], &["found 65 files, expected at most 64"]);
}

#[test]
fn two_pulls_at_once_do_not_write_into_one_folder() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"), Tool("flock"));
    let lab = Lab::new();
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let mut holder = std::process::Command::new("flock");
    holder.arg("--no-fork").arg(lab.plugins()).args(["sleep", "60"]);
    let _held = ebhost_tests::Running::start(&mut holder);
    ebhost_tests::wait_until("the lock", std::time::Duration::from_secs(10), || {
        let free = std::process::Command::new("flock").arg("-n").arg(lab.plugins()).arg("true").status();
        free.is_ok_and(|status| !status.success()).then_some(())
    });
    lab.refused(&["--allow-unsigned", &lab.repository("acme/runqlat:1.0.0")], &["another `ebhost pull` writes there"]);
    lab.refused(&["--allow-unsigned"], &["found neither a reference nor --locked"]);
    let nowhere =
        lab.ebhost(&["pull", "--plugins", "/nonexistent", "--allow-unsigned", &lab.repository("acme/runqlat:1.0.0")]);
    assert!(nowhere.code == Some(2) && nowhere.err.contains("expected a folder for packages"), "{nowhere:?}");
}
