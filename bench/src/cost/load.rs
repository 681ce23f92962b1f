//! Loads that drive the programs of packages. Each runs until a point in time, in a thread of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::unix::{fs::FileExt as _, process::parent_id},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Cgroup, Disk, Fio, MemoryLimit, Namespace, Wire, output};
use rustix::fs::{Advice, fadvise, syncfs};

use crate::rest::ping_pong;

pub(crate) type Load = fn(Instant);

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PAGE: usize = 4096;

/// Runs loads at the same time until they end.
pub(crate) fn together(loads: &[Load], end: Instant, meanwhile: impl FnOnce()) {
    let threads: Vec<_> = loads.iter().copied().map(|load| thread::spawn(move || load(end))).collect();
    meanwhile();
    threads.into_iter().for_each(|thread| thread.join().expect("the load does not fail"));
}

fn until(end: Instant, mut act: impl FnMut()) {
    while Instant::now() < end {
        act();
    }
}

pub(crate) fn switches(end: Instant) {
    ping_pong(end.saturating_duration_since(Instant::now()));
}

pub(crate) fn processes(end: Instant) {
    until(end, || _ = Command::new("true").status());
}

pub(crate) fn signals(end: Instant) {
    let script = "for i in 1 2 3 4 5 6 7 8; do kill -CONT $$; done";
    until(end, || _ = Command::new("sh").args(["-c", script]).status());
}

/// System calls that do next to nothing; one in nine fails.
pub(crate) fn calls(end: Instant) {
    until(end, || {
        for _ in 0..100 {
            (0..8).for_each(|_| _ = parent_id());
            let _ = fs::metadata("/nowhere");
        }
    });
}

pub(crate) fn sleeps(end: Instant) {
    until(end, || thread::sleep(Duration::from_micros(50)));
}

pub(crate) fn disk(end: Instant) {
    let disk = Disk::file_backed();
    let runtime = format!("--runtime={}", end.saturating_duration_since(Instant::now()).as_secs().max(1));
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--time_based", &runtime]);
}

/// Calls a function with the folder of a new file system, on a disk of its own.
fn on_disk(act: impl FnOnce(&Path)) {
    let disk = Disk::in_memory();
    output(Command::new("mkfs.ext4").arg("-q").arg(disk.device()));
    act(disk.mount().path());
}

fn file(folder: &Path, bytes: usize) -> File {
    let path = folder.join("file");
    fs::write(&path, vec![1; bytes]).expect("a disk with room");
    OpenOptions::new().read(true).write(true).open(path).expect("the file that was written")
}

/// Reads and writes of a file, page by page; now and then it leaves the page cache.
pub(crate) fn files(end: Instant) {
    on_disk(|folder| {
        let mut file = file(folder, 256 * PAGE);
        let mut page = [1; PAGE];
        until(end, || {
            file.sync_data().expect("a disk with room");
            fadvise(&file, 0, None, Advice::DontNeed).expect("a file");
            for _ in 0..8 {
                file.seek(SeekFrom::Start(0)).expect("a file");
                while file.read(&mut page).expect("a file") > 0 {}
            }
            (0..256).for_each(|at| _ = file.write_at(&page, at * PAGE as u64).expect("a disk with room"));
        });
    });
}

/// A file that is written, and written back by the kernel's thread.
pub(crate) fn synced_files(end: Instant) {
    on_disk(|folder| {
        let file = file(folder, PAGE);
        until(end, || {
            file.write_all_at(&[1; 16 * PAGE], 0).expect("a disk with room");
            syncfs(&file).expect("a disk");
        });
    });
}

pub(crate) fn memory(end: Instant) {
    until(end, || {
        let mut memory = vec![0u8; 4 << 20];
        memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        std::hint::black_box(&memory);
    });
}

/// A file that is read in a cgroup whose memory it does not fit into.
pub(crate) fn reclaims(end: Instant) {
    on_disk(|folder| {
        // Written back, and out of the page cache: its pages are the limit's only if they are read below it.
        let file = file(folder, 96 << 20);
        file.sync_all().expect("a disk with room");
        fadvise(&file, 0, None, Advice::DontNeed).expect("a file");
        let cgroup = Cgroup::new(&format!("ebhost-bench-{}", std::process::id()));
        let limit = MemoryLimit::below(&cgroup, 24 << 20);
        let path = folder.join("file");
        until(end, || _ = limit.starter().arg("cat").arg(&path).stdout(Stdio::null()).status());
    });
}

/// A listener that accepts connections and answers each byte until they close.
fn echo() -> TcpListener {
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a port");
    let accepting = listener.try_clone().expect("a listener");
    thread::spawn(move || {
        for stream in accepting.incoming() {
            let Ok(mut stream) = stream else { break };
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
        }
    });
    listener
}

fn talk(stream: &mut TcpStream) {
    stream.write_all(&[1]).and_then(|()| stream.read_exact(&mut [0])).expect("the peer answers");
}

pub(crate) fn connections(end: Instant) {
    let listener = echo();
    let to = listener.local_addr().expect("it is bound");
    until(end, || talk(&mut TcpStream::connect(to).expect("it listens")));
}

pub(crate) fn round_trips(end: Instant) {
    let listener = echo();
    let mut stream = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    until(end, || talk(&mut stream));
}

/// A port that nobody listens on.
fn closed() -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a port");
    listener.local_addr().expect("it is bound").port()
}

pub(crate) fn refused(end: Instant) {
    let port = closed();
    until(end, || _ = TcpStream::connect((LOOPBACK, port)));
}

pub(crate) fn closed_port(end: Instant) {
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a port");
    let port = closed();
    until(end, || _ = socket.send_to(b"x", (LOOPBACK, port)));
}

pub(crate) fn overflow(end: Instant) {
    let receiver = UdpSocket::bind((LOOPBACK, 0)).expect("a port");
    let to = receiver.local_addr().expect("it is bound");
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a port");
    until(end, || _ = socket.send_to(&[1; 1000], to));
}

/// Data over a wire that loses one in twenty of its segments.
pub(crate) fn losses(end: Instant) {
    Namespace::new().run(move || {
        let wire = Wire::new(Duration::from_micros(500));
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let mut seen = 0u32;
        wire.lose(move |segment| {
            seen += u32::from(segment.payload > 0);
            segment.payload > 0 && seen.is_multiple_of(20)
        });
        let reading = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut buffer = [0; 65536];
            while stream.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
        });
        let mut stream = TcpStream::connect((Wire::PEER, port)).expect("a connection");
        until(end, || stream.write_all(&[1; 16 * 1024]).expect("the peer reads"));
        wire.lose(|_| false);
        drop(stream);
        reading.join().expect("it reads until the end");
    });
}

/// Queries of a name server on loopback that answers at once.
pub(crate) fn queries(end: Instant) {
    Namespace::new().run(move || {
        let server = UdpSocket::bind((LOOPBACK, 53)).expect("a namespace of its own");
        let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a port");
        socket.connect((LOOPBACK, 53)).expect("loopback");
        let mut query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x05known\x04test\0\0\x01\0\x01".to_vec();
        let mut id = 0u16;
        until(end, || {
            id = id.wrapping_add(1);
            query[..2].copy_from_slice(&id.to_be_bytes());
            socket.send(&query).expect("loopback takes it");
            let mut answer = [0; 64];
            let (bytes, from) = server.recv_from(&mut answer).expect("it was sent");
            answer[2] |= 0x80;
            server.send_to(&answer[..bytes], from).expect("loopback takes it");
            socket.recv(&mut answer).expect("it was sent");
        });
    });
}
