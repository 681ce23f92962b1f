//! Following a hierarchy: its cgroups by id, kept up to date by a thread of its own.
//!
//! The thread walks the hierarchy once, and from then on reads the kernel's reports of folders that come and go: from fanotify, which was
//! opened while the process had the capability for it, or else from inotify. If reports were dropped it walks again. Where there are no
//! reports at all it walks from time to time, and when an id is asked about that it does not know; after each walk it rests for a multiple
//! of the time that it took.
//!
//! A caller that asks for a name never waits for a walk for longer than a given time. While it is not sure whether a cgroup is there, the answer
//! is [`Found::NotYet`].

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ebhost_confine::{NONE, Restart, Thread};
use ebhost_limits as limits;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::{
    fanotify::FolderEvents,
    inotify::FolderWatches,
    tree::Tree,
    walk::{Walk, walk},
};

/// Cgroups that a walk inserts under one lock.
const INSERTED_TOGETHER: usize = 256;

/// Reads of some hundred reports each for a cgroup that is not known.
const READS_PER_QUESTION: usize = 16;

/// State of a cgroup, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It exists, with this path below the mount; that of the root is `/`.
    Present(String),
    /// It was removed, and had this path.
    Removed(String),
    /// There is no such cgroup, or it was removed before anybody looked at it.
    Unknown,
    /// It is not known yet: ask again later.
    NotYet,
}

/// The cgroups that changed since they were asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// There are too many to list.
    All,
    Ids(Vec<u64>),
}

/// The sizes of a hierarchy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupCounts {
    /// Cgroups that exist.
    pub present: u64,
    /// Removed cgroups whose names are kept.
    pub removed: u64,
    /// Cgroups that are not known because there are too many.
    pub left_out: u64,
}

/// How far reports were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All of them.
    Done,
    /// There may be more.
    More,
    /// Some were dropped: only a walk can tell what is there.
    Missed,
}

/// The cgroups of a hierarchy by id. Dropping it ends its thread.
#[derive(Debug)]
pub struct Hierarchy {
    shared: Arc<Shared>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Shared {
    mount: PathBuf,
    state: Mutex<State>,
    /// A walk has ended.
    walked: Condvar,
    /// Wakes the thread.
    wake: OwnedFd,
    is_over: AtomicBool,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    reports: Reports,
    /// Whether the tree has every cgroup but for what the reports say.
    is_whole: bool,
    /// Whether reports wait that nobody read.
    has_unread: bool,
    /// Whether reports were dropped, or folders were watched for the first time, since the last walk began.
    has_gaps: bool,
    /// Walks that began, and the last of them that was complete.
    begun: u32,
    completed: u32,
    /// Ids that were asked about and not known, with what had happened when they were asked about first.
    asked: HashMap<u64, Asked>,
    /// How often the hierarchy was brought up to date for a collection.
    updates: u32,
    /// Asked ids that the tree knows now.
    arrived: Vec<u64>,
    /// When the next walk may begin.
    walk_from: Instant,
}

/// The reports up to the first question about an id.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Walks that had begun.
    begun: u32,
    updates: u32,
}

/// Where reports of new and removed folders come from.
#[derive(Debug)]
enum Reports {
    Fanotify(FolderEvents),
    Inotify(FolderWatches),
    /// There are none: only walks tell.
    None,
}

impl Hierarchy {
    /// Follows the hierarchy that is mounted at `mount`, with the reports of `events`, if they could be opened.
    ///
    /// # Errors
    /// The mount cannot be looked at, or the thread cannot be started.
    pub fn follow(mount: &Path, events: Option<FolderEvents>) -> io::Result<Self> {
        let reports = match events {
            Some(events) => Reports::Fanotify(events),
            None => FolderWatches::new().map_or(Reports::None, Reports::Inotify),
        };
        let state = State {
            tree: Tree::new(fs::metadata(mount)?.ino()),
            reports,
            is_whole: false,
            has_unread: false,
            has_gaps: false,
            begun: 0,
            completed: 0,
            asked: HashMap::new(),
            updates: 0,
            arrived: Vec::new(),
            walk_from: Instant::now(),
        };
        let shared = Arc::new(Shared {
            mount: mount.to_owned(),
            state: Mutex::new(state),
            walked: Condvar::new(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            is_over: AtomicBool::new(false),
        });
        let follower = shared.clone();
        let thread = ebhost_confine::spawn("cgroup names", NONE, Restart, move || follower.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Begins a collection: reads the reports so far, for at most about `time`.
    pub fn update(&self, time: Duration) {
        self.shared.lock().updates += 1;
        let until = Instant::now() + time;
        while self.shared.lock().read_reports(&self.shared.mount) && Instant::now() < until {}
    }

    /// The cgroup's path. Waits until a walk has told, but no longer than `patience`, which becomes shorter by the time it waited.
    pub fn find(&self, id: u64, patience: &mut Duration) -> Found {
        let mut state = self.shared.lock();
        // It may have come since the last update.
        for _ in 0..READS_PER_QUESTION {
            if state.tree.has_path(id) || !state.read_reports(&self.shared.mount) {
                break;
            }
        }
        loop {
            let found = state.find(id);
            let now = Instant::now();
            if found != Found::NotYet || state.is_sure() || patience.is_zero() || state.walk_from > now + *patience {
                return found;
            }
            let (guard, _) = self.shared.walked.wait_timeout(state, *patience).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            *patience = patience.saturating_sub(now.elapsed());
        }
    }

    /// Whether the cgroup was there and is not any more.
    pub fn is_removed(&self, id: u64) -> bool {
        self.shared.lock().tree.is_removed(id)
    }

    /// The cgroups about which [`find`](Self::find) may say something else than at the last call of this: those that were removed, and those
    /// that were asked about and not known.
    pub fn take_changed(&self) -> Changed {
        let mut state = self.shared.lock();
        state.note_arrivals();
        let mut arrived = std::mem::take(&mut state.arrived);
        match state.tree.take_departed() {
            Changed::All => Changed::All,
            Changed::Ids(mut ids) => {
                ids.append(&mut arrived);
                Changed::Ids(ids)
            }
        }
    }

    pub fn counts(&self) -> CgroupCounts {
        let (present, removed, left_out) = self.shared.lock().tree.counts();
        CgroupCounts { present, removed, left_out }
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // It can only fail if it was woken 2^64 times.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn run(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            if self.lock().wants_walk(Instant::now()) {
                self.walk();
            }
            self.wait();
            if self.lock().reports.can_wait() {
                thread::sleep(limits::CGROUP_REPORTS_TOGETHER);
            }
            let started = Instant::now();
            while self.lock().read_reports(&self.mount) {}
            // Somebody may create and remove cgroups as fast as the machine can.
            thread::sleep(started.elapsed() * limits::CGROUP_REPORTS_REST);
        }
    }

    /// Waits for reports, a question, or the time of the next walk.
    fn wait(&self) {
        let (timeout, reports) = {
            let state = self.lock();
            (state.time_to_walk(), state.reports.as_fd().and_then(|fd| fd.try_clone_to_owned().ok()))
        };
        let mut files = vec![PollFd::new(&self.wake, PollFlags::IN)];
        files.extend(reports.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        if poll(&mut files, timeout.as_ref()).is_err() {
            thread::sleep(limits::CGROUP_WALK);
        }
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    fn walk(&self) {
        let started = Instant::now();
        self.lock().begin_walk();
        let mut seen = Vec::with_capacity(INSERTED_TOGETHER);
        let walk = walk(&self.mount, |visited| {
            let Some(parent) = visited.parent else { return self.lock().watch(visited.id, None, visited.folder) };
            seen.push((visited.id, parent, visited.folder.to_owned()));
            if seen.len() == INSERTED_TOGETHER {
                self.lock().insert(&mut seen);
            }
        });
        let mut state = self.lock();
        state.insert(&mut seen);
        state.end_walk(&walk, started.elapsed());
        self.walked.notify_all();
    }
}

impl State {
    fn find(&mut self, id: u64) -> Found {
        if let Some(path) = self.tree.path(id) {
            return if self.tree.is_removed(id) { Found::Removed(path) } else { Found::Present(path) };
        }
        if self.asked.len() >= limits::UNKNOWN_CGROUPS {
            self.asked.clear();
        }
        let asked = *self.asked.entry(id).or_insert(Asked { begun: self.begun, updates: self.updates });
        // The report of a cgroup that is being created or removed may come a moment later, so it is waited for until the next collection.
        let is_absent = self.is_sure() && self.updates > asked.updates;
        if is_absent || self.completed > asked.begun { Found::Unknown } else { Found::NotYet }
    }

    /// Whether the tree has every cgroup that reports and walks can tell of.
    fn is_sure(&self) -> bool {
        self.is_whole && !self.has_unread
    }

    /// Reads some reports. Returns whether there may be more.
    fn read_reports(&mut self, mount: &Path) -> bool {
        let progress = match &mut self.reports {
            Reports::Fanotify(events) => events.read_into(&mut self.tree, mount),
            Reports::Inotify(watches) => watches.read_into(&mut self.tree, mount),
            Reports::None => Progress::Done,
        };
        if progress == Progress::Missed {
            self.is_whole = false;
            self.has_gaps = true;
            if let Reports::Inotify(_) = self.reports {
                // Watches of folders that are gone go with it.
                self.reports = FolderWatches::new().map_or(Reports::None, Reports::Inotify);
            }
        }
        self.has_unread = progress == Progress::More;
        self.has_unread
    }

    fn has_reports(&self) -> bool {
        !matches!(self.reports, Reports::None)
    }

    fn wants_walk(&self, now: Instant) -> bool {
        now >= self.walk_from && (!self.is_whole || !self.has_reports())
    }

    /// The time until the next walk; `None`: there is none to come.
    fn time_to_walk(&self) -> Option<Duration> {
        let is_due = !self.is_whole || !self.has_reports();
        is_due.then(|| self.walk_from.saturating_duration_since(Instant::now()))
    }

    fn begin_walk(&mut self) {
        self.begun += 1;
        self.tree.begin_walk();
        self.has_gaps = false;
    }

    fn insert(&mut self, seen: &mut Vec<(u64, u64, PathBuf)>) {
        for (id, parent, folder) in seen.drain(..) {
            let name = folder.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
            self.tree.insert(id, parent, &name);
            self.watch(id, Some(parent), &folder);
        }
    }

    fn watch(&mut self, id: u64, parent: Option<u64>, folder: &Path) {
        let Reports::Inotify(watches) = &mut self.reports else { return };
        match watches.watch(id, parent, folder) {
            // Cgroups that were created in it before are found by another walk.
            Ok(is_new) => self.has_gaps |= is_new,
            Err(_) => self.reports = Reports::None,
        }
    }

    fn end_walk(&mut self, walk: &Walk, took: Duration) {
        let is_complete = matches!(walk, Walk::Complete);
        if is_complete {
            self.tree.end_walk();
            self.completed = self.begun;
        }
        self.is_whole = is_complete && !self.has_gaps && self.has_reports();
        self.note_arrivals();
        let rest = took * limits::CGROUP_WALK_REST;
        self.walk_from = Instant::now() + rest.max(limits::CGROUP_WALK);
    }

    fn note_arrivals(&mut self) {
        let (tree, arrived) = (&self.tree, &mut self.arrived);
        self.asked.retain(|id, _| {
            let is_known = tree.has_path(*id);
            arrived.extend(is_known.then_some(*id));
            !is_known
        });
    }
}

impl Reports {
    /// Whether the reports say enough to be read later: an id of inotify's has to be looked at while the cgroup exists.
    fn can_wait(&self) -> bool {
        matches!(self, Self::Fanotify(_))
    }

    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        match self {
            Self::Fanotify(events) => Some(events.as_fd()),
            Self::Inotify(watches) => Some(watches.as_fd()),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn folder(name: &str) -> PathBuf {
        let folder = Path::new("/dev/shm").join(format!("ebhost-follow-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn id(folder: &Path) -> u64 {
        fs::metadata(folder).unwrap().ino()
    }

    fn present(path: &str) -> Found {
        Found::Present(path.to_owned())
    }

    fn found_at_last(hierarchy: &Hierarchy, id: u64, expected: &Found) {
        let until = Instant::now() + PATIENCE;
        loop {
            hierarchy.update(Duration::from_millis(5));
            let found = hierarchy.find(id, &mut Duration::from_millis(50));
            if found == *expected {
                return;
            }
            assert!(Instant::now() < until, "found {found:?}, expected {expected:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The behaviour of a hierarchy, whatever tells it of changes.
    fn follows(hierarchy: &Hierarchy, root: &Path) {
        assert_eq!(hierarchy.find(id(root), &mut PATIENCE.clone()), present("/"));
        assert_eq!(hierarchy.find(id(&root.join("a/b")), &mut PATIENCE.clone()), present("/a/b"));
        found_at_last(hierarchy, u64::MAX - 1, &Found::Unknown);
        fs::create_dir_all(root.join("a/c/d")).unwrap();
        let new = id(&root.join("a/c/d"));
        found_at_last(hierarchy, new, &present("/a/c/d"));
        fs::remove_dir(root.join("a/c/d")).unwrap();
        fs::remove_dir(root.join("a/c")).unwrap();
        found_at_last(hierarchy, new, &Found::Removed("/a/c/d".to_owned()));
        let Changed::Ids(changed) = hierarchy.take_changed() else { panic!("there are few") };
        assert!(changed.contains(&new), "{changed:?}");
        assert_eq!(hierarchy.counts().removed, 2);
    }

    #[test]
    fn watches_tell_of_what_comes_and_goes() {
        let root = folder("inotify");
        fs::create_dir_all(root.join("a/b")).unwrap();
        follows(&Hierarchy::follow(&root, None).unwrap(), &root);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn without_any_reports_walks_tell() {
        let root = folder("walks");
        fs::create_dir_all(root.join("a/b")).unwrap();
        let hierarchy = Hierarchy::follow(&root, None).unwrap();
        hierarchy.shared.lock().reports = Reports::None;
        follows(&hierarchy, &root);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn an_asked_cgroup_that_is_found_later_is_reported() {
        let root = folder("later");
        let hierarchy = Hierarchy::follow(&root, None).unwrap();
        hierarchy.shared.lock().reports = Reports::None;
        fs::create_dir(root.join("x")).unwrap();
        let new = id(&root.join("x"));
        let mut state = hierarchy.shared.lock();
        let (mut tree, is_whole) = (Tree::new(id(&root)), true);
        std::mem::swap(&mut state.tree, &mut tree);
        state.is_whole = is_whole;
        assert_eq!(state.find(new), Found::NotYet, "its report may come a moment later");
        state.updates += 1;
        assert_eq!(state.find(new), Found::Unknown);
        state.tree.insert(new, id(&root), "x");
        drop(state);
        let Changed::Ids(changed) = hierarchy.take_changed() else { panic!("there are few") };
        assert_eq!(changed, [new]);
        fs::remove_dir_all(&root).unwrap();
    }

    /// On the machine's own hierarchy, where the kernel reports every folder: only root can, from Linux 6.6 on.
    #[test]
    fn a_cgroup_that_came_and_went_unseen_has_its_name() {
        let Some(mount) = crate::mount() else { return };
        let Ok(events) = FolderEvents::open(&mount) else { return };
        let hierarchy = Hierarchy::follow(&mount, Some(events)).unwrap();
        let parent = mount.join(format!("ebhost-follow-{}", std::process::id()));
        let (first, second) = (parent.join("first"), parent.join("second"));
        fs::create_dir(&parent).unwrap();
        fs::create_dir(&first).unwrap();
        // Ids are given one after the other. Nobody looks at this one's folder.
        fs::create_dir(&second).unwrap();
        fs::remove_dir(&second).unwrap();
        fs::remove_dir(&first).unwrap();
        fs::remove_dir(&parent).unwrap();
        let name = format!("/{}", parent.file_name().unwrap().to_string_lossy());
        let until = Instant::now() + PATIENCE;
        let is_named = |expected: &str| {
            hierarchy.update(Duration::from_millis(5));
            let state = hierarchy.shared.lock();
            state.tree.removed_paths().any(|path| path == expected)
        };
        while !is_named(&format!("{name}/second")) || !is_named(&format!("{name}/first")) {
            assert!(Instant::now() < until, "the removed cgroups have no names");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
