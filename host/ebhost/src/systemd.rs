//! Notifies the service manager: ready, reloading, alive, stopping. Without a service manager nothing is sent, and nothing fails.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    sync::OnceLock,
    time::Duration,
};

use tracing::warn;

/// The connection that [`connect`] made.
static CONNECTED: OnceLock<UnixDatagram> = OnceLock::new();

/// Connects to the socket that `NOTIFY_SOCKET` names. Call it before Landlock is enforced, which keeps the process from reaching
/// abstract sockets of others that it is not connected to. What goes wrong is reported by the first [`notify`].
pub fn connect() {
    let Some(address) = address() else { return };
    let connection = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        Ok(socket)
    });
    if let Ok(socket) = connection {
        let _ = CONNECTED.set(socket);
    }
}

/// Sends lines such as `READY=1` to the service manager.
pub fn notify(state: &str) {
    let Some(address) = address() else { return };
    let sent = match CONNECTED.get().map(|socket| socket.send(state.as_bytes())) {
        Some(Ok(_)) => return,
        // Not connected, or the service manager has made its socket anew.
        Some(Err(_)) | None => {
            address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address))
        }
    };
    if let Err(error) = sent {
        warn!(state, "the service manager cannot be notified: {error}");
    }
}

/// The address that `NOTIFY_SOCKET` names, a path or (after an `@`) an abstract one.
fn address() -> Option<io::Result<SocketAddr>> {
    let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
    Some(match name.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    })
}

/// Announces a reload, with the time of the clock that the service manager compares with.
pub fn notify_reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
}

/// The interval in which the service manager expects to hear that this process is alive; `None`: it does not watch.
pub fn watchdog_interval() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
    number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0).map(Duration::from_micros)
}
