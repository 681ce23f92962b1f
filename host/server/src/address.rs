//! Where to listen: TCP addresses, unix sockets, and sockets that systemd or another parent has opened.

#![allow(unsafe_code, reason = "a descriptor that was passed open has no safe owner")]

use std::{
    env, fmt, fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{
        fd::{FromRawFd as _, OwnedFd, RawFd},
        unix::fs::FileTypeExt as _,
    },
    path::PathBuf,
    process,
    str::FromStr,
};

use tokio::net::{TcpListener, UnixListener};

use super::ServerError;

/// What `--web.listen-address` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    /// `unix:/run/ebhost.sock`.
    Unix(PathBuf),
    /// `fd://3`: a listening socket that the parent process left open.
    Inherited(RawFd),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "found `{text}`, expected an address such as :9435, 127.0.0.1:9435, [::1]:9435, unix:/run/ebhost.sock or \
                 fd://3"
            )
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(expected()) };
        }
        if let Some(number) = text.strip_prefix("fd://") {
            let number: RawFd = number.parse().map_err(|_| expected())?;
            // The first three are the process' own, so that they are counted from the first that systemd passes.
            return match number {
                0..=2 => Ok(Self::Inherited(number + FIRST_PASSED)),
                3.. => Ok(Self::Inherited(number)),
                _ => Err(expected()),
            };
        }
        match text.strip_prefix(':') {
            // All addresses, of both families where the kernel lets one socket serve them.
            Some(port) => {
                Ok(Self::Tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port.parse().map_err(|_| expected())?))))
            }
            None => text.parse().map(Self::Tcp).map_err(|_| expected()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(number) => write!(f, "fd://{number}"),
        }
    }
}

/// systemd's sockets begin here.
const FIRST_PASSED: RawFd = 3;

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

/// The sockets that systemd passes (`LISTEN_FDS`); an error: it passes none.
pub fn from_systemd() -> Result<Vec<Address>, ServerError> {
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    let count = number("LISTEN_FDS").filter(|_| number("LISTEN_PID").is_none_or(|pid| pid == process::id()));
    match count {
        Some(count @ 1..=256) => Ok((FIRST_PASSED..FIRST_PASSED + count as RawFd).map(Address::Inherited).collect()),
        _ => Err(ServerError::NoSystemdSocket),
    }
}

/// Binds every address, so that one in use is found before any BPF program is loaded.
pub async fn bind(addresses: &[Address]) -> Result<Vec<Listener>, ServerError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let bound = match address {
            Address::Tcp(address) => bind_tcp(*address).await.map(Listener::Tcp),
            Address::Unix(path) => bind_unix(path),
            Address::Inherited(number) => inherited(*number),
        };
        listeners.push(bound.map_err(|error| ServerError::Bind { address: address.clone(), error })?);
    }
    Ok(listeners)
}

async fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        // A kernel without IPv6 still has all of its IPv4 addresses.
        Err(error) if address.ip().is_unspecified() && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

/// A socket file that a killed process left behind is replaced; one that somebody listens on, or any other file, is not.
fn bind_unix(path: &PathBuf) -> io::Result<Listener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    Ok(Listener::Unix(UnixListener::bind(path)?, Some(SocketFile(path.clone()))))
}

fn inherited(number: RawFd) -> io::Result<Listener> {
    let is_open = fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok();
    let target = fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
    if !is_open || !target.to_string_lossy().starts_with("socket:") {
        return Err(io::Error::other("found no socket, expected one that the parent process left open"));
    }
    // SAFETY: it is open, as was just seen; it is a socket that the parent passed to us, so nothing else in this process owns
    // it, because addresses are bound before anything else opens descriptors that could have taken its number.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    let listener = std::os::unix::net::UnixListener::from(socket);
    // A socket of another family has no address of this one.
    if listener.local_addr().is_ok() {
        listener.set_nonblocking(true)?;
        return Ok(Listener::Unix(UnixListener::from_std(listener)?, None));
    }
    let listener = std::net::TcpListener::from(OwnedFd::from(listener));
    listener.set_nonblocking(true)?;
    Ok(Listener::Tcp(TcpListener::from_std(listener)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_kind() {
        let read = |text: &str| text.parse::<Address>();
        assert_eq!(read(":9435"), Ok(Address::Tcp("[::]:9435".parse().unwrap())));
        assert_eq!(read("127.0.0.1:0"), Ok(Address::Tcp("127.0.0.1:0".parse().unwrap())));
        assert_eq!(read("unix:/run/x.sock"), Ok(Address::Unix("/run/x.sock".into())));
        assert_eq!(read("fd://3"), Ok(Address::Inherited(3)));
        assert_eq!(read("fd://0"), Ok(Address::Inherited(3)), "as ebpf_exporter counts them");
        for wrong in ["9435", "unix:x.sock", "fd://x", "fd://-1", ":99999", ""] {
            let message = read(wrong).unwrap_err();
            assert!(message.starts_with(&format!("found `{wrong}`, expected an address")), "{message}");
        }
    }
}
