//! Hosts that reach no registry, mirrors, and a fleet with a lock file.

use std::fs;

use ebhost_tests::needs;

use crate::kit::{Lab, Registry, files, free_address};

#[test]
fn a_lock_file_gives_every_host_the_same_bytes_also_where_no_registry_is_reached() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let key = lab.at("a.pub");
    let pushed = lab.push("1.0.0", "acme/runqlat", "stable");
    let (lock, tag) = (lab.at("ebhost.lock"), lab.repository("acme/runqlat:stable"));
    lab.pull(&["--key", &key, "--lock", &lock, &tag]).done();
    let text = fs::read_to_string(&lock).expect("a lock file");
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(), [pushed.as_str()]);
    // The tag moves on, and the fleet does not.
    lab.push("1.1.0", "acme/runqlat", "stable");
    let first = lab.installed();
    let another = lab.at("another");
    fs::create_dir(&another).expect("our own folder");
    lab.ebhost(&["pull", "--plugins", &another, "--key", &key, "--locked", &lock]).done();
    assert!(files(&lab.path("another")) == first);
    // Carried there on a disk, with both signatures and digests.
    let layout = format!("oci:{}", lab.at("disk"));
    lab.ebhost(&["pull", "--key", &key, "--locked", &lock, "--to", &layout]).done();
    let registry = lab.registry.address;
    let (home, remote) = (&lab, lab.at("remote"));
    fs::create_dir(&remote).expect("our own folder");
    let carried =
        home.ebhost(&["pull", "--plugins", &remote, "--key", &key, "--locked", &lock, "--from", &layout]).done();
    assert!(
        carried.contains(&format!("runqlat 1.0.0: installed, signed by {key}: {registry}/acme/runqlat:stable@")),
        "{carried}"
    );
    assert!(files(&lab.path("remote")) == first);
    lab.refused(&["--key", &lab.at("b.pub"), "--from", &layout, &tag], &["found a signature of"]);
    lab.refused(
        &["--key", &key, "--from", &layout, &lab.repository("acme/runqlat:other")],
        &["found no such artifact in oci:"],
    );
    lab.refused(&["--key", &key, "--from", "oci:/nonexistent", &tag], &["expected an OCI layout folder"]);
    lab.refused(&["--key", &key, "--from", "/tmp", &tag], &["expected a layout folder as in oci:PATH"]);
    // A bit that fell over on the disk.
    let digest = lab.registry.manifest("acme/runqlat", crate::kit::digest_of(&pushed))["layers"][0]["digest"].clone();
    let hex = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
    let blob = lab.path("disk/blobs/sha256").join(hex);
    let mut bytes = fs::read(&blob).expect("a blob");
    bytes[3] ^= 8;
    fs::write(&blob, bytes).expect("our own file");
    fs::remove_dir_all(lab.plugins().join("runqlat")).expect("our own folder");
    lab.refused(
        &["--key", &key, "--locked", &lock, "--from", &layout],
        &["found the digest sha256:", "nothing of it is used"],
    );
    lab.write("ebhost.lock", &format!("{tag}\n"));
    lab.refused(&["--key", &key, "--locked", &lock], &[":1: found `", "expected a digest in it"]);
}

#[test]
fn a_mirror_is_asked_first_and_trusted_no_more_than_the_registry() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let pushed = lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let mirror = Registry::start();
    let layout = format!("oci:{}", lab.at("layout"));
    lab.ebhost(&["pull", "--key", &lab.at("a.pub"), "--to", &layout, &lab.repository("acme/runqlat:1.0.0")]).done();
    let copied = lab.ebhost(&["push", &layout, &format!("{}/of-acme/runqlat:1.0.0", mirror.address)]).done();
    assert_eq!(crate::kit::digest_of(copied.trim()), crate::kit::digest_of(&pushed));
    // A registry that nobody reaches, which the mirror stands for.
    let (origin, dead) = (free_address(), free_address());
    let policy = |key: &str| {
        let text = format!(
            "rules: [{{ repository: '{origin}/acme/*', keys: [{key}], bpf: true }}]\n\
             mirrors: [{{ for: '{origin}/acme/*', use: ['{dead}/x', '{}/of-acme'] }}]\n",
            mirror.address
        );
        lab.write("policy.yaml", &text)
    };
    let reference = format!("{origin}/acme/runqlat:1.0.0");
    lab.refused(&["--policy", &policy("b.pub"), &reference], &["another key has signed"]);
    let said = lab.pull(&["--policy", &policy("a.pub"), &reference]).done();
    assert!(said.contains(&format!("{reference}@{}", crate::kit::digest_of(&pushed))), "{said}");
    lab.refused(&["--policy", &policy("a.pub"), &format!("{origin}/acme/other:1")], &["no answer"]);
}
