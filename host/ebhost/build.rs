//! What `--version` and `ebhost_build_info` say of a build: the revision and the compiler.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=EBHOST_REVISION");
    // The log of HEAD grows with each commit and each switch of branches.
    if let Some(log) = said("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    let given = std::env::var("EBHOST_REVISION").ok().filter(|revision| !revision.is_empty());
    let revision = given.or_else(|| said("git", &["rev-parse", "--short=12", "HEAD"]));
    println!("cargo:rustc-env=EBHOST_REVISION={}", revision.unwrap_or_else(|| "unknown".to_owned()));
    let rustc = std::env::var("RUSTC").ok().and_then(|rustc| said(&rustc, &["--version"])).unwrap_or_default();
    let version = rustc.split_whitespace().nth(1).unwrap_or("unknown");
    println!("cargo:rustc-env=EBHOST_RUSTC={version}");
}

/// What a command prints; none: it is not there, or fails.
fn said(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
