//! The kernel's word that something changed in the packages' folders, so that nobody looks while nothing does.
//!
//! A word is a reason to look and nothing more: what changed is found by looking. Where the kernel cannot know of every
//! change (another machine's, on a network file system) it is not relied on, and the loader looks every second instead.

use std::{
    io::{PipeReader, Read as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{
        inotify::{self, CreateFlags, WatchFlags},
        statfs,
    },
    io::{Errno, read},
};

use ebhost_limits as limits;

/// Why the loader goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// By a signal.
    Asked,
    /// Something changed.
    ByChange,
    ByTime,
    /// Nobody can ask any more: the host ends.
    Closed,
}

/// The folders that the kernel watches for us.
#[derive(Debug)]
pub(super) struct Notice {
    changes: Option<OwnedFd>,
    tells_all: bool,
}

/// Everything after which a package may be another one.
const CHANGES: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MOVE_SELF);

/// File systems that only this machine writes to (`linux/magic.h`): ext4, XFS, Btrfs, tmpfs, overlay, F2FS, ZFS, bcachefs, SquashFS, EROFS.
const LOCAL: [u32; 10] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x794c_7630,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xca45_1a4e,
    0x7371_7368,
    0xe0f5_e1e2,
];

impl Notice {
    /// A kernel that gives none (too many are in use) has the loader look every second.
    pub(super) fn new() -> Self {
        Self { changes: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok(), tells_all: false }
    }

    /// Watches these folders, besides those from before; one that is gone is not watched any more by itself.
    pub(super) fn follow(&mut self, folders: &[PathBuf]) {
        let watched = |folder: &PathBuf| {
            let changes = self.changes.as_ref()?;
            inotify::add_watch(changes, folder.as_path(), CHANGES).ok()?;
            is_local(folder).then_some(())
        };
        // Each, though the answer may be known after the first.
        self.tells_all = folders.iter().filter_map(watched).count() == folders.len();
    }

    /// Whether every change in the folders is told.
    pub(super) fn tells_all(&self) -> bool {
        self.tells_all
    }

    /// Waits to be asked, or for a change if there is one to wait for.
    pub(super) fn wait(&self, asked: &mut PipeReader, for_changes: ForChanges, time: Option<Duration>) -> Woken {
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let changes = self.changes.as_ref().filter(|_| for_changes == ForChanges::Yes);
        loop {
            let mut files = vec![PollFd::new(&*asked, PollFlags::IN)];
            files.extend(changes.map(|changes| PollFd::new(changes, PollFlags::IN)));
            match poll(&mut files, time.as_ref()) {
                Ok(0) => return Woken::ByTime,
                Ok(_) => {}
                Err(Errno::INTR) => continue, // a signal, which its own handler has seen
                Err(_) => {
                    std::thread::sleep(limits::LOOK);
                    return Woken::ByTime;
                }
            }
            if files[0].revents().is_empty() {
                return Woken::ByChange;
            }
            drop(files);
            return match asked.read(&mut [0; 64]) {
                Ok(1..) => Woken::Asked,
                _ => Woken::Closed,
            };
        }
    }

    /// Forgets what was told so far: who looks now sees it.
    pub(super) fn forget(&self) {
        let Some(changes) = &self.changes else { return };
        let mut told = [0; 4096];
        while matches!(read(changes.as_fd(), &mut told), Ok(1..) | Err(Errno::INTR)) {}
    }
}

/// Whether a change is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForChanges {
    Yes,
    No,
}

fn is_local(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|system| LOCAL.contains(&(system.f_type as u32)))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

    fn folder(name: &str) -> PathBuf {
        let folder = Path::new("/dev/shm").join(format!("ebhost-notice-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_change_is_told_until_it_is_forgotten() {
        let (mut asked, _ask) = std::io::pipe().unwrap();
        let folder = folder("change");
        let mut notice = Notice::new();
        notice.follow(std::slice::from_ref(&folder));
        assert!(notice.tells_all());
        assert_eq!(notice.wait(&mut asked, ForChanges::Yes, AT_ONCE), Woken::ByTime);
        fs::write(folder.join("x"), "x").unwrap();
        assert_eq!(notice.wait(&mut asked, ForChanges::No, AT_ONCE), Woken::ByTime);
        assert_eq!(notice.wait(&mut asked, ForChanges::Yes, None), Woken::ByChange);
        notice.forget();
        assert_eq!(notice.wait(&mut asked, ForChanges::Yes, AT_ONCE), Woken::ByTime);
        fs::rename(folder.join("x"), folder.join("y")).unwrap();
        assert_eq!(notice.wait(&mut asked, ForChanges::Yes, None), Woken::ByChange);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_or_not_local_is_not_relied_on() {
        let folder = folder("absent");
        let mut notice = Notice::new();
        notice.follow(&[folder.clone(), folder.join("none")]);
        assert!(!notice.tells_all());
        notice.follow(&[PathBuf::from("/proc/self")]);
        assert!(!notice.tells_all());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn who_asks_is_heard_and_the_end_too() {
        let (mut asked, mut ask) = std::io::pipe().unwrap();
        let notice = Notice::new();
        ask.write_all(&[0]).unwrap();
        assert_eq!(notice.wait(&mut asked, ForChanges::No, None), Woken::Asked);
        drop(ask);
        assert_eq!(notice.wait(&mut asked, ForChanges::Yes, None), Woken::Closed);
    }
}
