//! BPF objects: compiled by clang, stripped of DWARF, sealed with the digest of their sources. One version of clang gives the same bytes
//! in any folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::digest;
use crate::error::{Error, Result};
use crate::package::Artefact;
use crate::process::{find, output, run};
use crate::seal::ELF_SECTION;

/// Suffixes of the LLVM tools' names, in order of preference. The committed objects are built with the first one.
const SUFFIXES: [&str; 5] = ["-19", "-20", "-21", "-22", ""];
/// Older versions of clang lack features that the programs use with `-mcpu=v3`.
const OLDEST: u32 = 19;

/// Compiles `bpf/NAME.bpf.c` below `target/bpf`; returns the sealed object.
pub(crate) fn build(root: &Path, object: &Artefact) -> Result<Vec<u8>> {
    let suffix = suffix()?;
    let source = format!("bpf/{}.bpf.c", object.name);
    let work = root.join("target/bpf").join(&object.name);
    fs::create_dir_all(&work).map_err(Error::file(&work))?;
    let built = work.join("object.o");
    let digest = work.join("sources");
    fs::write(&digest, digest::of(root, object)?).map_err(Error::file(&digest))?;

    // BTF contains the paths of the sources: clang runs in the workspace, so that they are relative to it.
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

    fs::read(&built).map_err(Error::file(&built))
}

/// The version of the clang that [`build`] uses, as clang prints it.
pub(crate) fn version() -> Result<String> {
    let text = output(Command::new(format!("clang{}", suffix()?)).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The suffix of an LLVM that is new enough and has all three tools.
fn suffix() -> Result<&'static str> {
    let is_complete = |suffix: &&&str| {
        ["clang", "llvm-strip", "llvm-objcopy"].iter().all(|tool| find(&format!("{tool}{suffix}")).is_some())
    };
    for suffix in SUFFIXES.iter().filter(is_complete) {
        if major_version(&output(Command::new(format!("clang{suffix}")).arg("--version"))?) >= Some(OLDEST) {
            return Ok(suffix);
        }
    }
    Err(Error::Missing {
        tool: "clang 19 or newer, with llvm-strip and llvm-objcopy,",
        remedy: "apt-get install clang-19 llvm-19",
    })
}

fn major_version(text: &str) -> Option<u32> {
    text.split("clang version ").nth(1)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_may_follow_the_name_of_a_distribution() {
        assert_eq!(major_version("Debian clang version 19.1.7 (3~deb12u1)\nTarget: x"), Some(19));
        assert_eq!(major_version("clang version 22.0.0git"), Some(22));
        assert_eq!(major_version("gcc 12"), None);
    }
}
