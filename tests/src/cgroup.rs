//! A cgroup whose reads of one disk are throttled, by version 1 or 2, whichever this machine has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

use crate::disk::Disk;

/// It goes when it is dropped, which is after all that ran in it.
#[derive(Debug)]
pub struct Throttled(PathBuf);

impl Throttled {
    /// At most so many reads a second.
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

    /// What starts a program, the next arguments, in it.
    pub fn starter(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        command
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// Where such a group can be made, and whether that is version 2.
pub(crate) fn root() -> Option<(PathBuf, bool)> {
    let v1 = Path::new("/sys/fs/cgroup/blkio");
    if v1.join("blkio.throttle.read_iops_device").exists() {
        return Some((v1.to_owned(), false));
    }
    let v2 = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_to_string(v2.join("cgroup.subtree_control")).ok()?;
    controllers.split_whitespace().any(|controller| controller == "io").then(|| (v2.to_owned(), true))
}
