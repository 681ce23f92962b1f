//! BPF objects: clang, without DWARF, with the digest of their sources. The same bytes from any folder, of one clang version.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::digest;
use crate::error::{Error, Result};
use crate::package::Artefact;
use crate::process::{find, output, run};
use crate::seal::ELF_SECTION;

/// Before 19, clang has no support for all that `-mcpu=v3` programs here use. The first is the one that committed objects are built with.
const SUFFIXES: [&str; 5] = ["-19", "-20", "-21", "-22", ""];
const OLDEST: u32 = 19;

/// `bpf/NAME.bpf.c` to `plugins/NAME/NAME.bpf.o`.
pub(crate) fn build(root: &Path, object: &Artefact) -> Result<()> {
    let suffix = suffix()?;
    let source = format!("bpf/{}.bpf.c", object.name);
    let work = root.join("target/bpf").join(&object.name);
    fs::create_dir_all(&work).map_err(Error::file(&work))?;
    let built = work.join("object.o");
    let digest = work.join("sources");
    fs::write(&digest, digest::of(root, object)?).map_err(Error::file(&digest))?;

    // Paths that BTF keeps are relative to the workspace, where clang therefore runs.
    run(Command::new(format!("clang{suffix}"))
        .current_dir(root)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror"])
        .arg(format!("-ffile-prefix-map={}=.", root.display()))
        .args(["-c", &source, "-o"])
        .arg(&built))?;
    run(Command::new(format!("llvm-strip{suffix}")).arg("-g").arg(&built))?;
    run(Command::new(format!("llvm-objcopy{suffix}"))
        .arg(format!("--add-section={ELF_SECTION}={}", digest.display()))
        .arg(&built))?;

    let path = root.join(&object.path);
    let size = fs::copy(&built, &path).map_err(Error::file(&path))?;
    println!("built  {} ({size} bytes)", object.path.display());
    Ok(())
}

/// What follows `clang`, `llvm-strip` and `llvm-objcopy` in the names of an LLVM that is new enough.
fn suffix() -> Result<&'static str> {
    let whole = |suffix: &&&str| {
        ["clang", "llvm-strip", "llvm-objcopy"].iter().all(|tool| find(&format!("{tool}{suffix}")).is_some())
    };
    for suffix in SUFFIXES.iter().filter(whole) {
        if version(&output(Command::new(format!("clang{suffix}")).arg("--version"))?) >= Some(OLDEST) {
            return Ok(suffix);
        }
    }
    Err(Error::Missing {
        tool: "clang 19 or newer, with llvm-strip and llvm-objcopy,",
        remedy: "apt-get install clang-19 llvm-19",
    })
}

fn version(text: &str) -> Option<u32> {
    text.split("clang version ").nth(1)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_put_their_name_before_the_version() {
        assert_eq!(version("Debian clang version 19.1.7 (3~deb12u1)\nTarget: x"), Some(19));
        assert_eq!(version("clang version 22.0.0git"), Some(22));
        assert_eq!(version("gcc 12"), None);
    }
}
