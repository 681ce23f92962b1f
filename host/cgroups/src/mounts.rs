//! Where cgroup hierarchies are mounted, from `/proc/self/mountinfo`.

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::{Component, Path, PathBuf},
    sync::OnceLock,
};

use rustix::fs::statfs;

/// `f_type` of a file system with cgroups of version 2 (`linux/magic.h`).
const CGROUP2: u64 = 0x6367_7270;

/// The cgroup hierarchies that are mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts {
    /// The folder of version 2; `None`: it is not mounted. All its mounts show the same cgroups, so the one that shows most is taken.
    pub version_2: Option<PathBuf>,
    /// The folders of version 1.
    pub version_1: Vec<PathBuf>,
    /// The folder that was to be taken, whatever else is mounted.
    chosen: Option<PathBuf>,
}

/// The inode number of the root of the hierarchy.
const ROOT: u64 = 1;

/// The mount that the operator chose for this process.
static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// Makes [`mount`] take this folder. To be called at the start, once.
pub fn choose_mount(folder: PathBuf) {
    // A second choice would come after the first was used.
    let _ = CHOSEN.set(folder);
}

/// The folder in which cgroups of version 2 are mounted on this machine; `None`: they are not.
pub fn mount() -> Option<PathBuf> {
    Mounts::read(Path::new("/proc"), Path::new("/sys"), CHOSEN.get().map(PathBuf::as_path)).version_2
}

/// Whether the kernel shows cgroups of version 2 in this folder.
pub(crate) fn is_hierarchy(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|system| system.f_type as u64 == CGROUP2)
}

/// Whether this is a mount of cgroups, and its root is not the root of all of them.
fn shows_a_part(folder: &Path) -> bool {
    is_hierarchy(folder) && fs::metadata(folder).is_ok_and(|metadata| metadata.ino() != ROOT)
}

/// One line of mountinfo.
#[derive(Debug, PartialEq, Eq)]
struct MountLine {
    device: u64,
    /// The folder of the file system that is mounted.
    root: PathBuf,
    folder: PathBuf,
    kind: String,
}

impl Mounts {
    /// The mounts as this process sees them, by what these two folders say. `chosen`: the mount of version 2 to take, if it is one.
    pub fn read(proc: &Path, sys: &Path, chosen: Option<&Path>) -> Self {
        if let Some(folder) = chosen {
            let version_2 = Some(folder.to_owned()).filter(|folder| is_hierarchy(folder));
            return Self { version_2, chosen: Some(folder.to_owned()), ..Self::default() };
        }
        match fs::read(proc.join("self/mountinfo")) {
            Ok(text) => Self::parse(&text),
            Err(_) => {
                let usual = sys.join("fs/cgroup");
                Self { version_2: Some(usual).filter(|usual| is_hierarchy(usual)), ..Self::default() }
            }
        }
    }

    fn parse(mountinfo: &[u8]) -> Self {
        let lines: Vec<_> = mountinfo.split(|byte| *byte == b'\n').filter_map(MountLine::parse).collect();
        let of_kind = |kind: &'static str| lines.iter().filter(move |line| line.kind == kind && line.is_visible());
        // The mount that shows most is preferred, then the shortest path, as of two that are equal the first.
        let version_2 = of_kind("cgroup2").min_by_key(|line| (line.hidden(), line.folder.as_os_str().len()));
        Self {
            chosen: None,
            version_2: version_2.map(|line| line.folder.clone()),
            version_1: of_kind("cgroup").map(|line| line.folder.clone()).collect(),
        }
    }

    /// A sentence for the log if names of cgroups are missing on this machine, or are not those that an operator may expect.
    pub fn warning(&self) -> Option<String> {
        let folders =
            || self.version_1.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
        match (&self.version_2, self.version_1.as_slice()) {
            (Some(folder), _) if shows_a_part(folder) => Some(format!(
                "only some cgroups have names: found at {} the part of the hierarchy that this process' cgroup namespace shows, expected all of it; try \
                 the machine's cgroup namespace (`--cgroupns=host`), or mount the machine's /sys/fs/cgroup into the container and name that folder \
                 by `--path.cgroup`",
                folder.display()
            )),
            (None, _) if self.chosen.is_some() => Some(format!(
                "cgroups have no names: found no cgroups of version 2 at {}, expected a mount of type cgroup2 by `--path.cgroup`",
                self.chosen.as_deref().unwrap_or(Path::new("")).display()
            )),
            (None, []) => Some(
                "no cgroup hierarchy is mounted, so no cgroup has a name: found none in /proc/self/mountinfo, expected a mount of type cgroup2".to_owned(),
            ),
            (None, _) => Some(format!(
                "cgroups have no names: found only hierarchies of version 1 ({}), whose cgroups BPF programs do not see; expected a mount of type \
                 cgroup2, which `mount -t cgroup2 none FOLDER` or booting with `systemd.unified_cgroup_hierarchy=1` adds",
                folders()
            )),
            (Some(_), []) => None,
            (Some(folder), _) => Some(format!(
                "names of cgroups are those of version 2 below {}, which BPF programs see; the controllers of version 1 ({}) may group processes \
                 in another way",
                folder.display(),
                folders()
            )),
        }
    }
}

impl MountLine {
    /// Parses `ID PARENT MAJOR:MINOR ROOT FOLDER OPTIONS [TAG …] - TYPE SOURCE OPTIONS`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        let device = str::from_utf8(fields.next()?).ok()?;
        let (major, minor) = device.split_once(':')?;
        let device = rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?);
        let (root, folder) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        Some(Self { device, root, folder, kind: String::from_utf8_lossy(kind).into_owned() })
    }

    /// How much of the hierarchy it hides: less than nothing if it shows what is above this process' cgroup namespace (`/../..`, as the kernel
    /// writes a folder above the namespace's root), and something if it is a folder below.
    fn hidden(&self) -> isize {
        let root = self.root.components().filter(|part| !matches!(part, Component::RootDir));
        root.map(|part| if part == Component::ParentDir { -1 } else { 1 }).sum()
    }

    /// Whether its folder leads to it, and not to another mount on top of it.
    fn is_visible(&self) -> bool {
        fs::metadata(&self.folder).is_ok_and(|metadata| metadata.dev() == self.device)
    }
}

/// A path as the kernel writes it: space, tab, line feed and backslash as `\` and three octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder of its own for a test, and a line of mountinfo that says what is mounted there.
    fn line(folder: &Path, root: &str, kind: &str) -> String {
        let device = fs::metadata(folder).unwrap().dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let escaped = folder.display().to_string().replace(' ', "\\040");
        format!("29 23 {major}:{minor} {root} {escaped} rw,relatime shared:4 - {kind} {kind} rw\n")
    }

    /// Folders below one that is removed when it is dropped.
    fn folders<const N: usize>(parts: [&str; N]) -> (TempDir, [PathBuf; N]) {
        let root = TempDir::new().unwrap();
        let folders = parts.map(|part| root.path().join(part));
        folders.iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        (root, folders)
    }

    #[test]
    fn a_mount_point_with_a_space_is_found() {
        let (_root, [spaced]) = folders(["my cgroups"]);
        let mounts = Mounts::parse(line(&spaced, "/", "cgroup2").as_bytes());
        assert_eq!((mounts.version_2.as_ref(), mounts.warning()), (Some(&spaced), None));
        assert_eq!(unescaped(br"/a\134b\040c\011\9"), Path::new("/a\\b c\t\\9"));
    }

    #[test]
    fn a_machine_with_version_1_alone_has_no_hierarchy_and_a_warning() {
        let (_root, [cpu, memory]) = folders(["cpu", "memory"]);
        let text = line(&cpu, "/", "cgroup") + &line(&memory, "/", "cgroup");
        let mounts = Mounts::parse(text.as_bytes());
        assert_eq!((&mounts.version_2, mounts.version_1.len()), (&None, 2));
        let warning = mounts.warning().unwrap();
        assert!(warning.starts_with("cgroups have no names: found only hierarchies of version 1 ("), "{warning}");
        assert!(Mounts::default().warning().unwrap().starts_with("no cgroup hierarchy is mounted"));
    }

    #[test]
    fn of_several_mounts_the_one_of_the_whole_hierarchy_is_taken() {
        let (_root, [part, deep, whole, hybrid]) = folders(["a", "deeper/mount", "b/c", "v1"]);
        let text = line(&part, "/user.slice", "cgroup2") + &line(&deep, "/", "cgroup2") + &line(&whole, "/", "cgroup2");
        assert_eq!(Mounts::parse(text.as_bytes()).version_2, Some(whole));
        let mounts = Mounts::parse((text + &line(&hybrid, "/", "cgroup")).as_bytes());
        assert!(mounts.warning().unwrap().starts_with("names of cgroups are those of version 2 below "));
    }

    #[test]
    fn in_a_private_cgroup_namespace_the_machines_own_mount_is_taken() {
        let (_root, [private, whole]) = folders(["sys/fs/cgroup", "host/sys/fs/cgroup"]);
        let text = line(&private, "/", "cgroup2") + &line(&whole, "/../../..", "cgroup2");
        assert_eq!(Mounts::parse(text.as_bytes()).version_2, Some(whole));
    }

    #[test]
    fn a_chosen_folder_without_cgroups_is_reported_and_nothing_else_is_taken() {
        let (_root, [folder]) = folders(["x"]);
        let mounts = Mounts::read(Path::new("/proc"), Path::new("/sys"), Some(&folder));
        assert_eq!(mounts.version_2, None);
        let warning = mounts.warning().unwrap();
        assert!(warning.contains("found no cgroups of version 2 at") && warning.contains("--path.cgroup"), "{warning}");
    }

    #[test]
    fn a_mount_that_another_one_hides_is_not_taken() {
        let (_root, [folder]) = folders(["x"]);
        let hidden = format!("29 23 4095:77 / {} rw - cgroup2 none rw\n", folder.display());
        assert_eq!(Mounts::parse(hidden.as_bytes()), Mounts::default());
        assert_eq!(Mounts::parse(b"\n1 2 x:y\n29 23 0:27 / /\n"), Mounts::default(), "lines that are no mounts");
    }
}
