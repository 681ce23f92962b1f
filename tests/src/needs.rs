//! The requirements of tests: a test is skipped, by name, on a machine that does not meet them.

use std::{
    env,
    io::{self, Write},
    path::Path,
};

/// A requirement that not every machine meets.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// The user is root, with the privileges to load BPF programs and create loop devices.
    Root,
    /// A program on PATH.
    Tool(&'static str),
    /// A package of Python, which `cargo xtask test` installs into the build folder.
    PythonModule(&'static str),
    /// A file that a Debian package installs, or a mounted folder.
    File(&'static str),
    /// `/dev/fuse`.
    Fuse,
    /// A mount of cgroup version 2.
    Cgroup2,
    /// A cgroup controller that gives processes a part of a CPU.
    CpuQuota,
    /// A cgroup controller that throttles block I/O.
    BlkThrottle,
    /// A cgroup controller that limits memory.
    MemoryLimit,
    /// An x86-64 virtual machine under QEMU, with its kernel and initramfs.
    Guest,
    /// The same for arm64.
    ArmGuest,
}

/// The tools for a virtual machine: QEMU, cpio for its initramfs, and two that download and unpack its kernel.
const GUEST: [&str; 5] = ["qemu-system-x86_64", "busybox", "cpio", "apt-get", "dpkg-deb"];
const ARM_GUEST: [&str; 4] = ["qemu-system-aarch64", "cpio", "apt-get", "dpkg-deb"];

impl Need {
    /// The name of the missing part; none if the requirement is met.
    fn lacks(self) -> Option<&'static str> {
        let (is_there, name) = match self {
            Self::Root => (rustix::process::geteuid().is_root(), "root"),
            Self::Tool(name) => (is_on_path(name), name),
            Self::PythonModule(name) => (crate::target().join("pypi").join(name).is_dir(), name),
            Self::File(path) => (Path::new(path).exists(), path),
            Self::Fuse => (Path::new("/dev/fuse").exists(), "/dev/fuse"),
            Self::Cgroup2 => (crate::cgroup::version_2().is_some(), "a cgroup2 mount"),
            Self::CpuQuota => (crate::cgroup::cpu_root().is_some(), "a cgroup hierarchy with CPU quotas"),
            Self::BlkThrottle => (crate::cgroup::root().is_some(), "a cgroup hierarchy with block I/O throttling"),
            Self::MemoryLimit => (crate::cgroup::has_memory(), "a cgroup hierarchy with limits of memory"),
            Self::Guest => return GUEST.into_iter().find(|tool| !is_on_path(tool)),
            Self::ArmGuest => return ARM_GUEST.into_iter().find(|tool| !is_on_path(tool)),
        };
        (!is_there).then_some(name)
    }
}

fn is_on_path(tool: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(tool).is_file()))
}

/// The name of the first missing part; none if all requirements are met.
pub fn missing(needs: &[Need]) -> Option<&'static str> {
    needs.iter().find_map(|need| need.lacks())
}

/// Reports that a test is skipped and why. Panics if EBHOST_TESTS_SKIP=no, as in CI.
pub fn skip(test: &str, what: &str) {
    let said = format!("skipped: {test} needs {what}");
    assert!(env::var_os("EBHOST_TESTS_SKIP").is_none_or(|skip| skip != "no"), "{said}, and EBHOST_TESTS_SKIP=no");
    // Not eprintln, whose output is hidden when a test passes.
    let _ = writeln!(io::stderr(), "{said}");
}

/// Skips the current test, unless the machine meets all requirements: `needs!(Root, Tool("fio"))`.
#[macro_export]
macro_rules! needs {
    ($($need:ident $(($what:expr))?),+) => {
        if let Some(what) = $crate::missing(&[$($crate::Need::$need $(($what))?),+]) {
            fn here() {}
            let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
            return $crate::skip(test, what);
        }
    };
}
