//! The server stage: requests in, responses out.
//!
//! It knows no BPF and no WASM: a scrape is a question to the agent's thread through a bounded queue, answered with bytes.
//! A scrape that cannot be queued is answered 503, and connections are bounded in number, header and time, so a flood of
//! either never grows memory.

mod address;
mod body;
mod client_names;
mod connections;
mod page;
mod password;
mod routes;
mod serve;
mod tls;
mod web_config;

use std::{io, sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use ebhost_metrics::Format;
use ebhost_telemetry::Report;

pub use address::{Address, Listener, bind, from_systemd};
pub use serve::serve;
pub use web_config::{WebConfigError, WebConfigFile};

/// A question to the agent.
#[derive(Debug)]
pub enum Ask {
    Scrape(Scrape),
    /// How everything is, without reading a map.
    Status(oneshot::Sender<Report>),
}

/// A scrape that waits for the agent.
#[derive(Debug)]
pub struct Scrape {
    pub format: Format,
    /// When the answer is of no use any more.
    pub until: Instant,
    pub reply: Reply,
}

/// Where the parts of an answer go, in their order, as they are printed.
pub type Reply = mpsc::UnboundedSender<Part>;

/// A part of an answer. One that ends without a last part was given up.
#[derive(Debug, Clone)]
pub enum Part {
    More(Bytes),
    Last(Bytes),
}

/// What a server needs to know.
#[derive(Clone)]
pub struct Options {
    pub telemetry_path: String,
    /// Formats that a scraper can choose from.
    pub offered: &'static [Format],
    pub version: String,
    pub web_config: Arc<WebConfigFile>,
    /// Turns true once every package is attached or left out.
    pub ready: watch::Receiver<bool>,
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
    Bind { address: Address, error: io::Error },
    #[error(
        "found no socket from systemd, expected LISTEN_FDS and LISTEN_PID of a .socket unit; leave --web.systemd-socket out"
    )]
    NoSystemdSocket,
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
}
