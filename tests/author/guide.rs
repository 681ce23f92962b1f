//! Runs the commands of docs/writing-a-plugin.md as they are, in an empty folder.

use std::{env, fs, process::Command};

use ebhost_tests::{Folder, binary, needs, workspace};

use crate::said;

/// The contents of the guide's shell blocks.
fn commands(guide: &str) -> String {
    let blocks = guide.split("```sh\n").skip(1);
    blocks.filter_map(|block| block.split_once("```")).map(|(commands, _)| commands).collect()
}

#[test]
fn the_guide_leads_to_a_new_family_on_metrics() {
    needs!(Root, Tool("clang-19"), Tool("cargo"), Tool("curl"));
    let guide = fs::read_to_string(workspace().join("docs/writing-a-plugin.md")).expect("the guide");
    let commands = commands(&guide);
    assert!(commands.contains("ebhost new forks\n") && commands.contains("/metrics"), "{commands}");
    let folder = Folder::new();
    let binary = binary();
    let path = [binary.parent().expect("a folder").to_owned()];
    let path = env::join_paths(path.into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())));
    let mut shell = Command::new("sh");
    shell.args(["-euc", &commands]).current_dir(folder.path()).env("PATH", path.expect("plain paths"));
    // Kept between runs: where Rust's standard library for wasm32 is not installed, it is built, which takes minutes.
    shell.env("CARGO_TARGET_DIR", workspace().join("target/guide"));
    let ended = said(&mut shell);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let last = ended.out.lines().rfind(|line| line.starts_with("ebhost_forks_events_total{"));
    assert!(last.is_some_and(|line| line.contains("event=\"") && line.contains("command=\"")), "{}", ended.out);
}
