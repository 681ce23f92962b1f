//! Signals: SIGHUP reloads, SIGUSR1 saves the flight recorder's window, SIGTERM and SIGINT stop.

use std::{error::Error as _, io, sync::Arc};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
};
use tracing::{error, info};

use crate::systemd;
use ebhost_agent::ReloadRequester;
use ebhost_recorder::Feed;
use ebhost_server::WebConfigFile;

/// Receives SIGHUP.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// From now on SIGHUP does not end the process. It is kept until [`reload_at_each`](Self::reload_at_each) takes it.
    ///
    /// Starts no thread. The signal's handler is the process's, and works for every runtime that is made later.
    pub fn receive() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let _context = runtime.enter();
        signal(SignalKind::hangup()).map(Self)
    }

    /// Reads the web configuration again and reloads the packages at each SIGHUP, once the start is over.
    ///
    /// The service manager is told `RELOADING=1` and, when the packages have been looked at, `READY=1`. A SIGHUP during the start is
    /// answered after the start's own `READY=1`.
    pub async fn reload_at_each(
        mut self,
        web_config: Arc<WebConfigFile>,
        mut packages: ReloadRequester,
        started: oneshot::Receiver<()>,
    ) {
        if started.await.is_err() {
            return; // the start failed
        }
        while self.0.recv().await.is_some() {
            systemd::notify_reloading();
            web_config.reload();
            packages.reload().await;
            systemd::notify("READY=1");
        }
    }
}

/// Writes the flight recorder's window into its folder at each SIGUSR1, and says in the log where it is, or why not.
pub async fn save_at_each_usr1(feed: Feed) {
    let mut requests = match signal(SignalKind::user_defined1()) {
        Ok(requests) => requests,
        Err(fault) => return error!("SIGUSR1 cannot be received: {fault}"),
    };
    while requests.recv().await.is_some() {
        match feed.save().await {
            Ok(file) => info!(file = %file.display(), "recording written"),
            Err(fault) => {
                let cause = fault.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                error!("no recording written: {fault}{cause}");
            }
        }
    }
}

/// A channel that changes at the first SIGTERM or SIGINT. Call it in the runtime.
pub fn stop_requested() -> io::Result<watch::Receiver<()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(());
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
        systemd::notify("STOPPING=1");
        drop(stop);
    });
    Ok(stopped)
}
