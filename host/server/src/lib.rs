//! The HTTP server: the sink that is scraped.
//!
//! It reads through the agent's [`Handle`](ebhost_handle::Handle) and knows nothing of the agent, BPF or WASM. A scrape queues a visitor that
//! encodes the families into chunks. One that cannot be queued is answered 503. Connections are bounded in number, header and time, and
//! answers in the bytes that clients have not taken, so that a flood of requests or connections never grows memory and one client cannot
//! keep others out.

mod address;
mod body;
mod chunks;
mod connections;
mod encoding;
mod gzip;
mod live;
mod page;
mod password;
mod routes;
mod scrapes;
mod serve;
mod telemetry_path;
mod tls;
mod unsent;
mod web_config;

use std::{io, os::fd::RawFd, sync::Arc};

use ebhost_metrics::{Created, Format};
use ebhost_recorder::Feed;
use tokio::sync::watch;

pub use address::{Address, Listener, Port, ResolvedAddress, SocketFile, bind, from_systemd};
pub use live::{Recording, serve_recordings};
pub use page::Setting;
pub use routes::status_text;
pub use serve::serve;
pub use telemetry_path::{TelemetryPath, TelemetryPathError};
pub use tls::TlsError;
pub use web_config::{ReadFileError, WebConfigError, WebConfigFile};

/// The configuration of a server.
#[derive(Clone)]
pub struct Options {
    pub telemetry_path: TelemetryPath,
    /// Formats that a scraper can choose from.
    pub offered: &'static [Format],
    /// Whether start times are exposed.
    pub created: Created,
    /// The version, for the live page.
    pub version: String,
    pub web_config: Arc<WebConfigFile>,
    /// Turns true once every package is attached or left out.
    pub ready: watch::Receiver<bool>,
    /// Names a thread of the process that has failed, which makes the host unhealthy.
    pub failed_thread: fn() -> Option<String>,
    /// The settings in force, for the status page.
    pub settings: Arc<[Setting]>,
    /// The frames that the live page is drawn from.
    pub feed: Feed,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(
        "cannot listen on {address}: {error}{}",
        if error.kind() == io::ErrorKind::AddrInUse {
            "; is another ebhost or ebpf_exporter running? stop it, or choose another with --web.listen-address"
        } else {
            "; choose another with --web.listen-address"
        }
    )]
    Bind {
        address: ResolvedAddress,
        #[source]
        error: io::Error,
    },
    #[error("cannot listen on {address}: {why}; choose another with --web.listen-address")]
    Resolve { address: Address, why: String },
    #[error(
        "cannot listen on fd://{number}: found no such socket from systemd, expected LISTEN_FDS and LISTEN_PID of a .socket unit with more \
         than {number} sockets; a descriptor that another parent left open is fd://3 or above"
    )]
    NotPassed { number: RawFd },
    #[error(
        "found no socket from systemd, expected LISTEN_FDS and LISTEN_PID of a .socket unit; leave --web.systemd-socket out"
    )]
    NoSystemdSocket,
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
}
