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
    let folder = release.root.join("target/dist");
    let mut command = cargo();
    let cross = if arch == Arch::Aarch64 { Some(arm64::cross(&mut command)?) } else { None };
    let compiler = cross.as_ref().and_then(|cross| cross.rustc.clone()).unwrap_or_else(|| PathBuf::from("rustc"));
    command.current_dir(&release.root).env("CARGO_TARGET_DIR", &folder).env("SOURCE_DATE_EPOCH", &release.epoch);
    for name in PERSONAL {
        command.env_remove(name);
    }
    let places = Places::of(release, &compiler)?;
    let variable = arch.target().replace('-', "_");
    command.env(
        format!("CARGO_TARGET_{}_RUSTFLAGS", variable.to_uppercase()),
        format!("-C target-feature=+crt-static {}", places.flags("--remap-path-prefix")),
    );
    command.env(format!("CFLAGS_{variable}"), places.flags("-ffile-prefix-map"));
    // The linker of the Rust toolchain. gcc looks for it here; its folder in an argument would be part of what cargo hashes.
    command.env("COMPILER_PATH", linker_folder()?);
    command.args(["rustc", "--locked", "--profile", "dist", "--package", "ebhost", "--bin", "ebhost"]);
    command.args(["--target", arch.target(), "--"]).args(LINKING);
    run(&mut command)?;
    let built = folder.join(arch.target()).join("dist/ebhost");
    places.check(&built)?;
    split(release, arch, &built, cross.map_or("", |cross| cross.prefix))
}

/// Variables of whoever builds that would change the binary.
const PERSONAL: [&str; 5] =
    ["CARGO_INCREMENTAL", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CFLAGS"];

/// The linker folds equal functions and packs relocations: a tenth of the size.
const LINKING: [&str; 3] =
    ["-Clink-arg=-fuse-ld=lld", "-Clink-arg=-Wl,--icf=all", "-Clink-arg=-Wl,-z,pack-relative-relocs"];

fn linker_folder() -> Result<PathBuf> {
    let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?);
    Ok(sysroot.join("lib/rustlib").join(format!("{}-unknown-linux-gnu/bin/gcc-ld", std::env::consts::ARCH)))
}

/// Folders of the machine that builds, each with the name that the binary has in its place.
struct Places(Vec<(PathBuf, String)>);

impl Places {
    fn of(release: &Release, compiler: &Path) -> Result<Self> {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        let sysroot = PathBuf::from(output(Command::new(compiler).args(["--print", "sysroot"]))?);
        let version = output(Command::new(compiler).arg("-vV"))?;
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: ")).unwrap_or("unknown");
        // Without the sources of the standard library the compiler writes the latter by itself.
        let library = sysroot.join("lib/rustlib/src/rust");
        let real = fs::canonicalize(&library).unwrap_or_else(|_| library.clone());
        // Where several fit, the compilers take the last.
        Ok(Self(vec![
            (cargo.join("registry/src"), "/usr/src/registry".to_owned()),
            (release.root.clone(), "/usr/src/ebhost".to_owned()),
            (library, format!("/rustc/{commit}")),
            (real, format!("/rustc/{commit}")),
        ]))
    }

    /// An option for each, as compilers take them.
    fn flags(&self, option: &str) -> String {
        let flags = self.0.iter().map(|(from, to)| format!("{option}={}={to}", from.display()));
        flags.collect::<Vec<_>>().join(" ")
    }

    /// Fails if a folder is named in the binary all the same.
    fn check(&self, built: &Path) -> Result<()> {
        let bytes = fs::read(built).map_err(Error::file(built))?;
        for (folder, _) in &self.0 {
            let needle = folder.as_os_str().as_encoded_bytes();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                let why = format!("found the folder {} in it, expected the names of sources alone", folder.display());
                return Err(Error::Format { path: built.to_owned(), why });
            }
        }
        Ok(())
    }
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
