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
    /// A file that a package brings, or a folder that is mounted.
    File(&'static str),
    /// `/dev/fuse`.
    Fuse,
    /// A mount of version 2 of cgroups.
    Cgroup2,
    /// A cgroup controller that throttles block I/O.
    BlkThrottle,
}

impl Need {
    fn is_there(self) -> bool {
        match self {
            Self::Root => rustix::process::geteuid().is_root(),
            Self::Tool(name) => env::var_os("PATH")
                .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(name).is_file())),
            Self::File(path) => Path::new(path).exists(),
            Self::Fuse => Path::new("/dev/fuse").exists(),
            Self::Cgroup2 => crate::cgroup::version_2().is_some(),
            Self::BlkThrottle => crate::cgroup::root().is_some(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Tool(name) | Self::File(name) => name,
            Self::Fuse => "/dev/fuse",
            Self::Cgroup2 => "a cgroup2 mount",
            Self::BlkThrottle => "a cgroup hierarchy with block I/O throttling",
        }
    }
}

/// The first need that is not met.
pub fn missing(needs: &[Need]) -> Option<Need> {
    needs.iter().copied().find(|need| !need.is_there())
}

/// Says that a test was skipped and why; panics if EBHOST_TESTS_SKIP=no, as it is in CI.
pub fn skip(test: &str, need: Need) {
    let said = format!("skipped: {test} needs {}", need.name());
    assert!(env::var_os("EBHOST_TESTS_SKIP").is_none_or(|skip| skip != "no"), "{said}, and EBHOST_TESTS_SKIP=no");
    // Not by eprintln: what a passing test prints that way is not shown.
    let _ = writeln!(io::stderr(), "{said}");
}

/// Ends the test here, skipped by name, unless the machine has it all: `needs!(Root, Tool("fio"))`.
#[macro_export]
macro_rules! needs {
    ($($need:ident $(($what:expr))?),+) => {
        if let Some(need) = $crate::missing(&[$($crate::Need::$need $(($what))?),+]) {
            fn here() {}
            let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
            return $crate::skip(test, need);
        }
    };
}
