//! The cost of sending without a host: bytes that lie in memory, written to a receiver on the same machine that reads and discards them.
//!
//! The sender's CPU time on the loopback has the receiver's part in it: the kernel runs the receiving side of TCP in the sender's call. Beside it a
//! socket pair, which has no protocol. Less than this no answer of that length can cost to send.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    thread,
    time::Duration,
};

use crate::{host::own_cpu, report::line};

/// The length of an answer of 100 000 series.
const ANSWER: usize = 6_800_000;
const SERIES: u32 = 100_000;

/// Bytes of one system call: those of a chunk, and four times as many.
const PARTS: [usize; 2] = [64 << 10, 256 << 10];

const ROUNDS: usize = 61;

/// Measures both ways of sending.
pub(crate) fn cost() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let sender = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let receiver = listener.accept().expect("a connection").0;
    sender.set_nodelay(true).expect("it is open");
    show("the loopback", sender, receiver);
    let (sender, receiver) = UnixStream::pair().expect("two sockets");
    show("a socket pair", sender, receiver);
}

fn show(through: &str, mut sender: impl Write, receiver: impl Read + Send + 'static) {
    let reading = thread::spawn(move || discard(receiver));
    let answer = vec![b'x'; ANSWER];
    for part in PARTS {
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let began = own_cpu();
                answer.chunks(part).for_each(|chunk| sender.write_all(chunk).expect("the receiver reads"));
                let took = own_cpu() - began;
                thread::sleep(Duration::from_millis(3));
                took
            })
            .collect();
        times.sort_unstable();
        let each = |at: usize| f64::from(times[at].as_nanos() as u32) / f64::from(SERIES);
        line(
            &format!("sending 6.8 MB through {through}, {} KiB a call, ns a series", part >> 10),
            &format!("**{:.1}** (median {:.1})", each(ROUNDS / 10), each(ROUNDS / 2)),
        );
    }
    drop(sender);
    reading.join().expect("it ends with the connection");
}

fn discard(mut receiver: impl Read) {
    let mut buffer = vec![0; 1 << 20];
    while receiver.read(&mut buffer).is_ok_and(|length| length > 0) {}
}
