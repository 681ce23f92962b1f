//! A Rust compiler for wasm32: the installed one if it has that target (`rustup target add wasm32-unknown-unknown`), or else Debian's
//! rustc-web with the sources of the standard library, unpacked into a cache folder and never installed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{find, output, run};

/// The compilation target: WebAssembly without WASI.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The compiler and the linkers.
pub(crate) struct Toolchain {
    /// The folder with `wasm-component-ld` and `gcc-ld/wasm-ld`, which every rustup toolchain has.
    pub(crate) linkers: PathBuf,
    /// The folders of the standard library's sources. Their paths must not be in a component.
    pub(crate) sources: Vec<PathBuf>,
    /// The compiler; none: the installed one.
    pub(crate) rustc: Option<PathBuf>,
}

impl Toolchain {
    /// Finds a toolchain, or downloads and unpacks Debian's: 140 MB to download, 850 MB on disk.
    pub(crate) fn find() -> Result<Self> {
        let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?);
        let version = output(Command::new("rustc").arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let linkers = sysroot.join("lib/rustlib").join(host).join("bin");
        if sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir() {
            return Ok(Self { linkers, sources: vec![sysroot.join("lib/rustlib/src/rust")], rustc: None });
        }
        let debian = unpacked()?;
        let real = fs::canonicalize(debian.join("usr/lib/rustlib/src/rust")).map_err(Error::file(&debian))?;
        let sources = vec![debian.join("usr/lib/rustlib/src/rust"), real];
        Ok(Self { linkers, sources, rustc: Some(debian.join("rustc")) })
    }

    /// The compiler's version, as it prints it.
    pub(crate) fn version(&self) -> Result<String> {
        let rustc = self.rustc.as_deref().unwrap_or(Path::new("rustc"));
        output(Command::new(rustc).arg("--version"))
    }
}

/// The cache folder with Debian's toolchain, which is unpacked if it is not there yet.
pub(crate) fn unpacked() -> Result<PathBuf> {
    let cache = cache().join("rustc-web");
    let ready = cache.join("ready");
    if !ready.exists() {
        if find("apt-get").is_none() || find("dpkg-deb").is_none() {
            return Err(Error::Missing {
                tool: "a Rust for wasm32",
                remedy: "rustup target add wasm32-unknown-unknown",
            });
        }
        println!("unpacking Debian's rustc-web into {}", cache.display());
        unpack(&cache)?;
        fs::write(&ready, "").map_err(Error::file(&ready))?;
    }
    Ok(cache)
}

fn unpack(cache: &Path) -> Result<()> {
    let downloads = cache.join("downloads");
    if cache.exists() {
        fs::remove_dir_all(cache).map_err(Error::file(cache))?;
    }
    fs::create_dir_all(&downloads).map_err(Error::file(&downloads))?;
    run(Command::new("apt-get").current_dir(&downloads).args(["download", "-q"]).args(packages()?))?;
    for package in fs::read_dir(&downloads).map_err(Error::file(&downloads))? {
        let package = package.map_err(Error::file(&downloads))?.path();
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(cache))?;
    }
    fs::remove_dir_all(&downloads).map_err(Error::file(&downloads))?;
    wrapper(cache)
}

/// The packages to unpack: the compiler, the standard library for this machine (for build scripts), its sources, and LLVM.
fn packages() -> Result<Vec<String>> {
    let depends = |package: &str| output(Command::new("apt-cache").args(["depends", package]));
    let named = |text: &str, prefix: &str| {
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned);
        names
            .into_iter()
            .find(|name| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
    };
    let std = named(&depends("libstd-rust-web-dev")?, "libstd-rust-web-");
    let std = std.ok_or(Error::Missing { tool: "Debian's rustc-web", remedy: "apt-get update" })?;
    let llvm = named(&(depends(&std)? + "\n" + &depends("rustc-web")?), "libllvm");
    let all = ["rustc-web", "libstd-rust-web-dev", "rust-web-src", &std].map(str::to_owned);
    Ok(all.into_iter().chain(llvm).collect())
}

/// Writes a wrapper script with which the compiler finds the unpacked libraries.
fn wrapper(cache: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let path = cache.join("rustc");
    let usr = cache.join("usr");
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{0}/lib/{1}-linux-gnu' exec '{0}/bin/rustc' \"$@\"\n",
        usr.display(),
        std::env::consts::ARCH
    );
    fs::write(&path, script).map_err(Error::file(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(Error::file(&path))
}

/// The folder for unpacked toolchains.
pub(crate) fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| OsString::from("/root"))).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("ebhost")
}
