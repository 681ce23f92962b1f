//! CPUs: lists of them as the kernel writes them (`0-3,8`), and which ones are online.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// The CPUs that are online now.
pub(super) const ONLINE: &str = "/sys/devices/system/cpu/online";

/// A counter that grows when a device comes, goes or changes, CPUs included.
const DEVICE_EVENTS: &str = "/sys/kernel/uevent_seqnum";

/// Parses a list; `None` if it is none.
pub(super) fn parse(text: &str) -> Option<BTreeSet<u32>> {
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        cpus.extend(first..=last.min(first.saturating_add(1 << 16)));
    }
    Some(cpus)
}

/// Parses the list in a file; `None` if it cannot be read.
pub(super) fn read(file: &Path) -> Option<BTreeSet<u32>> {
    parse(&fs::read_to_string(file).ok()?)
}

/// The highest CPU of the list in a file; `None` if it cannot be read.
pub(crate) fn last_cpu(file: &Path) -> Option<u32> {
    read(file)?.last().copied()
}

/// Tells one stay of a CPU online from the next: the inode of its `topology` folder, which the kernel makes anew when the CPU comes
/// online. 0 where there is no such folder.
pub(crate) type Generation = u64;

/// The online CPUs, looked at often: a look at an unchanged machine costs two short reads.
#[derive(Debug)]
pub(crate) struct OnlineCpus {
    folder: PathBuf,
    online: Option<File>,
    device_events: Option<File>,
    /// Both files' contents at the last look.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl OnlineCpus {
    pub(crate) fn new() -> Self {
        Self::of(Path::new(ONLINE).parent().unwrap_or(Path::new("/")), Path::new(DEVICE_EVENTS))
    }

    fn of(folder: &Path, device_events: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            online: File::open(folder.join("online")).ok(),
            device_events: File::open(device_events).ok(),
            last: None,
        }
    }

    /// The CPUs that are online; `None` if that cannot have changed since the last look.
    pub(crate) fn look(&mut self) -> io::Result<Option<BTreeMap<u32, Generation>>> {
        let online = contents(self.online.as_ref()).ok_or_else(|| self.unreadable())?;
        let now = (online, contents(self.device_events.as_ref()).unwrap_or_default());
        if self.last.as_ref() == Some(&now) {
            return Ok(None);
        }
        let cpus = std::str::from_utf8(&now.0).ok().and_then(parse).ok_or_else(|| self.unreadable())?;
        self.last = Some(now);
        Ok(Some(cpus.into_iter().map(|cpu| (cpu, self.generation(cpu))).collect()))
    }

    fn generation(&self, cpu: u32) -> Generation {
        fs::metadata(self.folder.join(format!("cpu{cpu}/topology"))).map_or(0, |folder| folder.ino())
    }

    fn unreadable(&self) -> io::Error {
        io::Error::other(format!("{} cannot be read", self.folder.join("online").display()))
    }
}

/// A short file of sysfs from its beginning, without opening it again.
fn contents(file: Option<&File>) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let length = file?.read_at(&mut bytes, 0).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_cpus_are_listed() {
        let list = |text| parse(text).map(|cpus| cpus.into_iter().collect::<Vec<_>>());
        assert_eq!(list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(list("\n"), Some(vec![]));
        assert_eq!(list("0-x"), None);
    }

    #[test]
    fn a_cpu_that_went_and_came_between_two_looks_is_another() {
        let folder = std::env::temp_dir().join(format!("ebhost-cpus-{}", std::process::id()));
        let topology = folder.join("cpu1/topology");
        fs::create_dir_all(&topology).unwrap();
        let events = folder.join("uevent_seqnum");
        fs::write(folder.join("online"), "0-1\n").unwrap();
        fs::write(&events, "7\n").unwrap();
        let mut cpus = OnlineCpus::of(&folder, &events);
        let first = cpus.look().unwrap().expect("the first look");
        assert_eq!(first.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(cpus.look().unwrap(), None, "nothing changed");
        // The old folder is kept, so that its inode is not given to the new one.
        fs::rename(&topology, folder.join("cpu1/old")).unwrap();
        fs::create_dir(&topology).unwrap();
        fs::write(&events, "9\n").unwrap();
        let second = cpus.look().unwrap().expect("a device came");
        assert_eq!((first[&0], first[&1] == second[&1]), (second[&0], false));
        fs::write(folder.join("online"), "0\n").unwrap();
        assert_eq!(cpus.look().unwrap().expect("one went").len(), 1);
        fs::remove_dir_all(folder).unwrap();
        assert!(OnlineCpus::of(Path::new("/nowhere"), &events).look().is_err());
    }
}
