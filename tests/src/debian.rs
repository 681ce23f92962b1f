//! Programs of a newer Debian than the machine's, unpacked into a cache folder and started with their own libraries.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{folder::workspace, process::output};

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Packages that are unpacked together.
#[derive(Debug, Clone, Copy)]
pub struct Unpacked {
    /// The folder's name in the cache.
    name: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
}

/// bpftool with libbpf 1.5, and libbpf's headers.
pub const LIBBPF: Unpacked = Unpacked {
    name: "libbpf",
    suite: "trixie",
    packages: &["bpftool", "libbpf-dev", "libc6", "libelf1t64", "zlib1g", "libzstd1", "libcap2", "libssl3t64"],
};

/// A server with an OTLP receiver. Debian's Prometheus is built without its own.
pub const VICTORIA_METRICS: Unpacked =
    Unpacked { name: "victoria-metrics", suite: "sid", packages: &["victoria-metrics", "libc6", "libzstd1"] };

/// Prometheus 2.53, which takes start times.
pub const PROMETHEUS: Unpacked = Unpacked { name: "prometheus", suite: "trixie", packages: &["prometheus", "libc6"] };

/// A registry, and the tools with which people use one.
pub const REGISTRY: Unpacked = Unpacked {
    name: "registry",
    suite: "trixie",
    packages: &[
        "docker-registry",
        "skopeo",
        "oras",
        "cosign",
        "libc6",
        "libgpgme11t64",
        "libassuan9",
        "libgpg-error0",
        "libsqlite3-0",
    ],
};

/// The newest cosign, which signs in another form.
pub const COSIGN_3: Unpacked = Unpacked { name: "cosign-3", suite: "sid", packages: &["cosign", "libc6"] };

impl Unpacked {
    /// The root below which the packages are.
    pub fn root(self) -> PathBuf {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(env::var_os("HOME").expect("a home")).join(".cache");
        let folder = cache.unwrap_or_else(home).join("ebhost").join(self.name);
        fs::create_dir_all(&folder).expect("a cache folder");
        let script = "[ -d \"$1/root\" ] || exec \"$0\" \"$@\"";
        // Tests run in parallel; the first one downloads.
        let mut locked = Command::new("flock");
        locked.arg(folder.with_extension("lock")).args(["bash", "-c", script]);
        locked.arg(workspace().join("tests/fetch-debian")).arg(&folder).arg(self.suite).args(self.packages);
        output(&mut locked);
        folder.join("root")
    }

    /// A program of the packages.
    pub fn command(self, program: impl AsRef<Path>) -> Command {
        let root = self.root();
        let mut command = Command::new(root.join(LIBRARIES).join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(root.join(LIBRARIES)).arg(root.join(program));
        command
    }
}
