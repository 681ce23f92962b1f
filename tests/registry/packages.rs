//! Packages as artifacts, and as they are installed again.

use std::fs;

use ebhost_tests::{committed, needs};
use serde_json::{Value, json};

use crate::kit::{Lab, digest_of};

#[test]
fn a_pushed_package_is_a_wasm_artifact_whose_layers_are_its_files() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let folder = lab.path("biolatency");
    ebhost_tests::copy_package(&committed().join("biolatency"), &folder);
    fs::write(folder.join("README.md"), "# Latencies\n").expect("our own folder");
    let text = fs::read_to_string(folder.join("plugin.yaml")).expect("a package");
    let text = text.replacen("name: biolatency\n", "name: biolatency\nversion: \"1.2.0\"\nlicense: Apache-2.0\n", 1);
    fs::write(folder.join("plugin.yaml"), text).expect("our own folder");
    let pushed = lab.push_folder(&folder, "acme/biolatency", &["--source", "https://example.org/src"]);
    assert!(pushed.starts_with(&format!("{}:1.2.0@sha256:", lab.repository("acme/biolatency"))), "{pushed}");

    let manifest = lab.registry.manifest("acme/biolatency", "1.2.0");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(text(&manifest["artifactType"]), "application/vnd.ebhost.package.v1+json");
    let layers: Vec<_> = manifest["layers"].as_array().expect("layers").iter().collect();
    let shown: Vec<_> = layers
        .iter()
        .map(|layer| (text(&layer["mediaType"]), text(&layer["annotations"]["org.opencontainers.image.title"])))
        .collect();
    let expected = [
        ("application/vnd.ebhost.plugin.v1+yaml", "plugin.yaml"),
        ("application/wasm", "biolatency.wasm"),
        ("application/vnd.ebhost.bpf.v1+elf", "biolatency.bpf.o"),
        ("text/plain", "README.md"),
    ];
    assert_eq!(shown, expected.map(|(kind, title)| (kind.to_owned(), title.to_owned())));
    for (layer, (_, title)) in layers.iter().zip(expected) {
        let bytes = fs::read(folder.join(title)).expect("a file of the package");
        assert_eq!(lab.registry.blob("acme/biolatency", &text(&layer["digest"])), bytes, "{title}");
        assert_eq!(layer["size"], json!(bytes.len()));
    }
    let annotations = &manifest["annotations"];
    for (key, value) in [
        ("title", "biolatency"),
        ("version", "1.2.0"),
        ("licenses", "Apache-2.0"),
        ("source", "https://example.org/src"),
        ("description", "Latency of block I/O, by disk and operation."),
    ] {
        let found = text(&annotations[format!("org.opencontainers.image.{key}")]);
        if key == "description" { assert!(!found.is_empty()) } else { assert_eq!(found, value, "{key}") }
    }
    assert!(text(&annotations["org.opencontainers.image.created"]).starts_with("20"));

    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    let config = lab.registry.blob("acme/biolatency", &text(&manifest["config"]["digest"]));
    let config: Value = serde_json::from_slice(&config).expect("a configuration is JSON");
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    let digests: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    assert_eq!(config["layerDigests"], Value::Array(digests));
    let exports = config["component"]["exports"].as_array().expect("exports");
    assert!(exports.iter().any(|name| text(name).starts_with("ebhost:plugin/")), "{config}");
    assert!(config["component"]["imports"].is_array());
}

#[test]
fn a_package_is_installed_by_tag_and_by_digest_with_its_pins() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let source = lab.package("1.0.0");
    fs::create_dir(source.join("tests")).expect("our own folder");
    fs::copy(committed().join("runqlat/tests/sample.jsonl"), source.join("tests/sample.jsonl")).expect("a recording");
    let pushed = lab.push_folder(&source, "acme/runqlat:stable", &["--sign-key", &lab.at("a.key")]);
    let key = lab.at("a.pub");
    let by_tag = lab.repository("acme/runqlat:stable");
    let said = lab.pull(&["--key", &key, &by_tag]).done();
    assert_eq!(said, format!("runqlat 1.0.0: installed, signed by {key}: {pushed}\n"));
    let installed = lab.installed();
    for file in ["plugin.yaml", "runqlat.bpf.o"] {
        assert_eq!(installed[&format!("runqlat/{file}")], fs::read(source.join(file)).expect("its source"), "{file}");
    }
    let names: Vec<_> = installed.keys().map(String::as_str).collect();
    assert_eq!(names, ["pins", "runqlat/", "runqlat/plugin.yaml", "runqlat/runqlat.bpf.o"], "recordings are left out");
    // The pins are what sha256sum writes, with a comment.
    let pins = String::from_utf8(installed["pins"].clone()).expect("a text");
    let record = pins.lines().next().expect("a comment");
    assert!(
        record.starts_with("# ebhost pull: runqlat 1.0.0 20") && record.ends_with(&format!(" {pushed}")),
        "{record}"
    );
    let mut check = std::process::Command::new("sha256sum");
    ebhost_tests::output(
        check.args(["--check", "--strict", "--ignore-missing"]).arg("pins").current_dir(lab.plugins()),
    );

    let by_digest = format!("{}@{}", lab.repository("acme/runqlat"), digest_of(&pushed));
    let said = lab.pull(&["--key", &key, &by_digest]).done();
    assert!(said.starts_with("runqlat 1.0.0: is there already, signed by"), "{said}");
    assert!(lab.installed() == installed);
    // A file that was changed by hand is put right.
    fs::write(lab.plugins().join("runqlat/plugin.yaml"), "name: runqlat\n").expect("our own folder");
    let said = lab.ebhost(&["verify", &lab.at("plugins")]);
    assert!(said.code == Some(1) && said.out.contains("runqlat/plugin.yaml: found the sha256"), "{said:?}");
    lab.pull(&["--key", &key, &by_tag]).done();
    assert!(lab.installed() == installed);
    let said = lab.ebhost(&["verify", &lab.at("plugins")]).done();
    assert!(said.ends_with(&format!("1 packages, 2 pinned files: as {} says\n", lab.at("plugins/pins"))), "{said}");
    lab.pull(&["--key", &key, "--recordings", "--architecture", "arm64", &by_tag]).done();
}

#[test]
fn each_architecture_gets_its_own_object() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    let source = lab.package("1.0.0");
    let mut other = fs::read(source.join("runqlat.bpf.o")).expect("an object");
    other.push(0);
    fs::write(lab.path("arm.o"), &other).expect("our own folder");
    let own = format!("amd64={}", source.join("runqlat.bpf.o").display());
    let arm = format!("arm64={}", lab.at("arm.o"));
    lab.push_folder(&source, "acme/both", &["--bpf", &own, "--bpf", &arm]);
    lab.push_folder(&source, "acme/arm", &["--bpf", &arm]);
    let both = lab.repository("acme/both:1.0.0");
    for (architecture, file) in [("amd64", source.join("runqlat.bpf.o")), ("arm64", lab.path("arm.o"))] {
        let folder = lab.at(architecture);
        fs::create_dir(&folder).expect("our own folder");
        lab.ebhost(&["pull", "--plugins", &folder, "--allow-unsigned", "--architecture", architecture, &both]).done();
        let installed = fs::read(lab.path(architecture).join("runqlat/runqlat.bpf.o")).expect("an object");
        assert!(installed == fs::read(file).expect("an object"), "{architecture}");
    }
    lab.refused(
        &["--allow-unsigned", "--architecture", "amd64", &lab.repository("acme/arm:1.0.0")],
        &["runqlat.bpf.o: found objects for arm64, expected one for amd64 or for every architecture"],
    );
}

#[test]
fn search_lists_packages_and_nothing_else() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    lab.push("1.1.0", "acme/runqlat", "1.1.0");
    lab.write("note.txt", "no package");
    let other = lab.repository("other/notes:1");
    lab.tool("oras", &["push", "--plain-http", &other, "note.txt:text/plain"]).done();
    let found = lab.ebhost(&["search", &lab.registry.address.to_string()]).done();
    let line = |version: &str| {
        format!("{}:{version}  {version}  How long tasks waited for a CPU.\n", lab.repository("acme/runqlat"))
    };
    assert_eq!(found, format!("{}{}1 other artifacts are no packages of ebhost\n", line("1.0.0"), line("1.1.0")));
    assert_eq!(lab.ebhost(&["search", &lab.repository("acme/")]).done(), line("1.0.0") + &line("1.1.0"));
    assert_eq!(lab.ebhost(&["search", &lab.repository("nobody")]).code, Some(1));
}
