//! Requests to the agent, and the bounded queue that they wait in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use ebhost_limits as limits;
use ebhost_telemetry::Report;
use tokio::sync::{mpsc, oneshot};

use crate::{Collection, FamilyDescription, FamilyVisitor, SpanReply, visitor::CallOnce};

/// A request that waits for the agent's thread. A requester that went away needs no answer.
pub enum AgentRequest {
    /// Read the kernel and visit every family.
    Collect(Box<dyn FamilyVisitor>),
    /// The families that are exposed now. No map is read.
    Families(oneshot::Sender<Vec<FamilyDescription>>),
    /// The report on the host and every package. No map is read.
    Status(oneshot::Sender<Report>),
    /// The spans since the last time.
    Spans(SpanReply),
}

/// Why the agent does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    #[error("too many requests wait for the agent; try again")]
    Busy,
    #[error("the agent has stopped")]
    Stopped,
}

/// The sinks' access to the agent. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<AgentRequest>,
    running_packages: Arc<AtomicUsize>,
    span_sources: Arc<AtomicUsize>,
}

/// The agent's end of the queue.
pub struct Requests {
    queue: mpsc::Receiver<AgentRequest>,
    running_packages: Arc<AtomicUsize>,
    span_sources: Arc<AtomicUsize>,
}

/// A handle and the queue that it fills.
pub fn channel() -> (Handle, Requests) {
    let (requests, queue) = mpsc::channel(limits::WAITING_SCRAPES);
    let [running_packages, span_sources] = [(), ()].map(|()| Arc::new(AtomicUsize::new(0)));
    let handle = Handle { requests, running_packages: running_packages.clone(), span_sources: span_sources.clone() };
    (handle, Requests { queue, running_packages, span_sources })
}

impl Requests {
    /// Tells every handle how many packages run. The agent calls it when that may have changed.
    pub fn set_running_packages(&self, count: usize) {
        self.running_packages.store(count, Ordering::Relaxed);
    }

    /// Tells every handle how many buffers are read for spans. The agent calls it when that may have changed.
    pub fn set_span_sources(&self, count: usize) {
        self.span_sources.store(count, Ordering::Relaxed);
    }

    /// Waits for requests and appends all that there are to `batch`; false if there will be no more.
    pub async fn receive(&mut self, batch: &mut Vec<AgentRequest>) -> bool {
        self.queue.recv_many(batch, limits::WAITING_SCRAPES).await > 0
    }
}

impl Handle {
    /// Queues a visitor for the next collection.
    ///
    /// # Errors
    /// [`HandleError`] if the queue is full or the agent has stopped; the visitor is dropped.
    pub fn visit(&self, visitor: Box<dyn FamilyVisitor>) -> Result<(), HandleError> {
        self.send(AgentRequest::Collect(visitor))
    }

    /// Calls `function` on the agent's thread with the next collection, and returns its result. The kernel is read until `deadline`
    /// at most.
    ///
    /// # Errors
    /// [`HandleError`] if the queue is full or the agent has stopped.
    pub async fn collect<T: Send + 'static>(
        &self,
        deadline: Instant,
        function: impl FnOnce(&Collection<'_>) -> T + Send + 'static,
    ) -> Result<T, HandleError> {
        let (reply, result) = oneshot::channel();
        self.visit(Box::new(CallOnce::new(deadline, function, reply)))?;
        result.await.map_err(|_| HandleError::Stopped)
    }

    /// The families that are exposed now. No map is read.
    ///
    /// # Errors
    /// [`HandleError`] if the queue is full or the agent has stopped.
    pub async fn families(&self) -> Result<Vec<FamilyDescription>, HandleError> {
        let (reply, families) = oneshot::channel();
        self.send(AgentRequest::Families(reply))?;
        families.await.map_err(|_| HandleError::Stopped)
    }

    /// The report on the host and every package. No map is read, but a collection that is under way ends first.
    ///
    /// # Errors
    /// [`HandleError`] if the queue is full or the agent has stopped.
    pub async fn status(&self) -> Result<Report, HandleError> {
        let (reply, report) = oneshot::channel();
        self.send(AgentRequest::Status(reply))?;
        report.await.map_err(|_| HandleError::Stopped)
    }

    /// Asks for the spans since the last time. The reply comes through `reply`, after a collection that is under way.
    ///
    /// # Errors
    /// [`HandleError`] if the queue is full or the agent has stopped.
    pub fn take_spans(&self, reply: SpanReply) -> Result<(), HandleError> {
        self.send(AgentRequest::Spans(reply))
    }

    /// The number of buffers that are read for spans. Does not wait for the agent.
    pub fn span_sources(&self) -> usize {
        self.span_sources.load(Ordering::Relaxed)
    }

    /// The number of packages that run, and whose families are served. Does not wait for the agent, which may be busy.
    pub fn running_packages(&self) -> usize {
        self.running_packages.load(Ordering::Relaxed)
    }

    /// Whether the agent has stopped, on request or by a panic.
    pub fn is_stopped(&self) -> bool {
        self.requests.is_closed()
    }

    fn send(&self, request: AgentRequest) -> Result<(), HandleError> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => HandleError::Busy,
            mpsc::error::TrySendError::Closed(_) => HandleError::Stopped,
        })
    }
}

#[cfg(test)]
mod tests {
    use ebhost_telemetry::OwnMetrics;

    use super::*;

    /// Serves one batch, with a collection that has no families.
    async fn serve(requests: &mut Requests) {
        let mut batch = Vec::new();
        assert!(requests.receive(&mut batch).await);
        for request in batch {
            match request {
                AgentRequest::Collect(mut visitor) => {
                    let Some(_) = visitor.begin() else { continue };
                    visitor.visit(&Collection { packages: Vec::new(), own: &OwnMetrics::new() });
                    visitor.finish();
                }
                AgentRequest::Families(reply) => drop(reply.send(Vec::new())),
                AgentRequest::Status(reply) => drop(reply.send(Report::default())),
                AgentRequest::Spans(reply) => drop(reply.send(Vec::new())),
            }
        }
    }

    #[tokio::test]
    async fn every_request_has_its_answer() {
        let (handle, mut requests) = channel();
        let count = |collection: &Collection<'_>| collection.families().count();
        let (families, described, report, ()) = tokio::join!(
            handle.collect(Instant::now(), count),
            handle.families(),
            handle.status(),
            serve(&mut requests)
        );
        assert_eq!((families, described), (Ok(0), Ok(Vec::new())));
        assert_eq!(report, Ok(Report::default()));
    }

    #[tokio::test]
    async fn a_collection_that_nobody_waits_for_is_not_made() {
        let (reply, result) = oneshot::channel();
        let mut visitor = CallOnce::new(Instant::now(), |_: &Collection<'_>| (), reply);
        assert_eq!(visitor.begin().map(|demand| demand.scrapes), Some(0));
        drop(result);
        assert_eq!(visitor.begin(), None);
    }

    #[tokio::test]
    async fn a_full_queue_and_a_stopped_agent_are_told_apart() {
        let (handle, requests) = channel();
        let (reply, _report) = oneshot::channel();
        handle.send(AgentRequest::Status(reply)).unwrap();
        while handle.send(AgentRequest::Status(oneshot::channel().0)).is_ok() {}
        assert_eq!(handle.status().await, Err(HandleError::Busy));
        assert!(!handle.is_stopped());
        drop(requests);
        assert_eq!(handle.status().await, Err(HandleError::Stopped));
        assert!(handle.is_stopped());
    }
}
