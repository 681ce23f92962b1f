//! The kernel's report of every folder that is created in a hierarchy or removed from it (fanotify(7), Linux 6.6).
//!
//! One mark covers the whole hierarchy. The report of a removal says the id of what was removed, so that even a cgroup that nobody
//! looked at while it existed has a name. Setting the mark needs CAP_SYS_ADMIN; reading the reports needs nothing.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::Path,
};

use nix::{
    libc,
    sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags},
};
use rustix::{fs::CWD, io::Errno};

use crate::{follow::Progress, mounts::is_hierarchy, tree::Tree};

/// Bytes of reports that are read at once: about a hundred.
const BUFFER_BYTES: usize = 8 << 10;

/// Reports with the parent's handle and the name, and with the handle of the folder itself (`linux/fanotify.h`).
const REPORT: u32 = 0x200 | 0x400 | 0x800 | 0x1000;

/// `FILEID_KERNFS`: a handle that is an id (`linux/exportfs.h`).
const KERNFS_HANDLE: i32 = 0xfe;

/// The kinds of records after an event's head.
const RECORD_FOLDER: u8 = 1;
const RECORD_PARENT_AND_NAME: u8 = 2;

/// A descriptor that reports every folder of a hierarchy that comes or goes, from the time of its opening.
#[derive(Debug)]
pub struct FolderEvents {
    group: Fanotify,
}

/// A folder that came or went.
#[derive(Debug, PartialEq, Eq)]
struct Event<'a> {
    kind: EventKind,
    parent: u64,
    name: &'a OsStr,
    /// The kernel does not know it before somebody looks at a new folder.
    id: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventKind {
    Created,
    Removed,
}

impl FolderEvents {
    /// Begins to listen for the hierarchy that is mounted at `mount`.
    ///
    /// # Errors
    /// The kernel is older than 6.6, CAP_SYS_ADMIN is missing, or the folder is no hierarchy of version 2.
    pub fn open(mount: &Path) -> io::Result<Self> {
        if !is_hierarchy(mount) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
        let group = Fanotify::init(flags | InitFlags::from_bits_retain(REPORT), EventFFlags::O_RDONLY)?;
        let mark = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        let mask = MaskFlags::FAN_CREATE | MaskFlags::FAN_DELETE | MaskFlags::FAN_ONDIR;
        group.mark(mark, mask, CWD, Some(mount))?;
        Ok(Self { group })
    }

    /// Drops the reports so far.
    pub fn discard(&self) {
        let mut buffer = [0; BUFFER_BYTES];
        while matches!(rustix::io::read(self, &mut buffer), Ok(1..) | Err(Errno::INTR)) {}
    }

    /// Reads some reports into the tree of the hierarchy that is mounted at `mount`.
    pub(crate) fn read_into(&self, tree: &mut Tree, mount: &Path) -> Progress {
        let mut buffer = [0; BUFFER_BYTES];
        let bytes = match rustix::io::read(self, &mut buffer) {
            Ok(bytes) => &buffer[..bytes],
            Err(Errno::AGAIN) => return Progress::Done,
            Err(Errno::INTR) => return Progress::More,
            Err(_) => return Progress::Missed,
        };
        let mut progress = Progress::More;
        for event in Heads(bytes) {
            let Some(event) = event.parse() else {
                progress = Progress::Missed;
                continue;
            };
            if !take(&event, tree, mount) {
                progress = Progress::Missed;
            }
        }
        progress
    }
}

impl AsFd for FolderEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

/// Takes an event into the tree; false: it says too little.
fn take(event: &Event<'_>, tree: &mut Tree, mount: &Path) -> bool {
    let name = event.name.to_string_lossy();
    match (event.kind, event.id) {
        (EventKind::Removed, Some(id)) => tree.remove(id, event.parent, &name),
        (EventKind::Removed, None) => return false,
        (EventKind::Created, Some(id)) => tree.insert(id, event.parent, &name),
        (EventKind::Created, None) => {
            // A cgroup that cannot be looked at any more is named by the report of its removal.
            let folder = tree.path(event.parent).map(|parent| mount.join(&parent[1..]).join(event.name));
            if let Some(metadata) = folder.and_then(|folder| fs::metadata(folder).ok()) {
                tree.insert(metadata.ino(), event.parent, &name);
            }
        }
    }
    true
}

/// The events of a buffer, one after the other.
struct Heads<'a>(&'a [u8]);

/// An event as the kernel writes it: a head, then records.
struct RawEvent<'a> {
    mask: u64,
    records: &'a [u8],
}

impl<'a> Iterator for Heads<'a> {
    type Item = RawEvent<'a>;

    fn next(&mut self) -> Option<RawEvent<'a>> {
        let length = number(self.0, 0, 4)? as usize;
        let head = number(self.0, 6, 2)? as usize;
        let mask = number(self.0, 8, 8)?;
        let records = self.0.get(head..length)?;
        self.0 = &self.0[length.max(1)..];
        Some(RawEvent { mask, records })
    }
}

impl<'a> RawEvent<'a> {
    /// `None`: the event is none of a folder (as the one that says that events were dropped), or damaged.
    fn parse(&self) -> Option<Event<'a>> {
        let kind = match self.mask {
            mask if mask & libc::FAN_DELETE != 0 => EventKind::Removed,
            mask if mask & libc::FAN_CREATE != 0 => EventKind::Created,
            _ => return None,
        };
        let (mut place, mut id) = (None, None);
        let mut rest = self.records;
        while !rest.is_empty() {
            let length = number(rest, 2, 2)? as usize;
            let record = rest.get(..length).filter(|record| record.len() >= 4)?;
            match record[0] {
                RECORD_PARENT_AND_NAME => place = Some((handle(record)?, name(record)?)),
                RECORD_FOLDER => id = handle(record),
                _ => {}
            }
            rest = &rest[length..];
        }
        let (parent, name) = place?;
        Some(Event { kind, parent, name, id })
    }
}

/// A record: kind, padding, length (2 bytes), file system (8), bytes of the handle (4), its type (4), the handle, the name.
const HANDLE_AT: usize = 20;
const NAME_AT: usize = HANDLE_AT + 8;

fn handle(record: &[u8]) -> Option<u64> {
    let is_id = number(record, 12, 4)? == 8 && number(record, 16, 4)? as i32 == KERNFS_HANDLE;
    number(record, HANDLE_AT, 8).filter(|_| is_id)
}

fn name(record: &[u8]) -> Option<&OsStr> {
    let bytes = record.get(NAME_AT..)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some(OsStr::from_bytes(&bytes[..end]))
}

/// A little-endian number of `length` bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, handle: u64, name: &str) -> Vec<u8> {
        let mut record = vec![kind, 0, 0, 0];
        record.extend([0x8d; 8]);
        record.extend(8u32.to_le_bytes());
        record.extend(KERNFS_HANDLE.to_le_bytes());
        record.extend(handle.to_le_bytes());
        if !name.is_empty() {
            record.extend(name.as_bytes());
            record.extend([0; 4]);
        }
        let length = record.len() as u16;
        record[2..4].copy_from_slice(&length.to_le_bytes());
        record
    }

    fn event(mask: u64, records: &[Vec<u8>]) -> Vec<u8> {
        let records = records.concat();
        let mut event = (24 + records.len() as u32).to_le_bytes().to_vec();
        event.extend([3, 0, 24, 0]);
        event.extend(mask.to_le_bytes());
        event.extend([0xff; 8]);
        event.extend(records);
        event
    }

    #[test]
    fn reports_as_linux_6_18_writes_them_are_understood() {
        let ondir = 0x4000_0000;
        let bytes = [
            event(ondir | libc::FAN_CREATE, &[record(2, 1, "zz1")]),
            event(ondir | libc::FAN_DELETE, &[record(2, 2704, "deep"), record(1, 2723, "")]),
        ]
        .concat();
        let events: Vec<_> = Heads(&bytes).map(|event| event.parse()).collect();
        let created = Event { kind: EventKind::Created, parent: 1, name: OsStr::new("zz1"), id: None };
        let removed = Event { kind: EventKind::Removed, parent: 2704, name: OsStr::new("deep"), id: Some(2723) };
        assert_eq!(events, [Some(created), Some(removed)]);
    }

    #[test]
    fn a_report_that_others_were_dropped_is_no_folders() {
        let bytes = event(libc::FAN_Q_OVERFLOW, &[]);
        assert_eq!(Heads(&bytes).map(|event| event.parse()).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn damaged_reports_end_the_reading() {
        let good = event(libc::FAN_DELETE, &[record(2, 1, "a"), record(1, 2, "")]);
        for end in 0..good.len() {
            assert!(Heads(&good[..end]).next().is_none());
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] = 0xff;
            Heads(&bad).take(100).for_each(|event| _ = event.parse());
        }
    }
}
