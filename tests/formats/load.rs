//! A little of everything that packages count: disks, files, processes, memory at its limit, TCP, UDP and DNS on loopback.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{self, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ebhost_tests::{Cgroup, Disk, Fio, MemoryLimit, output};

/// Where the name server of this load listens.
const NAME_SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 77), 53);

/// A query for the address of `a.test`.
const QUERY: &[u8] = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";

/// The load. It ends when this is dropped.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins. `fast` and `slow` are read and written; `files` has a file system for the page cache and the flusher threads.
    pub(crate) fn start(fast: &Disk, slow: &Disk, files: &Path) -> Self {
        let mut load = Self { is_over: Arc::default(), threads: Vec::new() };
        let [fast, slow] = [fast, slow].map(Disk::device);
        load.repeat(move || {
            drop(Fio::run(&fast, &["--rw=randrw", "--bs=4k", "--rate_iops=200", "--time_based", "--runtime=3"]));
        });
        load.repeat(move || {
            drop(Fio::run(&slow, &["--rw=randread", "--bs=4k", "--rate_iops=30", "--time_based", "--runtime=3"]));
        });
        let file = files.join("file");
        load.repeat(move || write_and_read(&file));
        let folder = files.to_owned();
        load.repeat(move || reclaim(&folder));
        load.repeat(|| drop(Command::new("sh").args(["-c", "true; kill -0 $$"]).status()));
        load.sessions();
        load.datagrams();
        load.names();
        load
    }

    fn repeat(&mut self, mut job: impl FnMut() + Send + 'static) {
        let is_over = self.is_over.clone();
        self.threads.push(thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                job();
                thread::sleep(Duration::from_millis(20));
            }
        }));
    }

    /// Short TCP sessions, and connections that are refused.
    fn sessions(&mut self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let closed =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        self.repeat(move || {
            let mut client = TcpStream::connect(address).expect("somebody listens");
            client.write_all(&[1; 4096]).expect("there is room");
            if let Ok((mut server, _)) = listener.accept() {
                let _ = server.set_nonblocking(false);
                let _ = server.read(&mut [0; 4096]);
                let _ = server.write_all(&[2; 1024]);
                let _ = client.read(&mut [0; 1024]);
            }
            let _ = TcpStream::connect(closed);
        });
    }

    /// Datagrams to a socket that nobody reads, and to none.
    fn datagrams(&mut self) {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let to = receiver.local_addr().expect("it is bound");
        self.repeat(move || {
            let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            for _ in 0..200 {
                let _ = sender.send_to(&[0; 1024], to);
            }
            let _ = sender.send_to(b"nobody", (Ipv4Addr::LOCALHOST, 9));
            let _ = &receiver;
        });
    }

    /// DNS queries and their answers.
    fn names(&mut self) {
        let server = UdpSocket::bind(NAME_SERVER).expect("no other name server is at this address");
        server.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        self.repeat(move || {
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let _ = client.send_to(QUERY, NAME_SERVER);
            let mut message = [0; 512];
            if let Ok((length, from)) = server.recv_from(&mut message) {
                message[2] |= 0x80; // it is an answer
                let _ = server.send_to(&message[..length], from);
            }
        });
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Dirties pages, has them written back, and reads them from the disk.
fn write_and_read(file: &Path) {
    fs::write(file, vec![7; 4 << 20]).expect("there is room");
    forget(file);
    fs::read(file).expect("it was just written");
    thread::sleep(Duration::from_millis(500));
}

/// Writes the page cache back, and drops a file's pages from it.
fn forget(file: &Path) {
    output(&mut Command::new("sync"));
    let name = file.display();
    output(Command::new("dd").arg(format!("if={name}")).args(["iflag=nocache", "count=0", "status=none"]));
}

/// Reads a file that is larger than the reader's memory, and that is nobody's yet.
fn reclaim(folder: &Path) {
    let file = folder.join("large");
    if !file.exists() {
        fs::write(&file, vec![1; 48 << 20]).expect("there is room");
    }
    forget(&file);
    let cgroup = Cgroup::new(&format!("ebhost-dashboards-{}", process::id()));
    let limit = MemoryLimit::below(&cgroup, 16 << 20);
    let mut command = limit.starter();
    let _ = command.arg("cat").arg(&file).stdout(Stdio::null()).status();
    thread::sleep(Duration::from_millis(500));
}
