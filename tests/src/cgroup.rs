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
        remove(&self.folder);
    }
}

/// Removes a cgroup, whose last process may still be exiting.
fn remove(group: &Path) {
    let is_gone = (0..100).any(|_| {
        fs::remove_dir(group).is_ok() || {
            thread::sleep(Duration::from_millis(20));
            false
        }
    });
    if !is_gone {
        eprintln!("{} stays", group.display());
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

/// A limit of memory on the processes of a cgroup of version 2. Where version 1 has the memory controller, they are in a cgroup of that, too.
/// Removed on drop, after the processes in it have ended.
#[derive(Debug)]
pub struct MemoryLimit<'a> {
    cgroup: &'a Cgroup,
    /// The cgroup of version 1.
    group: Option<PathBuf>,
}

impl<'a> MemoryLimit<'a> {
    /// Limits the processes that [`starter`](Self::starter) runs to this number of bytes.
    pub fn below(cgroup: &'a Cgroup, bytes: u64) -> Self {
        let v1 = Path::new(MEMORY_V1);
        let group = v1.is_dir().then(|| v1.join(cgroup.path().trim_start_matches('/')));
        let limit = Self { cgroup, group };
        if let Some(group) = &limit.group {
            fs::create_dir(group).unwrap_or_else(|error| panic!("{}: {error}", group.display()));
        }
        let file = if limit.group.is_some() { "memory.limit_in_bytes" } else { "memory.max" };
        let path = limit.folder().join(file);
        fs::write(&path, bytes.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        limit
    }

    /// The path of the cgroup of version 2.
    pub fn path(&self) -> &str {
        self.cgroup.path()
    }

    /// A command that runs a program, given by its further arguments, below the limit.
    pub fn starter(&self) -> Command {
        let mut command = self.cgroup.starter();
        if let Some(group) = &self.group {
            command.args(["sh", "-c", STARTER]).arg(group);
        }
        command
    }

    /// How many processes the kernel killed because of the limit.
    pub fn killed(&self) -> u64 {
        self.number(if self.group.is_some() { "memory.oom_control" } else { "memory.events" }, "oom_kill ")
    }

    /// How often the limit was hit.
    pub fn hit(&self) -> u64 {
        match &self.group {
            Some(_) => self.number("memory.failcnt", ""),
            None => self.number("memory.events", "max "),
        }
    }

    fn folder(&self) -> &Path {
        self.group.as_deref().unwrap_or(&self.cgroup.folder)
    }

    fn number(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder().join(file)).expect("the kernel's file");
        let number = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no `{name}` in {file}: {text}"))
    }
}

impl Drop for MemoryLimit<'_> {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            remove(group);
        }
    }
}

/// A cgroup whose processes together get a part of one CPU. Removed on drop, after the processes in it have ended.
#[derive(Debug)]
pub struct CpuQuota {
    group: PathBuf,
}

impl CpuQuota {
    /// Creates a cgroup with so many percent of a CPU, in parts of each tenth of a second, as containers have it.
    pub fn percent(percent: u32) -> Self {
        let (root, is_v2) = cpu_root().expect("a test with a CPU quota says `needs!(CpuQuota)`");
        let quota = Self { group: root.join(format!("ebhost-tests-quota-{}", process::id())) };
        fs::create_dir(&quota.group).unwrap_or_else(|error| panic!("{}: {error}", quota.group.display()));
        let micros = percent * 1_000;
        if is_v2 {
            quota.write("cpu.max", &format!("{micros} 100000"));
        } else {
            quota.write("cpu.cfs_period_us", "100000");
            quota.write("cpu.cfs_quota_us", &micros.to_string());
        }
        quota
    }

    /// Moves a process with all its threads into the cgroup.
    pub fn take(&self, pid: u32) {
        self.write("cgroup.procs", &pid.to_string());
    }

    /// Moves a process out of it again.
    pub fn release(&self, pid: u32) {
        let parent = self.group.parent().expect("it is below the root").join("cgroup.procs");
        fs::write(&parent, pid.to_string()).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    }

    /// How often its processes were stopped because their part was spent.
    pub fn throttled(&self) -> u64 {
        let stat = fs::read_to_string(self.group.join("cpu.stat")).expect("the kernel's file");
        let count = stat.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        count.and_then(|count| count.parse().ok()).expect("it counts that")
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.group.join(file), text).unwrap_or_else(|error| panic!("{file} takes no `{text}`: {error}"));
    }
}

impl Drop for CpuQuota {
    fn drop(&mut self) {
        remove(&self.group);
    }
}

/// A shell's script: enters the cgroup that is its first argument, and becomes the program that the others are.
const STARTER: &str = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
const MEMORY_V1: &str = "/sys/fs/cgroup/memory";

fn starter(group: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", STARTER]).arg(group);
    command
}

/// Whether cgroups can have a limit of memory: version 1, or version 2 with the controller given to the cgroups below the root.
pub(crate) fn has_memory() -> bool {
    let given = || fs::read_to_string(version_2()?.join("cgroup.subtree_control")).ok();
    Path::new(MEMORY_V1).is_dir() || given().is_some_and(|given| given.split_whitespace().any(|name| name == "memory"))
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

/// The cgroup folder with the CPU controller, and whether it is of version 2.
pub(crate) fn cpu_root() -> Option<(PathBuf, bool)> {
    let v1 = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"].map(Path::new);
    if let Some(v1) = v1.into_iter().find(|folder| folder.join("cpu.cfs_quota_us").exists()) {
        return Some((v1.to_owned(), false));
    }
    let v2 = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_to_string(v2.join("cgroup.subtree_control")).ok()?;
    controllers.split_whitespace().any(|controller| controller == "cpu").then(|| (v2.to_owned(), true))
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
