//! Sockets that systemd or another parent has opened.

#![allow(unsafe_code, reason = "a descriptor that was passed open has no safe owner")]

use std::{
    env, fs, io,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
    process,
};

use socket2::Socket;
use tokio::net::{TcpListener, UnixListener};

use super::{Address, Listener, ServerError};

/// systemd's sockets begin here.
pub(super) const FIRST_PASSED: RawFd = 3;

/// The number of sockets that systemd passes to this process (`LISTEN_FDS`).
fn passed_sockets() -> Option<RawFd> {
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    let count = number("LISTEN_FDS").filter(|_| number("LISTEN_PID").is_none_or(|pid| pid == process::id()));
    count.filter(|count| (1..=256).contains(count)).map(|count| count as RawFd)
}

/// The sockets that systemd passes.
///
/// # Errors
/// [`ServerError::NoSystemdSocket`] if it passes none.
pub fn from_systemd() -> Result<Vec<Address>, ServerError> {
    let count = passed_sockets().ok_or(ServerError::NoSystemdSocket)?;
    Ok((FIRST_PASSED..FIRST_PASSED + count).map(Address::Inherited).collect())
}

/// The descriptor of the socket with this number among those that systemd passes.
pub(super) fn passed(number: RawFd) -> Result<RawFd, ServerError> {
    match passed_sockets() {
        Some(count) if number < count => Ok(FIRST_PASSED + number),
        Some(_) | None => Err(ServerError::NotPassed { number }),
    }
}

/// Takes over a listening socket that the parent process left open.
pub(super) fn take(number: RawFd) -> io::Result<Listener> {
    let not_listening =
        || io::Error::other("found no socket that listens, expected one that the parent process left open");
    let target = fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
    if !target.to_string_lossy().starts_with("socket:") {
        return Err(io::Error::other("found no socket, expected one that the parent process left open"));
    }
    // SAFETY: it is open, as was just seen; it is a socket. If it listens, the parent passed it to us: nothing else in this process
    // has listening sockets but what is bound here, and those are bound after the inherited ones are taken. If it does not, it may
    // belong to somebody else in this process, and is forgotten below without being closed.
    let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(number) });
    if !matches!(socket.is_listener(), Ok(true)) {
        std::mem::forget(socket);
        return Err(not_listening());
    }
    socket.set_nonblocking(true)?;
    let is_unix = socket.local_addr().is_ok_and(|address| address.is_unix());
    let socket = OwnedFd::from(socket);
    if is_unix {
        Ok(Listener::Unix(UnixListener::from_std(socket.into())?, None))
    } else {
        Ok(Listener::Tcp(TcpListener::from_std(socket.into())?))
    }
}
