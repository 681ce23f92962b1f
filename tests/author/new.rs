//! The packages that `ebhost new` writes: they build and pass their own tests, or say what to install. The guide's test
//! covers Rust.

use std::{env, fs, path::Path, process::Command};

use ebhost_tests::{Folder, binary, needs, workspace};

use crate::{Said, ebhost, npm, said};

fn script(name: &str, package: &Path, path: &str) -> Said {
    let mut command = Command::new(package.join(name));
    said(command.current_dir(package).env("EBHOST", binary()).env("PATH", path))
}

fn builds_and_passes(language: &str) {
    let folder = Folder::new();
    let made = ebhost(&["new", "forks", "--lang", language], folder.path());
    assert_eq!(made.code, Some(0), "{}", made.err);
    let (package, path) = (folder.path().join("forks"), env::var("PATH").unwrap_or_default());
    for name in ["build.sh", "test.sh"] {
        let ended = script(name, &package, &path);
        assert_eq!(ended.code, Some(0), "{name}: {}{}", ended.out, ended.err);
    }
    takes_its_config(&package);
}

/// The component of every language has the same config key and refuses others by name.
fn takes_its_config(package: &Path) {
    let yaml = package.join("plugin.yaml");
    let text = fs::read_to_string(&yaml).expect("the template's");
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        fs::write(&yaml, text.replacen(from, to, 1)).expect("our own file");
    };
    replaced("commands: []", "commands: [make, cc1]");
    let shown = ebhost(&["replay", ".", "sample.jsonl"], package);
    let series: Vec<_> = shown.out.lines().filter(|line| line.contains("_events_total{")).collect();
    let of = |event, comm, count| format!("ebhost_forks_events_total{{event=\"{event}\",comm=\"{comm}\"}} {count}");
    assert_eq!(series, [of("exec", "make", 7), of("exit", "cc1", 30)], "{}", shown.err);
    replaced("commands: []", "comands: []");
    let refused = ebhost(&["check", "."], package);
    assert!(refused.code == Some(1) && refused.out.contains("`comands`"), "{}", refused.out);
}

#[test]
fn a_c_package_builds_and_passes_its_test() {
    needs!(Tool("clang-19"), Tool("wasm-ld-19"), File("/usr/lib/wasm32-wasi/libc.a"), Tool("rustc"));
    builds_and_passes("c");
}

/// The helpers for C knew counters alone: everything else had to be written with the generated bindings.
#[test]
fn the_helpers_for_c_make_every_kind_of_family() {
    needs!(Tool("clang-19"), Tool("wasm-ld-19"), File("/usr/lib/wasm32-wasi/libc.a"), Tool("rustc"));
    let folder = Folder::new();
    assert_eq!(ebhost(&["new", "kinds", "--lang", "c"], folder.path()).code, Some(0));
    let package = folder.path().join("kinds");
    for name in ["kinds.bpf.c", "component.c", "plugin.yaml", "sample.jsonl", "expected.prom"] {
        fs::copy(workspace().join("tests/author/kinds").join(name), package.join(name)).expect("our own folder");
    }
    let path = env::var("PATH").unwrap_or_default();
    for name in ["build.sh", "test.sh"] {
        let ended = script(name, &package, &path);
        assert_eq!(ended.code, Some(0), "{name}: {}{}", ended.out, ended.err);
    }
    let yaml = package.join("plugin.yaml");
    let text = fs::read_to_string(&yaml).expect("our own file");
    fs::write(&yaml, text.replace("least: 2", "least: two")).expect("our own file");
    let refused = ebhost(&["check", "."], &package);
    let says = "found the key `least` with another value than a whole number";
    assert!(refused.code == Some(1) && refused.out.contains(says), "{}", refused.out);
}

#[test]
fn a_javascript_package_builds_and_passes_its_test() {
    needs!(Tool("clang-19"), Tool("node"), Tool("npm"));
    let _alone = npm();
    builds_and_passes("javascript");
}

#[test]
fn a_python_package_builds_and_passes_its_test() {
    needs!(Tool("clang-19"), Tool("python3"));
    builds_and_passes("python");
}

/// Each pattern is built as its author would build it, passes its own tests, and counts.
#[test]
fn every_pattern_builds_passes_its_tests_and_counts() {
    needs!(Root, Tool("clang-19"), Tool("cargo"));
    let path = env::var("PATH").unwrap_or_default();
    for (pattern, shown) in [
        ("histogram", "softs_seconds (seconds)"),
        ("events", "softs_execs_total"),
        ("runqlat", "softs_latency_seconds (seconds)"),
    ] {
        let folder = Folder::new();
        let made = ebhost(&["new", "softs", "--from", pattern], folder.path());
        assert_eq!(made.code, Some(0), "{}", made.err);
        let package = folder.path().join("softs");
        for name in ["build.sh", "test.sh"] {
            // Kept between runs: where Rust's standard library for wasm32 is not installed, it is built, which takes minutes.
            let mut command = Command::new(package.join(name));
            command.current_dir(&package).env("EBHOST", binary()).env("PATH", &path);
            let ended = said(command.env("CARGO_TARGET_DIR", workspace().join("target/guide")));
            assert_eq!(ended.code, Some(0), "{pattern}, {name}: {}{}", ended.out, ended.err);
        }
        let ran = ebhost(&["run", ".", "--for", "1s"], &package);
        assert!(ran.code == Some(0) && ran.out.contains(shown), "{pattern}: {}{}", ran.out, ran.err);
    }
}

/// All packages share one build folder, so that the standard library is built once.
#[test]
fn packages_of_one_name_get_their_own_components_from_the_shared_build_folder() {
    needs!(Tool("clang-19"), Tool("cargo"));
    let folder = Folder::new();
    let built = |parent: &str| {
        let package = folder.path().join(parent).join("forks");
        let mut command = Command::new(package.join("build.sh"));
        let ended = said(command.current_dir(&package).env("CARGO_TARGET_DIR", workspace().join("target/guide")));
        assert_eq!(ended.code, Some(0), "{parent}: {}{}", ended.out, ended.err);
        assert!(!package.join("target").exists(), "nothing is built in the package");
        fs::read(package.join("forks.wasm")).expect("it was built")
    };
    for parent in ["a", "b"] {
        fs::create_dir(folder.path().join(parent)).expect("our own folder");
        assert_eq!(ebhost(&["new", "forks"], &folder.path().join(parent)).code, Some(0));
    }
    let source = folder.path().join("b/forks/src/lib.rs");
    let text = fs::read_to_string(&source).expect("the template's");
    fs::write(&source, text.replace("\"comm\"", "\"command\"")).expect("our own file");
    let (first, other) = (built("a"), built("b"));
    assert!(first != other && built("a") == first && built("b") == other);
}

#[test]
fn a_pattern_of_rust_is_refused_for_other_languages() {
    let folder = Folder::new();
    let refused = ebhost(&["new", "softs", "--lang", "c", "--from", "histogram"], folder.path());
    assert!(refused.code == Some(2) && refused.err.contains("expected `--from counter`"), "{}", refused.err);
    assert!(!folder.path().join("softs").exists());
}

#[test]
fn a_missing_toolchain_is_named_with_what_to_install() {
    let folder = Folder::new();
    for (language, tool, remedy) in [
        ("rust", "found no cargo", "https://rustup.rs"),
        ("c", "found no wasm-ld", "apt-get install lld"),
        ("javascript", "found no npm", "apt-get install nodejs npm"),
        ("python", "found no python3", "apt-get install python3-venv"),
    ] {
        assert_eq!(ebhost(&["new", language, "--lang", language], folder.path()).code, Some(0));
        let package = folder.path().join(language);
        // A PATH with only the tools of a minimal system. The BPF program is built already, so clang is not missing.
        let bare = folder.path().join(format!("bin-{language}"));
        fs::create_dir(&bare).expect("our own folder");
        std::os::unix::fs::symlink("/usr/bin/dirname", bare.join("dirname")).expect("our own folder");
        let none = script("build.sh", &package, bare.to_str().expect("a plain path"));
        assert!(none.err.contains("found no clang, expected version 15 or newer: apt-get install"), "{}", none.err);
        std::os::unix::fs::symlink("/bin/true", bare.join("clang")).expect("our own folder");
        let ended = script("build.sh", &package, bare.to_str().expect("a plain path"));
        assert!(ended.code == Some(1) && ended.err.contains(tool) && ended.err.contains(remedy), "{}", ended.err);
    }
}

#[test]
fn an_invalid_or_existing_name_is_refused() {
    let folder = Folder::new();
    for (name, says) in [("Forks", "expected lower-case letters"), ("../x", "expected lower-case letters")] {
        let refused = ebhost(&["new", name], folder.path());
        assert!(refused.code == Some(2) && refused.err.contains(says), "{}", refused.err);
    }
    fs::create_dir(folder.path().join("forks")).expect("our own folder");
    let refused = ebhost(&["new", "forks"], folder.path());
    assert!(refused.code == Some(2) && refused.err.contains("forks: is there already"), "{}", refused.err);
}
