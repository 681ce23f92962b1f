//! Requests to look at the packages now, from whoever receives SIGHUP to the thread that loads.

use std::{
    io::{self, PipeReader, PipeWriter, Write as _, pipe},
    sync::{Arc, Mutex, PoisonError},
};

use super::budget::OverBudget;
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
    over_budget: Arc<Mutex<Vec<OverBudget>>>,
    /// Given to the agent, so that the pipe closes when nobody writes any more.
    wake: Option<PipeWriter>,
}

/// Tells the thread that loads of packages that the agent has detached.
#[derive(Debug)]
pub(super) struct BudgetReporter {
    over_budget: Arc<Mutex<Vec<OverBudget>>>,
    wake: PipeWriter,
}

/// Bytes in the pipe, each a request.
pub(super) const RELOAD: u8 = 0;
pub(super) const LOOK: u8 = 1;

/// The two ends.
pub fn reload_requests() -> io::Result<(ReloadRequester, ReloadRequests)> {
    let (pipe, requests) = pipe()?;
    let (tell, done) = unbounded_channel();
    let wake = requests.try_clone()?;
    let requests = ReloadRequester { requests, done };
    Ok((
        requests,
        ReloadRequests { pipe, done: tell, is_pending: false, over_budget: Arc::default(), wake: Some(wake) },
    ))
}

impl ReloadRequester {
    /// Asks for a reload of the packages; returns when it is done, at once if nobody reloads (`--reload off`).
    pub async fn reload(&mut self) {
        while self.done.try_recv().is_ok() {}
        if self.requests.write_all(&[RELOAD]).is_ok() {
            self.done.recv().await;
        }
    }
}

impl BudgetReporter {
    /// Reports a package, at once unless nobody reloads.
    pub(super) fn report(&mut self, package: OverBudget) {
        self.over_budget.lock().unwrap_or_else(PoisonError::into_inner).push(package);
        let _ = self.wake.write_all(&[LOOK]); // nobody reads it with `--reload off`
    }
}

impl ReloadRequests {
    /// The end for the agent; none: it was given away before.
    pub(super) fn budget_reporter(&mut self) -> Option<BudgetReporter> {
        Some(BudgetReporter { over_budget: self.over_budget.clone(), wake: self.wake.take()? })
    }

    /// Packages that were detached since the last call.
    pub(super) fn take_over_budget(&mut self) -> Vec<OverBudget> {
        std::mem::take(&mut *self.over_budget.lock().unwrap_or_else(PoisonError::into_inner))
    }

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
