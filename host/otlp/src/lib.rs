//! OTLP: pushes the metric families to an OpenTelemetry receiver, over HTTP with protobuf.
//!
//! It is a sink like the HTTP server: it holds a [`Handle`], asks for a collection at each interval, and sends what it finds. The collection
//! is shared with scrapes that wait at the same time. Every number is cumulative since its start time, so a push that is lost loses
//! resolution and no counts: nothing is queued for a receiver that is away, and memory is bounded by one push ([`ebhost_limits::OTLP_BYTES`]).
//!
//! The thread that connects has no capability, and under Landlock no other port is in reach. It never holds up a scrape: what runs on the
//! agent's thread is the conversion, as an exposition does.
//!
//! The protocol: <https://opentelemetry.io/docs/specs/otlp/>; the variables:
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.

#![forbid(unsafe_code)]

mod client;
mod convert;
mod options;
mod push;
mod resource;

use std::{io, sync::mpsc};

use client::Client;
pub use client::TlsError;
use ebhost_confine::{NONE, Restart};
use ebhost_handle::Handle;
pub use options::{Endpoint, Flags, OptionError, OtlpOptions};
use push::Pusher;
use resource::resource;

/// The sink, with everything read from files that it needs: files may be out of reach when it starts.
pub struct Otlp {
    options: OtlpOptions,
    client: Client,
}

/// Stops the sink when it is dropped.
#[derive(Debug)]
pub struct Running(#[expect(dead_code, reason = "it is dropped")] mpsc::Sender<()>);

impl Otlp {
    /// Reads the certificates.
    ///
    /// # Errors
    /// A file of certificates or of a key that cannot be read or has none in it.
    pub fn prepare(options: OtlpOptions) -> Result<Self, TlsError> {
        let client = Client::new(&options)?;
        Ok(Self { options, client })
    }

    /// The TCP port that is connected to.
    pub fn port(&self) -> u16 {
        self.options.endpoint.port
    }

    /// Starts the thread that pushes until the result is dropped.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(self, handle: Handle, version: &str) -> io::Result<Running> {
        let (stop, stopped) = mpsc::channel();
        ebhost_telemetry::otlp().is_used_now();
        let resource = resource(version, &self.options.resource);
        let mut pusher = Pusher::new(self.options, self.client, handle, resource, stopped);
        ebhost_confine::spawn("otlp", NONE, Restart, move || pusher.run())?;
        Ok(Running(stop))
    }
}
