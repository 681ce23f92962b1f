//! A network path with a known delay and known loss: a TUN device whose packets the test carries itself.
//!
//! Packets to the peer's address come back to this machine's own, with the addresses exchanged, so that both ends of a connection to the
//! peer are sockets of this kernel. Works on kernels without netem.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{namespace::ip, process::run_first, sys::create_tun};

const INTERFACE: &str = "wire";
const MTU: usize = 1500;
/// How long the thread may take to see that it is to end.
const IDLE: Duration = Duration::from_millis(20);
/// How long connections may take to close.
const CLOSING: Duration = Duration::from_secs(5);

/// Whether a packet is lost.
type Loss = Box<dyn FnMut(&Segment) -> bool + Send>;

/// A wire in the network namespace of the thread that made it. When this is dropped, it waits for the end of the connections: the kernel
/// would go on for minutes to send what nobody carries.
pub struct Wire {
    loss: Arc<Mutex<Loss>>,
    is_cut: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A TCP segment on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub is_syn: bool,
    pub is_ack: bool,
    /// Bytes that it carries.
    pub payload: usize,
    pub to_port: u16,
}

impl Wire {
    /// The addresses that connections are made to.
    pub const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));
    pub const PEER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2));

    /// A wire without loss, on which every packet takes this long.
    pub fn new(delay: Duration) -> Self {
        let tun = create_tun(INTERFACE).unwrap_or_else(|error| panic!("/dev/net/tun: {error}"));
        ip(&["address", "add", "10.9.0.1/24", "dev", INTERFACE]);
        ip(&["-6", "address", "add", "fd09::1/64", "dev", INTERFACE, "nodad"]);
        ip(&["link", "set", INTERFACE, "up"]);
        let loss: Arc<Mutex<Loss>> = Arc::new(Mutex::new(Box::new(|_| false)));
        let is_cut = Arc::new(AtomicBool::new(false));
        let (of_thread, is_cut_now) = (Arc::clone(&loss), Arc::clone(&is_cut));
        let thread = thread::spawn(move || carry(tun, delay, &of_thread, &is_cut_now));
        Self { loss, is_cut, thread: Some(thread) }
    }

    /// From now on, loses the TCP segments for which `is_lost` returns true.
    pub fn lose(&self, is_lost: impl FnMut(&Segment) -> bool + Send + 'static) {
        *self.loss.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(is_lost);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.lose(|_| false);
        let end = Instant::now() + CLOSING;
        while has_connections() && Instant::now() < end {
            thread::sleep(IDLE);
        }
        self.is_cut.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether a TCP socket in the network namespace of this thread is neither listening nor done.
fn has_connections() -> bool {
    // States of include/net/tcp_states.h: TIME_WAIT, CLOSE, LISTEN.
    const DONE: [&str; 3] = ["06", "07", "0A"];
    ["tcp", "tcp6"].iter().any(|name| {
        let table = fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        let state = |line: &str| line.split_whitespace().nth(3).is_some_and(|state| !DONE.contains(&state));
        table.lines().skip(1).any(state)
    })
}

fn carry(mut tun: File, delay: Duration, loss: &Mutex<Loss>, is_cut: &AtomicBool) {
    run_first();
    let mut on_the_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = [0; MTU];
    while !is_cut.load(Ordering::Relaxed) {
        let next = on_the_way.front().map_or(IDLE, |(due, _)| due.saturating_duration_since(Instant::now()).min(IDLE));
        let wait = Timespec::try_from(next).expect("a short time");
        poll(&mut [PollFd::new(&tun, PollFlags::IN)], Some(&wait)).expect("a TUN device can be waited for");
        while let Ok(bytes) = tun.read(&mut buffer) {
            let packet = &mut buffer[..bytes];
            let lost = |segment| (*loss.lock().unwrap_or_else(PoisonError::into_inner))(&segment);
            if turn_round(packet) && !tcp(packet).is_some_and(lost) {
                on_the_way.push_back((Instant::now() + delay, packet.to_vec()));
            }
        }
        while on_the_way.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, packet) = on_the_way.pop_front().expect("it was there");
            tun.write_all(&packet).expect("the interface is up");
        }
    }
}

/// Exchanges the addresses of a packet to the peer, which leaves its checksums as they are. `false`: it is to somebody else.
fn turn_round(packet: &mut [u8]) -> bool {
    let (from, length) = if packet[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
    let Some(addresses) = packet.get_mut(from..from + 2 * length) else { return false };
    let (source, destination) = addresses.split_at_mut(length);
    let is_to_peer = match &*destination {
        [a, b, c, d] => Wire::PEER == IpAddr::from([*a, *b, *c, *d]),
        other => <[u8; 16]>::try_from(other).is_ok_and(|address| Wire::PEER_V6 == IpAddr::from(address)),
    };
    source.swap_with_slice(destination);
    is_to_peer
}

fn tcp(packet: &[u8]) -> Option<Segment> {
    const TCP: u8 = 6;
    let (protocol, header) =
        if packet[0] >> 4 == 4 { (*packet.get(9)?, usize::from(packet[0] & 15) * 4) } else { (*packet.get(6)?, 40) };
    let segment = packet.get(header..).filter(|segment| protocol == TCP && segment.len() >= 20)?;
    let flags = segment[13];
    Some(Segment {
        is_syn: flags & 2 != 0,
        is_ack: flags & 16 != 0,
        payload: segment.len().saturating_sub(usize::from(segment[12] >> 4) * 4),
        to_port: u16::from_be_bytes([segment[2], segment[3]]),
    })
}
