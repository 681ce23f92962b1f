//! A watch on each folder of a hierarchy (inotify(7)), where fanotify cannot be used: before Linux 6.6, or without CAP_SYS_ADMIN.
//!
//! A report has the name of what came or went, but not its id, so a cgroup that is removed before its folder was looked at has no name.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::Path,
};

use ebhost_limits::WATCHED_CGROUPS;
use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

use crate::{follow::Progress, tree::Tree, walk::walk};

/// Bytes of reports that are read at once.
const BUFFER_BYTES: usize = 4 << 10;

const CHANGES: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::DELETE).union(WatchFlags::ONLYDIR).union(WatchFlags::DONT_FOLLOW);

/// An inotify instance with a watch on each cgroup.
#[derive(Debug)]
pub(crate) struct FolderWatches {
    inotify: OwnedFd,
    ids: HashMap<i32, u64>,
    /// By the parent's id and the name.
    watched: HashMap<(u64, Box<str>), Watched>,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    id: u64,
    watch: i32,
}

impl FolderWatches {
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { inotify, ids: HashMap::new(), watched: HashMap::new() })
    }

    /// Watches a cgroup; returns whether it was not watched before. One that is gone needs no watch.
    ///
    /// # Errors
    /// There are too many watches; this one, and those of later cgroups, are missing.
    pub(crate) fn watch(&mut self, id: u64, parent: Option<u64>, folder: &Path) -> io::Result<bool> {
        if self.ids.len() >= WATCHED_CGROUPS {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        match inotify::add_watch(&self.inotify, folder, CHANGES) {
            Ok(watch) => {
                let is_new = self.ids.insert(watch, id).is_none();
                let name = folder.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
                parent.map(|parent| self.watched.insert((parent, name.into()), Watched { id, watch }));
                Ok(is_new)
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NODEV) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads some reports into the tree of the hierarchy that is mounted at `mount`.
    pub(crate) fn read_into(&mut self, tree: &mut Tree, mount: &Path) -> Progress {
        let Ok(inotify) = self.inotify.try_clone() else { return Progress::Missed };
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(inotify, &mut buffer);
        loop {
            let progress = match reader.next() {
                Ok(event) => {
                    let (flags, watch, name) = (event.events(), event.wd(), event.file_name());
                    let name = name.map(|name| OsStr::from_bytes(name.to_bytes()));
                    self.take(flags, watch, name, tree, mount)
                }
                Err(Errno::AGAIN) => return Progress::Done,
                Err(Errno::INTR) => return Progress::More,
                Err(_) => return Progress::Missed,
            };
            if progress == Progress::Missed || reader.is_buffer_empty() {
                return progress;
            }
        }
    }

    fn take(&mut self, flags: ReadFlags, watch: i32, name: Option<&OsStr>, tree: &mut Tree, mount: &Path) -> Progress {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return Progress::Missed;
        }
        let (Some(name), Some(&parent)) = (name, self.ids.get(&watch)) else { return Progress::More };
        let Some(folder) = tree.path(parent).map(|path| mount.join(&path[1..]).join(name)) else {
            return Progress::More;
        };
        if flags.contains(ReadFlags::CREATE) {
            return self.add(&folder, parent, tree);
        }
        if flags.contains(ReadFlags::DELETE) {
            self.end(&folder, parent, tree);
        }
        Progress::More
    }

    /// Takes a new folder, and those that were created in it before it was watched.
    fn add(&mut self, folder: &Path, parent: u64, tree: &mut Tree) -> Progress {
        let mut is_watched = true;
        // A folder that could not be looked at is gone, or is found by the next walk.
        let _ = walk(folder, |visited| {
            let parent = visited.parent.unwrap_or(parent);
            let name = visited.folder.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
            tree.insert(visited.id, parent, &name);
            is_watched &= self.watch(visited.id, Some(parent), visited.folder).is_ok();
        });
        if is_watched { Progress::More } else { Progress::Missed }
    }

    fn end(&mut self, folder: &Path, parent: u64, tree: &mut Tree) {
        let key = (parent, folder.file_name().map(OsStr::to_string_lossy).unwrap_or_default().into());
        let Some(&Watched { id, watch }) = self.watched.get(&key) else { return };
        // Another folder may have its name, and have been looked at instead of it.
        if fs::metadata(folder).is_ok_and(|metadata| metadata.ino() == id) {
            return;
        }
        self.watched.remove(&key);
        self.ids.remove(&watch);
        // The kernel may have dropped it.
        let _ = inotify::remove_watch(&self.inotify, watch);
        tree.remove_known(id);
    }
}

impl AsFd for FolderWatches {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
