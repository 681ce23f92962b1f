//! OTLP: pushes the metric families and the spans to an OpenTelemetry receiver, over HTTP with protobuf.
//!
//! It is a sink like the HTTP server: it holds a [`Handle`], asks for a collection at each interval, and sends what it finds. The collection
//! is shared with scrapes that wait at the same time. Every number is cumulative since its start time, so a push that is lost loses
//! resolution and no counts: nothing is queued for a receiver that is away, and memory is bounded by one push ([`ebhost_limits::OTLP_BYTES`]).
//!
//! Spans are no numbers that come again: those that a receiver does not take wait in bounded memory, and beyond it they are dropped and counted.
//!
//! The threads that connect have no capability, and under Landlock no other port is in reach. They never hold up a scrape: what runs on the
//! agent's thread is the conversion, as an exposition does, and for spans the component's, within [`ebhost_limits::SPAN_TIME`].
//!
//! The protocol: <https://opentelemetry.io/docs/specs/otlp/>; the variables:
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.

#![forbid(unsafe_code)]

mod client;
mod convert;
mod link;
mod options;
mod push;
mod resource;
mod spans;

use std::{
    io,
    sync::mpsc,
    time::{Duration, Instant},
};

use client::Client;
pub use client::TlsError;
use ebhost_confine::{NONE, Restart};
use ebhost_handle::Handle;
use link::Link;
pub use options::{Endpoint, Flags, OptionError, OtlpOptions, Signal};
use push::Pusher;
use resource::resource;
use spans::SpanPusher;

/// The sink, with everything read from files that it needs: files may be out of reach when it starts.
pub struct Otlp {
    /// None: metrics are not pushed.
    metrics: Option<Receiver>,
    /// None: spans are not pushed.
    traces: Option<Receiver>,
}

struct Receiver {
    options: OtlpOptions,
    client: Client,
}

/// The threads that push. They stop when it is dropped.
#[derive(Debug, Default)]
pub struct Running {
    stops: Vec<mpsc::Sender<()>>,
    /// Each is disconnected when its thread has ended.
    ends: Vec<mpsc::Receiver<()>>,
}

impl Running {
    /// Lets the threads push what they have, and waits for them so long at most.
    pub fn finish(self, patience: Duration) {
        drop(self.stops);
        let until = Instant::now() + patience;
        for end in self.ends {
            let _ = end.recv_timeout(until.saturating_duration_since(Instant::now())); // it never gets a message
        }
    }

    /// Starts a thread that ends soon after `stop` is dropped.
    fn add(&mut self, name: &str, stop: mpsc::Sender<()>, mut push: impl FnMut() + Send + 'static) -> io::Result<()> {
        let (running, end) = mpsc::channel();
        ebhost_confine::spawn(name, NONE, Restart, move || {
            let _running: &mpsc::Sender<()> = &running;
            push();
        })?;
        self.stops.push(stop);
        self.ends.push(end);
        Ok(())
    }
}

impl Receiver {
    /// The way to it, which ends when the sender is dropped.
    fn link(self, handle: &Handle, version: &str, pushed: &'static str) -> (mpsc::Sender<()>, Link) {
        let (stop, stopped) = mpsc::channel();
        let Self { options, client } = self;
        let resource = resource(version, &options.resource);
        (stop, Link { options, client, handle: handle.clone(), resource, pushed, stopped, last: None })
    }
}

impl Otlp {
    /// Reads the options of both signals, and the certificates. None: neither has a receiver.
    ///
    /// # Errors
    /// An option that cannot be used; a file of certificates or of a key that cannot be read or has none in it.
    pub fn prepare(flags: &Flags, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, PrepareError> {
        let receiver = |signal| -> Result<Option<Receiver>, PrepareError> {
            let Some(options) = OtlpOptions::read(signal, flags, &variable)? else { return Ok(None) };
            let client = Client::new(signal, &options)?;
            Ok(Some(Receiver { options, client }))
        };
        let (metrics, traces) = (receiver(Signal::Metrics)?, receiver(Signal::Traces)?);
        Ok((metrics.is_some() || traces.is_some()).then_some(Self { metrics, traces }))
    }

    /// The TCP ports that are connected to.
    pub fn ports(&self) -> Vec<u16> {
        [&self.metrics, &self.traces].into_iter().flatten().map(|receiver| receiver.options.endpoint.port).collect()
    }

    /// Whether there is a receiver of spans.
    pub fn takes_spans(&self) -> bool {
        self.traces.is_some()
    }

    /// Starts the threads that push until the result is dropped, or [finished](Running::finish).
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(self, handle: &Handle, version: &str) -> io::Result<Running> {
        ebhost_telemetry::otlp().is_used_now();
        let mut running = Running::default();
        if let Some(receiver) = self.metrics {
            let (stop, link) = receiver.link(handle, version, "metrics");
            let mut pusher = Pusher::new(link);
            running.add("otlp", stop, move || pusher.run())?;
        }
        if let Some(receiver) = self.traces {
            let (stop, link) = receiver.link(handle, version, "spans");
            let mut pusher = SpanPusher::new(link);
            running.add("otlp spans", stop, move || pusher.run())?;
        }
        Ok(running)
    }
}

/// Why nothing can be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Options(#[from] OptionError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}
