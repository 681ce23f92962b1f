//! Sockets that listen.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::FileTypeExt as _,
    path::PathBuf,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tracing::warn;

use super::{ResolvedAddress, ServerError, inherited};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, Option<SocketFile>),
}

impl Listener {
    /// Where clients find it.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string()),
            Self::Unix(listener, _) => match listener.local_addr() {
                Ok(address) => address.as_pathname().map_or("unix:?".to_owned(), |p| format!("unix:{}", p.display())),
                Err(_) => "unix:?".to_owned(),
            },
        }
    }
}

/// A socket's file, removed when nobody listens on it any more.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Binds every address, so that one in use is found before any BPF program is loaded. Each item holds the addresses that one address of
/// the command line stands for: it is enough if one of them can be bound, as `localhost` may have an IPv6 address that the kernel lacks.
///
/// Call it in an async runtime.
///
/// # Errors
/// [`ServerError::Bind`] with the first address that cannot be bound.
pub fn bind(addresses: &[Vec<ResolvedAddress>]) -> Result<Vec<Listener>, ServerError> {
    // Inherited sockets first: their numbers must not have been given to sockets that are opened here.
    let (inherited, others): (Vec<_>, Vec<_>) =
        addresses.iter().partition(|group| matches!(group[..], [ResolvedAddress::Inherited(_)]));
    let mut listeners = Vec::with_capacity(addresses.len());
    for group in inherited.into_iter().chain(others) {
        let (bound, failed): (Vec<_>, Vec<_>) =
            group.iter().map(|address| (address, bind_one(address))).partition(|(_, bound)| bound.is_ok());
        let is_enough = !bound.is_empty();
        for (address, error) in failed.into_iter().filter_map(|(address, bound)| Some((address, bound.err()?))) {
            if !is_enough || error.kind() == io::ErrorKind::AddrInUse {
                return Err(ServerError::Bind { address: address.clone(), error });
            }
            warn!("cannot listen on {address}, one of the addresses of its host: {error}");
        }
        listeners.extend(bound.into_iter().filter_map(|(_, bound)| bound.ok()));
    }
    Ok(listeners)
}

fn bind_one(address: &ResolvedAddress) -> io::Result<Listener> {
    match address {
        ResolvedAddress::Any(port) => bind_any(*port).map(Listener::Tcp),
        ResolvedAddress::Tcp(address) => bind_tcp(*address, None).map(Listener::Tcp),
        ResolvedAddress::Unix(path) => bind_unix(path),
        ResolvedAddress::Inherited(number) => inherited::take(*number),
    }
}

/// All addresses of both families, whatever `net.ipv6.bindv6only` says. A kernel without IPv6 still has all of its IPv4 addresses.
fn bind_any(port: u16) -> io::Result<TcpListener> {
    let bound = bind_tcp((Ipv6Addr::UNSPECIFIED, port).into(), Some(Families::Both));
    bound.or_else(|error| match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL) => bind_tcp((Ipv4Addr::UNSPECIFIED, port).into(), None),
        _ => Err(error),
    })
}

/// The families that an IPv6 socket serves.
#[derive(Debug, Clone, Copy)]
enum Families {
    Both,
}

fn bind_tcp(address: SocketAddr, families: Option<Families>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(Families::Both) = families {
        socket.set_only_v6(false)?;
    }
    // A port is free at once after its host has ended.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// A socket file that a killed process left behind is replaced; one that somebody listens on, or any other file, is not.
fn bind_unix(path: &PathBuf) -> io::Result<Listener> {
    if let Ok(found) = fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(io::Error::other(
                "found a file that is not a socket, expected a free path or a socket that nobody listens on",
            ));
        }
        if std::os::unix::net::UnixStream::connect(path).is_err() {
            fs::remove_file(path)?;
        }
    }
    Ok(Listener::Unix(UnixListener::bind(path)?, Some(SocketFile(path.clone()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message was that another ebhost is running.
    #[tokio::test]
    async fn a_file_that_is_no_socket_is_named_as_such() {
        let path = std::env::temp_dir().join(format!("ebhost-not-a-socket-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        let message = bind(&[vec![ResolvedAddress::Unix(path.clone())]]).unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        assert!(message.contains("found a file that is not a socket"), "{message}");
        assert!(!message.contains("is another ebhost"), "{message}");
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let listeners = bind(&[vec![ResolvedAddress::Any(0)]]).unwrap();
        let port = match &listeners[..] {
            [Listener::Tcp(listener)] => listener.local_addr().unwrap().port(),
            other => panic!("{other:?}"),
        };
        for host in ["127.0.0.1", "::1"] {
            assert!(std::net::TcpStream::connect((host, port)).is_ok(), "{host}");
        }
    }

    #[tokio::test]
    async fn one_address_of_a_host_is_enough() {
        let tcp = |text: &str| ResolvedAddress::Tcp(text.parse().unwrap());
        let listeners = bind(&[vec![tcp("192.0.2.1:0"), tcp("127.0.0.1:0")]]).unwrap();
        assert_eq!(listeners.len(), 1);
        assert!(bind(&[vec![tcp("192.0.2.1:0")]]).is_err());
    }

    /// A socket pair is no socket that listens, and stays open.
    #[tokio::test]
    async fn a_socket_that_does_not_listen_is_not_taken_over() {
        use std::{
            io::Write as _,
            os::{fd::AsRawFd as _, unix::net::UnixStream},
        };
        let (mut one, _other) = UnixStream::pair().unwrap();
        let message = bind(&[vec![ResolvedAddress::Inherited(one.as_raw_fd())]]).unwrap_err().to_string();
        assert!(message.contains("found no socket that listens"), "{message}");
        one.write_all(b"still open").unwrap();
    }
}
