//! When to look at the package folders: inotify, a signal, or a timeout.
//!
//! An inotify event only triggers a rescan: what changed is found by comparing looks. Where the kernel cannot see every change
//! (another machine's, on a network file system) inotify is not relied on, and the folders are scanned every second instead.

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

use super::super::requests::RELOAD;
use ebhost_limits as limits;

/// Why [`FolderNotifier::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WakeReason {
    /// SIGHUP asks for a reload.
    Signal,
    /// Something changed in a folder.
    Inotify,
    /// The agent has detached a package.
    Budget,
    Timeout,
    /// The other end of the request pipe is closed: the host ends.
    Shutdown,
}

/// Events that end a wait, besides its timeout and the end of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitFor {
    Signal,
    SignalOrChange,
}

/// An inotify instance that watches the package folders.
#[derive(Debug)]
pub(super) struct FolderNotifier {
    /// None: the kernel gave no instance, because too many are in use.
    inotify: Option<OwnedFd>,
    sees_every_change: bool,
}

/// Every event after which a package may be another one.
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

impl FolderNotifier {
    pub(super) fn new() -> Self {
        Self { inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok(), sees_every_change: false }
    }

    /// Watches these folders besides those from before. The kernel drops the watch of a folder that is deleted.
    pub(super) fn watch(&mut self, folders: &[PathBuf]) {
        let watched = |folder: &PathBuf| {
            let inotify = self.inotify.as_ref()?;
            inotify::add_watch(inotify, folder.as_path(), CHANGES).ok()?;
            is_local(folder).then_some(())
        };
        // Every folder is watched, though one that is not settles the answer.
        self.sees_every_change = folders.iter().filter_map(watched).count() == folders.len();
    }

    /// Whether inotify sees every change in the folders.
    pub(super) fn sees_every_change(&self) -> bool {
        self.sees_every_change
    }

    /// Waits for a byte on `requests` and, if it is to, for a change. No timeout: it waits for as long as it takes.
    pub(super) fn wait(&self, requests: &mut PipeReader, wait_for: WaitFor, timeout: Option<Duration>) -> WakeReason {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let inotify = self.inotify.as_ref().filter(|_| wait_for == WaitFor::SignalOrChange);
        loop {
            let mut files = vec![PollFd::new(&*requests, PollFlags::IN)];
            files.extend(inotify.map(|inotify| PollFd::new(inotify, PollFlags::IN)));
            match poll(&mut files, timeout.as_ref()) {
                Ok(0) => return WakeReason::Timeout,
                Ok(_) => {}
                Err(Errno::INTR) => continue, // a signal, which has a handler of its own
                Err(_) => {
                    std::thread::sleep(limits::LOOK);
                    return WakeReason::Timeout;
                }
            }
            if files[0].revents().is_empty() {
                return WakeReason::Inotify;
            }
            drop(files);
            let mut bytes = [0; 64];
            return match requests.read(&mut bytes) {
                Ok(length @ 1..) if bytes[..length].contains(&RELOAD) => WakeReason::Signal,
                Ok(1..) => WakeReason::Budget,
                _ => WakeReason::Shutdown,
            };
        }
    }

    /// Discards the events so far: the look that follows sees their changes.
    pub(super) fn drain(&self) {
        let Some(inotify) = &self.inotify else { return };
        let mut events = [0; 4096];
        while matches!(read(inotify.as_fd(), &mut events), Ok(1..) | Err(Errno::INTR)) {}
    }
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
        let folder = Path::new("/dev/shm").join(format!("ebhost-notify-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_change_wakes_until_it_is_drained() {
        let (mut requests, _request) = std::io::pipe().unwrap();
        let folder = folder("change");
        let mut notifier = FolderNotifier::new();
        notifier.watch(std::slice::from_ref(&folder));
        assert!(notifier.sees_every_change());
        assert_eq!(notifier.wait(&mut requests, WaitFor::SignalOrChange, AT_ONCE), WakeReason::Timeout);
        fs::write(folder.join("x"), "x").unwrap();
        assert_eq!(notifier.wait(&mut requests, WaitFor::Signal, AT_ONCE), WakeReason::Timeout);
        assert_eq!(notifier.wait(&mut requests, WaitFor::SignalOrChange, None), WakeReason::Inotify);
        notifier.drain();
        assert_eq!(notifier.wait(&mut requests, WaitFor::SignalOrChange, AT_ONCE), WakeReason::Timeout);
        fs::rename(folder.join("x"), folder.join("y")).unwrap();
        assert_eq!(notifier.wait(&mut requests, WaitFor::SignalOrChange, None), WakeReason::Inotify);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn inotify_is_not_relied_on_for_a_folder_that_is_absent_or_not_local() {
        let folder = folder("absent");
        let mut notifier = FolderNotifier::new();
        notifier.watch(&[folder.clone(), folder.join("none")]);
        assert!(!notifier.sees_every_change());
        notifier.watch(&[PathBuf::from("/proc/self")]);
        assert!(!notifier.sees_every_change());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_signal_and_the_end_of_the_host_wake() {
        let (mut requests, mut request) = std::io::pipe().unwrap();
        let notifier = FolderNotifier::new();
        request.write_all(&[0]).unwrap();
        assert_eq!(notifier.wait(&mut requests, WaitFor::Signal, None), WakeReason::Signal);
        drop(request);
        assert_eq!(notifier.wait(&mut requests, WaitFor::SignalOrChange, None), WakeReason::Shutdown);
    }
}
