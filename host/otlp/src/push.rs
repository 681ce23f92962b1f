//! Pushing at each interval.

use std::{sync::mpsc, time::Instant};

use opentelemetry_proto::tonic::resource::v1::Resource;
use tracing::{info, warn};

use crate::{
    client::PushError,
    convert::{Requests, requests},
    link::{Link, Outcome, Stopped},
};
use ebhost_handle::{Collection, Demand, FamilyVisitor};
use ebhost_limits as limits;
use ebhost_telemetry::otlp;

pub(crate) struct Pusher {
    link: Link,
}

impl Pusher {
    pub(crate) fn new(link: Link) -> Self {
        Self { link }
    }

    /// Pushes until the host ends, and then once more: what was counted since the last push would be lost.
    pub(crate) fn run(&mut self) {
        info!(receiver = %self.link.options.endpoint, "pushing metrics every {:?}", self.link.options.interval);
        let mut next = Instant::now();
        while self.link.wait(next).is_ok() {
            next = Instant::now() + self.link.options.interval;
            if self.push_collection(next).is_err() {
                break;
            }
        }
        // A receiver that is away is not asked again.
        if self.link.last != Some(Outcome::Failed) {
            let _ = self.push_collection(Instant::now() + limits::LAST_OTLP_PUSH);
        }
    }

    fn push_collection(&mut self, until: Instant) -> Result<(), Stopped> {
        let Some(requests) = self.collect(until) else {
            otlp().uncollected.increment();
            return Ok(());
        };
        otlp().families_left_out.add(requests.families_left_out);
        requests.encoded.iter().try_for_each(|body| self.push(body, until))
    }

    /// Posts a request, again and again while the receiver is busy or away, until the next push is due. That one has the same counters and
    /// later values, so nothing is kept for longer.
    fn push(&mut self, body: &[u8], until: Instant) -> Result<(), Stopped> {
        let mut pause = limits::OTLP_RETRY;
        loop {
            let (error, wait) = match self.link.client.post(body) {
                Ok(taken) => {
                    otlp().rejected_points.add(taken.rejected);
                    if taken.rejected > 0 {
                        warn!("the OTLP receiver rejected {} points: {}", taken.rejected, taken.message);
                    }
                    otlp().was_taken();
                    self.link.note_taken();
                    return Ok(());
                }
                Err(error @ PushError::Refused { .. }) => (error, None),
                Err(error @ PushError::Busy { retry_after, .. }) => (error, Some(retry_after.unwrap_or(pause))),
                Err(error @ PushError::NoAnswer(_)) => (error, Some(pause)),
            };
            otlp().failed.increment();
            self.link.note_failed(&error);
            match wait.map(|wait| Instant::now() + wait).filter(|again| *again < until) {
                Some(again) => self.link.wait(again)?,
                None => {
                    otlp().dropped.increment();
                    return Ok(());
                }
            }
            pause = (2 * pause).min(limits::LONGEST_OTLP_RETRY);
        }
    }

    /// The families of one collection; none: the agent has no time for it.
    fn collect(&self, deadline: Instant) -> Option<Requests> {
        let (reply, requests) = mpsc::sync_channel(1);
        let visitor = Visitor { deadline, resource: self.link.resource.clone(), requests: None, reply };
        self.link.handle.visit(Box::new(visitor)).ok()?;
        requests.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }
}

/// Converts a collection on the agent's thread.
struct Visitor {
    deadline: Instant,
    resource: Resource,
    requests: Option<Requests>,
    reply: mpsc::SyncSender<Requests>,
}

impl FamilyVisitor for Visitor {
    fn begin(&mut self) -> Option<Demand> {
        let now = Instant::now();
        // A collection that takes longer than a scrape may is of no use.
        let deadline = self.deadline.min(now + limits::SCRAPE);
        (now < deadline).then_some(Demand { deadline, first_deadline: deadline, scrapes: 0 })
    }

    fn visit(&mut self, collection: &Collection<'_>) {
        self.requests = Some(requests(collection, &self.resource, env!("CARGO_PKG_VERSION")));
    }

    fn finish(self: Box<Self>) -> Option<u64> {
        let _ = self.reply.send(self.requests?); // the pusher may have given up
        None
    }
}
