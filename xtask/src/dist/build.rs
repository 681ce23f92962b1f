//! The static binaries, each with its debug symbols in a file of their own.
//!
//! Static glibc resolves names through libraries of the machine that it runs on, if the machine's nsswitch.conf names any but `files` and `dns`; so a
//! static ebhost looks up the host names of `--web.listen-address` in /etc/hosts alone (`server/address`).

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Arch, Release};
use crate::{
    arm64,
    error::{Error, Result},
    process::{cargo, find, output, run},
};

/// The largest stripped binary that is released.
const LARGEST: u64 = 25_000_000;

/// A stripped binary.
pub(super) struct Binary {
    pub(super) arch: Arch,
    pub(super) path: PathBuf,
}

/// The manual page and the completions, which are the same for every architecture.
pub(super) struct Documents {
    pub(super) man: String,
    pub(super) bash: String,
    pub(super) zsh: String,
    pub(super) fish: String,
}

pub(super) fn build(release: &Release, arch: Arch) -> Result<Binary> {
    let target = arch.target();
    let folder = release.root.join("target/dist");
    let registry = PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo/registry/src");
    let places = [(release.root.as_path(), "/usr/src/ebhost"), (registry.as_path(), "/usr/src/registry")];
    let rust: String =
        places.iter().map(|(from, to)| format!(" --remap-path-prefix={}={to}", from.display())).collect();
    let c: Vec<_> = places.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).collect();
    let mut command = cargo();
    command.current_dir(&release.root).env("CARGO_TARGET_DIR", &folder).env_remove("CARGO_INCREMENTAL");
    command.env(
        format!("CARGO_TARGET_{}_RUSTFLAGS", variable(target).to_uppercase()),
        format!("-C target-feature=+crt-static{rust}"),
    );
    command.env(format!("CFLAGS_{}", variable(target)), c.join(" "));
    let prefix = if arch == Arch::Aarch64 { arm64::cross(&mut command)? } else { "" };
    command.args([
        "rustc",
        "--locked",
        "--profile",
        "dist",
        "--package",
        "ebhost",
        "--bin",
        "ebhost",
        "--target",
        target,
        "--",
    ]);
    run(command.args(linking()?))?;
    split(release, arch, &folder.join(target).join("dist/ebhost"), prefix)
}

/// Links with the linker of the Rust toolchain, which folds equal functions and packs relocations: a tenth of the size.
fn linking() -> Result<[String; 4]> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let lld = format!("-Clink-arg=-B{sysroot}/lib/rustlib/{}-unknown-linux-gnu/bin/gcc-ld", std::env::consts::ARCH);
    let others =
        ["-fuse-ld=lld", "-Wl,--icf=all", "-Wl,-z,pack-relative-relocs"].map(|arg| format!("-Clink-arg={arg}"));
    let [fuse, icf, pack] = others;
    Ok([lld, fuse, icf, pack])
}

/// As cargo writes a target in names of variables.
fn variable(target: &str) -> String {
    target.replace('-', "_")
}

/// Separates the program from its debug symbols, which debuggers find by its build id.
fn split(release: &Release, arch: Arch, built: &Path, prefix: &str) -> Result<Binary> {
    let objcopy = || Command::new(format!("{prefix}objcopy"));
    let path = release.stage.join(format!("ebhost-{}", arch.name()));
    let debug = release.out.join(format!("ebhost-{}-{}.debug", release.version, arch.name()));
    run(objcopy().args(["--only-keep-debug", "--compress-debug-sections"]).arg(built).arg(&debug))?;
    fs::set_permissions(&debug, fs::Permissions::from_mode(0o644)).map_err(Error::file(&debug))?;
    run(objcopy().arg("--strip-all").arg(built).arg(&path))?;
    let bytes = fs::metadata(&path).map_err(Error::file(&path))?.len();
    if bytes > LARGEST {
        let why = format!("found a stripped binary of {bytes} bytes, expected at most {LARGEST}");
        return Err(Error::Format { path, why });
    }
    println!("{}: {bytes} bytes", path.display());
    Ok(Binary { arch, path })
}

/// Prints them with the binary that runs here.
pub(super) fn documents(release: &Release, binaries: &[Binary]) -> Result<Documents> {
    let here = Arch::here().and_then(|here| binaries.iter().find(|binary| binary.arch == here));
    let program = here.map_or_else(|| release.root.join("target/release/ebhost"), |binary| binary.path.clone());
    let print = |args: &[&str]| output(Command::new(&program).args(args)).map(|text| text + "\n");
    Ok(Documents {
        man: print(&["--man"])?,
        bash: print(&["--completions", "bash"])?,
        zsh: print(&["--completions", "zsh"])?,
        fish: print(&["--completions", "fish"])?,
    })
}

/// Fails with a remedy if a program is missing.
pub(super) fn need(tool: &'static str, remedy: &'static str) -> Result<()> {
    if find(tool).is_none() { Err(Error::Missing { tool, remedy }) } else { Ok(()) }
}
