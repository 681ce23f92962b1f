//! Every committed artefact contains a digest of its sources, and `cargo xtask build --check` compares it with the
//! sources.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ebhost_tests::{target, workspace};

/// In a copy of the repository: unchanged, then with a changed header of the BPF program, then with a changed contract
/// as well.
#[test]
fn an_artefact_is_stale_once_a_source_has_changed() {
    // Always the same folder, so that xtask is compiled there only once and files do not accumulate.
    let copy = target().join("copy/ebhost");
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(&copy).expect("a folder in the target folder");
    copy_sources(workspace(), &copy);
    let object = "plugins/biolatency/biolatency.bpf.o";
    let component = "plugins/biolatency/biolatency.wasm";

    let (is_as_described, said) = xtask(&copy, &["dashboards", "--check"]);
    assert!(is_as_described, "{said}");
    let (is_fresh, said) = check(&copy);
    assert!(is_fresh, "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("fresh  ")).count(), 39, "{said}");

    append(&copy.join("bpf/banks.h"));
    let (is_fresh, said) = check(&copy);
    assert!(!is_fresh && said.contains(&format!("stale  {object}: was built from sha256:")), "{said}");
    assert!(said.contains(&format!("fresh  {component}\n")), "{said}");
    assert!(said.contains("1 of the committed artefacts are stale: try `cargo xtask build`"), "{said}");

    append(&copy.join("wit/log.wit"));
    fs::remove_file(copy.join(object)).expect("our own file");
    let (is_fresh, said) = check(&copy);
    assert!(!is_fresh && said.contains(&format!("stale  {component}: was built from sha256:")), "{said}");
    assert!(said.contains(&format!("stale  {object}: does not exist\n")), "{said}");
}

fn check(root: &Path) -> (bool, String) {
    xtask(root, &["build", "--check"])
}

/// Whether a command of xtask succeeds, and its output.
fn xtask(root: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).arg("xtask").args(args);
    command
        .env("CARGO_TARGET_DIR", root.with_file_name("target"))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_MANIFEST_DIR");
    let output = command.output().expect("cargo starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn append(file: &Path) {
    let text = fs::read_to_string(file).expect("a source of the repository");
    fs::write(file, text + "\n// changed\n").expect("our own file");
}

/// Copies everything except git's and cargo's folders.
fn copy_sources(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder of the repository") {
        let from: PathBuf = entry.expect("a folder of the repository").path();
        let name = from.file_name().expect("an entry has a name");
        if name == ".git" || name == "target" {
            continue;
        }
        if from.is_dir() {
            fs::create_dir(to.join(name)).expect("our own folder");
            copy_sources(&from, &to.join(name));
        } else {
            fs::copy(&from, to.join(name)).expect("a file of the repository");
        }
    }
}
