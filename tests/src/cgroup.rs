//! Cgroups for one test: a cgroup of version 2, and one in which reads of a disk are throttled, with whichever cgroup
//! version this machine has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::Duration,
};

use crate::disk::Disk;

/// A cgroup of version 2. Removed on drop, after the processes in it have ended.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    path: String,
}

impl Cgroup {
    /// Creates the cgroup with this path below the mount point; its parents must exist.
    pub fn new(path: &str) -> Self {
        let folder = version_2().expect("a test with cgroups says `needs!(Cgroup2)`").join(path);
        fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Self { folder, path: format!("/{path}") }
    }

    /// The path, as the kernel and the lookup table have it.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn take(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).expect("a cgroup takes a process");
    }

    /// A command that runs a program, given by its further arguments, in the cgroup.
    pub fn starter(&self) -> Command {
        starter(&self.folder)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process may still be exiting.
        let is_gone = (0..100).any(|_| {
            fs::remove_dir(&self.folder).is_ok() || {
                thread::sleep(Duration::from_millis(20));
                false
            }
        });
        if !is_gone {
            eprintln!("{} stays", self.folder.display());
        }
    }
}

/// A cgroup that throttles a disk. Removed on drop, which must come after all processes in it.
#[derive(Debug)]
pub struct Throttled(PathBuf);

impl Throttled {
    /// Creates a cgroup that allows this number of reads of the disk each second.
    pub fn reads(disk: &Disk, per_second: u32) -> Self {
        let (root, is_v2) = root().expect("a test that throttles says `needs!(BlkThrottle)`");
        let group = Self(root.join(format!("ebhost-tests-{}", process::id())));
        fs::create_dir(&group.0).unwrap_or_else(|error| panic!("{}: {error}", group.0.display()));
        let (file, limit) = if is_v2 {
            ("io.max", format!("{} riops={per_second}", disk.number()))
        } else {
            ("blkio.throttle.read_iops_device", format!("{} {per_second}", disk.number()))
        };
        fs::write(group.0.join(file), &limit).unwrap_or_else(|error| panic!("{file} takes no `{limit}`: {error}"));
        group
    }

    /// A command that runs a program, given by its further arguments, in the cgroup.
    pub fn starter(&self) -> Command {
        starter(&self.0)
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

fn starter(group: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(group);
    command
}

/// The mount point of cgroup version 2.
pub(crate) fn version_2() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (folder, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| folder.into())
    })
}

/// The cgroup folder with a throttling controller, and whether it is of version 2.
pub(crate) fn root() -> Option<(PathBuf, bool)> {
    let v1 = Path::new("/sys/fs/cgroup/blkio");
    if v1.join("blkio.throttle.read_iops_device").exists() {
        return Some((v1.to_owned(), false));
    }
    let v2 = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_to_string(v2.join("cgroup.subtree_control")).ok()?;
    controllers.split_whitespace().any(|controller| controller == "io").then(|| (v2.to_owned(), true))
}
