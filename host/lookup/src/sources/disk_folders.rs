//! Disks by the inode and the name of their folder in /sys/block, as a BPF program finds them in `struct gendisk`.
//!
//! Unlike a device number, an inode in sysfs is not reused, and hidden disks have one, too. So this source can tell a disk that is gone
//! from another one that took its name. The name of a disk that is gone is kept until the collection in which that was noticed is over,
//! because its last counts are taken then; after it the name is empty.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use super::{Freshness, Source, uevents::Uevents};
use crate::{Found, Roots};

/// Bytes of `gendisk.disk_name`.
const NAME_BYTES: usize = 32;

/// The width of a key: an inode and a name.
pub(crate) const KEY_BYTES: usize = 8 + NAME_BYTES;

/// The folder of disks, and the disks that were asked for and are not in it.
#[derive(Debug)]
pub(crate) struct DiskFolders {
    path: PathBuf,
    uevents: Uevents,
    /// The number of the collection, from 0.
    collection: u64,
    /// The collection in which every kept name was last looked up again.
    last_full: u64,
    gone: HashMap<Box<[u8]>, Departure>,
}

/// A disk that is gone, with numbers of collections.
#[derive(Debug, Clone, Copy)]
struct Departure {
    noticed: u64,
    asked: u64,
}

/// A disk as the kernel describes it.
#[derive(Debug, Clone, Copy)]
struct Disk<'a> {
    /// 0 if it is not known.
    inode: u64,
    name: &'a str,
}

impl DiskFolders {
    /// The name under which the disk's I/O is to be shown; empty once the disk is gone and its last counts were taken.
    pub(crate) fn name(&mut self, key: &[u8]) -> Found {
        let Some(disk) = Disk::parse(key) else { return Found::Unknown };
        if self.exists(disk) {
            self.gone.remove(key);
            return Found::Name(disk.shown());
        }
        let collection = self.collection;
        let departure = self.gone.entry(key.into()).or_insert(Departure { noticed: collection, asked: collection });
        departure.asked = collection;
        Found::Gone(if departure.noticed == collection { disk.shown() } else { String::new() })
    }

    fn exists(&self, disk: Disk<'_>) -> bool {
        // A `/` in a disk's name (cciss/c0d0) is a `!` in /sys.
        let folder = self.path.join(disk.name.replace('/', "!"));
        fs::metadata(folder).is_ok_and(|folder| disk.inode == 0 || folder.ino() == disk.inode)
    }
}

impl<'a> Disk<'a> {
    fn parse(key: &'a [u8]) -> Option<Self> {
        let (inode, name) = key.split_first_chunk()?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        let name = str::from_utf8(&name[..end]).ok().filter(|name| !name.is_empty())?;
        Some(Self { inode: u64::from_le_bytes(*inode), name })
    }

    /// A path of an NVMe namespace (`nvme0c1n2`: subsystem 0, controller 1, namespace 2) is shown as the disk that unites the paths
    /// (`nvme0n2`); any other disk under its own name.
    fn shown(&self) -> String {
        self.united().unwrap_or_else(|| self.name.to_owned())
    }

    fn united(&self) -> Option<String> {
        let (subsystem, rest) = self.name.strip_prefix("nvme")?.split_once('c')?;
        let (controller, namespace) = rest.split_once('n')?;
        let are_numbers = [subsystem, controller, namespace].iter().all(|number| number.parse::<u32>().is_ok());
        are_numbers.then(|| format!("nvme{subsystem}n{namespace}"))
    }
}

impl Source for DiskFolders {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        vec![folder(roots), Uevents::path(roots)]
    }

    fn open(roots: &Roots) -> Self {
        let uevents = Uevents::open(roots);
        Self { path: folder(roots), uevents, collection: 0, last_full: 0, gone: HashMap::new() }
    }

    fn refresh(&mut self) -> Freshness {
        let have_left = self.gone.values().any(|departure| departure.noticed == self.collection);
        self.collection += 1;
        if !self.uevents.came() && !have_left {
            return Freshness::Unchanged;
        }
        // Nobody asks for the others any more.
        self.gone.retain(|_, departure| departure.asked >= self.last_full);
        self.last_full = self.collection;
        Freshness::MayDiffer
    }
}

fn folder(roots: &Roots) -> PathBuf {
    roots.sys.join("block")
}
