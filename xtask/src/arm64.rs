//! Builds ebhost for arm64 and tests it in a virtual machine. It is a command of its own because it takes too long for every run of the
//! tests.
//!
//! The compiler is the installed Rust if it has that target, or else Debian's rustc-web with Debian's standard library for arm64, unpacked
//! next to it. The linker is Debian's `aarch64-linux-gnu-gcc`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{cargo, find, output, run};
use crate::toolchain::{cache, unpacked};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";

/// Downloads the newest package of the standard library for arm64 that matches the compiler's version. `$1` is the version, `$2` the folder.
const FETCH: &str = r#"
set -euo pipefail
version=$1 folder=$2
rm -rf "$folder"; mkdir -p "$folder"/lists/partial "$folder"/archives/partial; cd "$folder"
mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
for suite in "$mirror bookworm" "$mirror-security bookworm-security"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $suite main"
done > sources.list
cat > apt.conf <<CONF
APT::Architecture "arm64"; APT::Architectures { "arm64"; }; Dir::State::status "/dev/null";
Dir::Etc::sourcelist "$folder/sources.list"; Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$folder/lists"; Dir::Cache "$folder"; APT::Sandbox::User "root"; Acquire::Languages "none";
CONF
export APT_CONFIG=$folder/apt.conf
apt-get update -q > /dev/null
full=$(apt-cache madison libstd-rust-web-dev | awk '{ print $3 }' | grep "^$version+" | head -1)
[ -n "$full" ] || { echo "no libstd-rust-web-dev $version for arm64 on $mirror" >&2; exit 1; }
apt-get download -q "libstd-rust-web-dev=$full" > /dev/null
dpkg-deb -x ./*.deb . && rm -rf lists archives ./*.deb
"#;

/// Builds ebhost and runs the tests in the virtual machine.
pub(crate) fn arm64(root: &Path) -> Result<()> {
    let folder = root.join("target/arm64");
    let mut build = cargo();
    cross(&mut build)?;
    // Optimized little, to compile fast: these tests measure no speed.
    build.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
    build.current_dir(root).env("CARGO_TARGET_DIR", &folder);
    run(build.args(["build", "--locked", "--release", "--package", "ebhost", "--target", TARGET]))?;
    let ebhost = folder.join(TARGET).join("release/ebhost");
    let mut tests = cargo();
    tests.current_dir(root).args(["test", "--release", "--workspace", "--test", "guest", "--", "arm"]);
    run(tests.env("EBHOST_ARM64", ebhost))
}

/// The tools that build for arm64.
pub(crate) struct Cross {
    /// The prefix of the names of binutils.
    pub(crate) prefix: &'static str,
    /// The compiler; none: the installed one.
    pub(crate) rustc: Option<PathBuf>,
}

/// Makes a build use the compiler and the linker for arm64.
pub(crate) fn cross(build: &mut Command) -> Result<Cross> {
    if find(LINKER).is_none() {
        let remedy = "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm";
        return Err(Error::Missing { tool: LINKER, remedy });
    }
    let rustc = rustc()?;
    if let Some(rustc) = &rustc {
        build.env("RUSTC", rustc);
    }
    build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER).env("CC_aarch64_unknown_linux_gnu", LINKER);
    Ok(Cross { prefix: "aarch64-linux-gnu-", rustc })
}

/// A compiler with a standard library for arm64; none if the installed one has it.
fn rustc() -> Result<Option<PathBuf>> {
    let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?);
    if sysroot.join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(None);
    }
    let debian = unpacked()?;
    let version = output(Command::new(debian.join("rustc")).arg("--version"))?;
    let version = version.split(' ').nth(1).unwrap_or_default().to_owned();
    let folder = cache().join(format!("rustc-arm64-{version}"));
    let wrapper = folder.join("rustc");
    if !wrapper.exists() {
        println!("unpacking Debian's standard library for arm64 into {}", folder.display());
        run(Command::new("bash").args(["-c", FETCH, "fetch", &version]).arg(&folder))?;
        assemble(&debian, &folder)?;
        wrap(&debian, &folder, &wrapper)?;
    }
    Ok(Some(wrapper))
}

/// Makes one sysroot with the libraries of both architectures: build scripts run on this machine.
fn assemble(debian: &Path, folder: &Path) -> Result<()> {
    let libraries = folder.join("sysroot/lib/rustlib");
    fs::create_dir_all(&libraries).map_err(Error::file(&libraries))?;
    for part in [debian, folder] {
        let from = part.join("usr/lib/rustlib");
        for library in fs::read_dir(&from).map_err(Error::file(&from))?.flatten() {
            let to = libraries.join(library.file_name());
            std::os::unix::fs::symlink(library.path(), &to).map_err(Error::file(&to))?;
        }
    }
    Ok(())
}

fn wrap(debian: &Path, folder: &Path, wrapper: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mut script = OsString::from("#!/bin/sh\nexec '");
    script.push(debian.join("rustc"));
    script.push("' --sysroot '");
    script.push(folder.join("sysroot"));
    script.push("' \"$@\"\n");
    fs::write(wrapper, script.as_encoded_bytes()).map_err(Error::file(wrapper))?;
    fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755)).map_err(Error::file(wrapper))
}
