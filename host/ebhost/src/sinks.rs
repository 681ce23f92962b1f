//! Runs the host: starts the agent and the sinks that read from it, and stops them in order.
//!
//! Sinks depend on the agent's [`Handle`], and nothing depends on a sink but this file. To add one: write it on top of
//! [`ebhost_handle`], give it its options in [`Options`], and start it in [`run`].

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{interval, timeout},
};
use tracing::info;

use crate::{bootstrap::ReceiverError, build_info, signals, systemd};
use ebhost_agent as agent;
use ebhost_agent::{AgentError, ReloadRequests};
use ebhost_handle::Handle;
use ebhost_limits as limits;
use ebhost_metrics::{Created, Format};
use ebhost_otlp::Otlp;
use ebhost_recorder::{Feed, FeedOptions};
use ebhost_server as server;
use ebhost_server::{ResolvedAddress, ServerError, Setting, TelemetryPath, WebConfigFile};

/// The options of the agent and of every sink.
pub struct Options {
    pub agent: agent::Options,
    pub web: WebOptions,
    pub recorder: RecorderOptions,
    /// The receivers that metrics and spans are pushed to, if there is one.
    pub otlp: Option<Otlp>,
}

/// The options of the flight recorder.
pub struct RecorderOptions {
    /// How much it keeps; zero: nothing.
    pub window: Duration,
    /// Where it keeps it over restarts, and writes dumps.
    pub folder: Option<PathBuf>,
}

/// The options of the HTTP server.
pub struct WebOptions {
    /// For each address of the command line those that it stands for.
    pub listen_addresses: Vec<Vec<ResolvedAddress>>,
    pub telemetry_path: TelemetryPath,
    pub config: Arc<WebConfigFile>,
    /// Whether start times are exposed.
    pub created: Created,
    /// The settings in force, for the status page.
    pub settings: Arc<[Setting]>,
}

/// Requests to stop and to reload, which the host receives while it runs, and the message that it has started, which it sends.
#[derive(Debug)]
pub struct Signals {
    /// Changes when the host is to stop.
    pub stop: watch::Receiver<()>,
    pub reloads: ReloadRequests,
    /// Sent once every package is attached or left out.
    pub started: oneshot::Sender<()>,
}

/// Why the host does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
    #[error("the HTTP server ended by a panic")]
    ServerPanic,
}

/// Loads every package and serves until `stop` changes. The addresses are bound first, so that one in use is found before any BPF
/// program is loaded; the server is ready once all packages are attached, and `signals.started` is sent.
///
/// # Errors
/// [`RunError`] if an address cannot be bound, the packages cannot be loaded, or the agent or the server panicked.
pub async fn run(options: Options, signals: Signals) -> Result<(), RunError> {
    let Signals { stop, reloads, started } = signals;
    let Options { agent: agent_options, web, recorder, otlp } = options;
    let listeners = server::bind(&web.listen_addresses)?;
    let addresses: Vec<_> = listeners.iter().map(server::Listener::address).collect();
    let keep = agent_options.keep;
    let (is_ready, ready) = watch::channel(false);
    let path = web.telemetry_path.clone();
    let feed = feed(recorder, web.settings.clone());
    let server_options = server_options(&agent_options, web, ready, feed.clone());

    let (handle, agent) = agent::start(agent_options, reloads)?;
    let server = tokio::spawn(server::serve(listeners, handle.clone(), server_options, stop.clone()));
    tokio::spawn(signals::save_at_each_usr1(feed.clone()));
    let watchdog = start_watchdog(handle.clone());

    let agent = agent.loaded().await?;
    ebhost_confine::keep_only(keep.0).map_err(AgentError::Capabilities)?;
    let pushing =
        otlp.map(|otlp| otlp.start(&handle, env!("CARGO_PKG_VERSION"))).transpose().map_err(AgentError::Setup)?;
    // Not before, because it pauses in proportion to the time that a collection takes, and one that waits for the loader takes long.
    let recording = tokio::spawn(feed.run(handle, stop));
    // Whoever reads in the log that it listens finds it ready.
    is_ready.send_replace(true);
    for address in addresses {
        info!(address, path = path.as_str(), "listening");
    }
    systemd::notify("READY=1");
    let _ = started.send(());

    let ended = server.await;
    if let Some(pushing) = pushing {
        let _ = tokio::task::spawn_blocking(|| pushing.finish(limits::LAST_OTLP_PUSH)).await;
    }
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    // It writes its last segment. After a panic of the server nobody has told it to stop.
    if ended.is_ok() {
        let _ = timeout(limits::SHUTDOWN, recording).await;
    }
    agent.stop();
    ended.map_err(|_| RunError::ServerPanic)
}

fn feed(recorder: RecorderOptions, settings: Arc<[Setting]>) -> Feed {
    let status = Arc::new(move |report| server::status_text(report, &settings));
    Feed::new(FeedOptions { window: recorder.window, folder: recorder.folder, status })
}

fn server_options(
    agent: &agent::Options,
    web: WebOptions,
    ready: watch::Receiver<bool>,
    feed: Feed,
) -> server::Options {
    server::Options {
        telemetry_path: web.telemetry_path,
        offered: match agent.folders.drop_ins {
            Some(_) => Format::WITHOUT_OPENMETRICS,
            None => Format::ALL,
        },
        created: web.created,
        version: build_info::LINE.to_owned(),
        web_config: web.config,
        ready,
        failed_thread: ebhost_confine::first_failed_thread,
        settings: web.settings,
        feed,
    }
}

/// Tells systemd at regular intervals that the agent answers, if it wants to know; it restarts a host that does not.
fn start_watchdog(handle: Handle) -> Option<JoinHandle<()>> {
    let period = systemd::watchdog_interval()? / 2;
    Some(tokio::spawn(async move {
        let mut ticks = interval(period);
        loop {
            ticks.tick().await;
            if handle.status().await.is_ok() {
                systemd::notify("WATCHDOG=1");
            }
        }
    }))
}
