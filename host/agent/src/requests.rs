//! Requests to look at the packages now, from whoever receives SIGHUP to the thread that loads.

use std::io::{self, PipeReader, PipeWriter, Write as _, pipe};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Asks for a reload, and waits until it is done.
#[derive(Debug)]
pub struct ReloadRequester {
    requests: PipeWriter,
    done: UnboundedReceiver<()>,
}

/// Receives requests. A pipe, so that they can be waited for together with changes of the package folders.
#[derive(Debug)]
pub struct ReloadRequests {
    pub(super) pipe: PipeReader,
    done: UnboundedSender<()>,
    is_pending: bool,
}

/// The two ends.
pub fn reload_requests() -> io::Result<(ReloadRequester, ReloadRequests)> {
    let (pipe, requests) = pipe()?;
    let (tell, done) = unbounded_channel();
    Ok((ReloadRequester { requests, done }, ReloadRequests { pipe, done: tell, is_pending: false }))
}

impl ReloadRequester {
    /// Asks for a reload of the packages; returns when it is done, at once if nobody reloads (`--reload off`).
    pub async fn reload(&mut self) {
        while self.done.try_recv().is_ok() {}
        if self.requests.write_all(&[0]).is_ok() {
            self.done.recv().await;
        }
    }
}

impl ReloadRequests {
    /// Notes that a request came through the pipe.
    pub(super) fn receive(&mut self) {
        self.is_pending = true;
    }

    /// Reports that the requests received so far are done, if there are any.
    pub(super) fn finish(&mut self) {
        if std::mem::take(&mut self.is_pending) {
            // The requester is gone when the host ends.
            let _ = self.done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn a_request_waits_until_it_is_done_and_for_nobody_if_nobody_reloads() {
        let (mut requester, mut requests) = reload_requests().unwrap();
        let loader = tokio::task::spawn_blocking(move || {
            assert_eq!(requests.pipe.read(&mut [0; 8]).unwrap(), 1);
            requests.receive();
            requests.finish();
            requests
        });
        requester.reload().await;
        drop(loader.await.unwrap());
        requester.reload().await;
    }
}
