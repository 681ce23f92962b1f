//! The package tcpbacklog against a listener that accepts nothing, and the kernel's own counter.

use std::{net::SocketAddr, time::Duration};

use ebhost_tests::{Ebhost, Folder, NetworkCounters, alone, committed, needs, wait_until};
use socket2::{Domain, Socket, Type};

const LIMIT: i32 = 4;
/// The kernel lets one more than the limit wait.
const WAITING: usize = LIMIT as usize + 1;
const TOO_MANY: usize = 6;

fn socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")
}

/// Connections that are opened as far as the listener lets them.
fn connect(to: &SocketAddr, count: usize) -> Vec<Socket> {
    let connect = |_| {
        let socket = socket();
        socket.set_nonblocking(true).expect("a socket");
        let _ = socket.connect(&(*to).into());
        socket
    };
    (0..count).map(connect).collect()
}

#[test]
fn connections_that_wait_and_those_that_were_dropped_are_shown_by_port() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("tcpbacklog"));
    folder.set("plugins: { tcpbacklog: on }\n");
    let listener = socket();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).and_then(|()| listener.listen(LIMIT)).expect("a free port");
    let to = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    let port = to.port().to_string();
    // Connections that were dropped before the package was loaded are not counted.
    let first = connect(&to, WAITING + 1);
    let host = Ebhost::start(folder.path());
    let value = |family: &str| host.scrape().value(&format!("ebhost_{family}"), &[("port", &port)]);
    wait_until("the queue is seen", Duration::from_secs(10), || {
        (value("tcp_accept_queue_connections") == Some(WAITING as f64)).then_some(())
    });
    assert_eq!(value("tcp_accept_queue_limit_connections"), Some(f64::from(LIMIT)));
    drop(first);
    let before = (value("tcp_listen_drops_total").unwrap_or_default(), NetworkCounters::read());
    let more = connect(&to, TOO_MANY);
    wait_until("the drops of ebhost and of the kernel to be equal", Duration::from_secs(20), || {
        let dropped = value("tcp_listen_drops_total").unwrap_or_default() - before.0;
        let kernel = NetworkCounters::read().since(&before.1, "TcpExt ListenDrops");
        eprintln!("{dropped} dropped; ListenDrops: {kernel}");
        (dropped == kernel as f64 && kernel >= TOO_MANY as i64).then_some(())
    });
    drop((more, listener));
    wait_until("the end of the queue's series", Duration::from_secs(10), || {
        value("tcp_accept_queue_connections").is_none().then_some(())
    });
    host.stop();
}
