//! What a test needs of the machine, and how it is skipped by name where that is not there.

use std::{
    env,
    io::{self, Write},
    path::Path,
};

/// Something that not every machine has.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// User 0, with the privileges to load BPF programs and make loop devices.
    Root,
    /// A program on PATH.
    Tool(&'static str),
    /// A package of Python, which `cargo xtask test` installs into the build folder.
    PythonModule(&'static str),
    /// A file that a package brings, or a folder that is mounted.
    File(&'static str),
    /// `/dev/fuse`.
    Fuse,
    /// A mount of version 2 of cgroups.
    Cgroup2,
    /// A cgroup controller that throttles block I/O.
    BlkThrottle,
    /// An x86-64 machine under QEMU, and what its kernel and its files come from.
    Guest,
    /// The same, an arm64 one.
    ArmGuest,
}

/// Tools: the machine, the packer of its files, and two that fetch and unpack its kernel.
const GUEST: [&str; 5] = ["qemu-system-x86_64", "busybox", "cpio", "apt-get", "dpkg-deb"];
const ARM_GUEST: [&str; 4] = ["qemu-system-aarch64", "cpio", "apt-get", "dpkg-deb"];

impl Need {
    /// What of it is not there, by name.
    fn lacks(self) -> Option<&'static str> {
        let (is_there, name) = match self {
            Self::Root => (rustix::process::geteuid().is_root(), "root"),
            Self::Tool(name) => (is_on_path(name), name),
            Self::PythonModule(name) => (crate::target().join("pypi").join(name).is_dir(), name),
            Self::File(path) => (Path::new(path).exists(), path),
            Self::Fuse => (Path::new("/dev/fuse").exists(), "/dev/fuse"),
            Self::Cgroup2 => (crate::cgroup::version_2().is_some(), "a cgroup2 mount"),
            Self::BlkThrottle => (crate::cgroup::root().is_some(), "a cgroup hierarchy with block I/O throttling"),
            Self::Guest => return GUEST.into_iter().find(|tool| !is_on_path(tool)),
            Self::ArmGuest => return ARM_GUEST.into_iter().find(|tool| !is_on_path(tool)),
        };
        (!is_there).then_some(name)
    }
}

fn is_on_path(tool: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(tool).is_file()))
}

/// The first need that is not met, by the name of what is not there.
pub fn missing(needs: &[Need]) -> Option<&'static str> {
    needs.iter().find_map(|need| need.lacks())
}

/// Says that a test was skipped and for want of what; panics if EBHOST_TESTS_SKIP=no, as it is in CI.
pub fn skip(test: &str, what: &str) {
    let said = format!("skipped: {test} needs {what}");
    assert!(env::var_os("EBHOST_TESTS_SKIP").is_none_or(|skip| skip != "no"), "{said}, and EBHOST_TESTS_SKIP=no");
    // Not by eprintln: what a passing test prints that way is not shown.
    let _ = writeln!(io::stderr(), "{said}");
}

/// Ends the test here, skipped by name, unless the machine has it all: `needs!(Root, Tool("fio"))`.
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
