//! A file of zeros in a FUSE file system in which every read and write takes a fixed time. A loop device over it is a
//! disk of known latency.
//!
//! It runs in a process of its own, so that a killed test leaves no request unanswered. It exits when the file system
//! is unmounted and the file closed. It stores nothing that is written.
//!
//! Usage: slow_file FOLDER MICROSECONDS BYTES. Prints a line once FOLDER/disk exists.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    path::Path,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite, Request, Session, WriteFlags,
};

const FILE: INodeNo = INodeNo(2);
const FOREVER: Duration = Duration::from_secs(1 << 30);

struct SlowFile {
    delay: Duration,
    size: u64,
    /// The delay is the same for all requests, so the answers are due in the order of the requests.
    answers: Sender<(Instant, Answer)>,
}

enum Answer {
    Read(ReplyData, usize),
    Written(ReplyWrite, u32),
}

impl SlowFile {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_file = inode == FILE;
        FileAttr {
            ino: inode,
            size: if is_file { self.size } else { 0 },
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }

    fn later(&self, answer: Answer) {
        // Fails only if the answering thread has ended, and then the process is exiting.
        let _ = self.answers.send((Instant::now() + self.delay, answer));
    }
}

impl Filesystem for SlowFile {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Otherwise direct requests would wait for each other, and latencies would add up.
        let refused = |_| io::Error::other("the kernel has no asynchronous direct I/O for FUSE");
        config.add_capabilities(InitFlags::FUSE_ASYNC_DIO).map_err(refused)?;
        // Several times as many requests at a time as the disk has tags.
        let refused = |most| io::Error::other(format!("the kernel takes {most} requests at a time"));
        config.set_max_background(1024).map(drop).map_err(refused)
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == "disk" {
            reply.entry(&FOREVER, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &self.attributes(inode));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let length = self.size.saturating_sub(offset).min(u64::from(size));
        self.later(Answer::Read(reply, length as usize));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.later(Answer::Written(reply, data.len() as u32));
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }
}

fn answer(answers: &Receiver<(Instant, Answer)>) {
    let zeros = vec![0; 1 << 20];
    for (due, answer) in answers {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match answer {
            Answer::Read(reply, length) => reply.data(&zeros[..length.min(zeros.len())]),
            Answer::Written(reply, length) => reply.written(length),
        }
    }
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().collect();
    let number = |index: usize| args.get(index).and_then(|text| text.parse::<u64>().ok());
    let (Some(folder), Some(delay), Some(size)) = (args.get(1), number(2), number(3)) else {
        return Err(io::Error::other("usage: slow_file FOLDER MICROSECONDS BYTES"));
    };
    // The delay is exact only if this thread gets a CPU in time. Only root may raise its priority; other users do
    // without.
    let _ = rustix::process::setpriority_process(None, -20);

    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || answer(&receiver));
    let file = SlowFile { delay: Duration::from_micros(delay), size, answers: sender };
    let session = Session::new(file, Path::new(folder), &Config::default())?;
    writeln!(io::stdout(), "ready")?;
    session.run()
}
