//! Visitors: what a sink sends to the agent's thread.

use std::time::Instant;

use tokio::sync::oneshot;

use crate::Collection;

/// Takes the families of one collection, on the agent's thread.
///
/// The agent calls [`begin`](Self::begin), reads the kernel, and calls [`visit`](Self::visit) and [`finish`](Self::finish). A visitor
/// that is dropped without them was not served: the agent has stopped, or `begin` returned `None`. It must not block: while it runs,
/// nobody else is served.
pub trait FamilyVisitor: Send {
    /// Called when the reading that this visitor shares is about to begin. `None` if nobody waits for it any more.
    fn begin(&mut self) -> Option<Demand>;

    /// Encodes or otherwise takes what it needs of the collection.
    fn visit(&mut self, collection: &Collection<'_>);

    /// Hands the result to whoever waits for it. Returns the length of an answer in bytes; `None` if it was given up, or is not one of
    /// bytes.
    fn finish(self: Box<Self>) -> Option<u64>;
}

/// What waits for a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// When the result is of no use any more to the most patient request. The kernel is not read beyond it.
    pub deadline: Instant,
    /// The same for the least patient request. Guests label no longer than that, for what is not labelled loses nothing and is labelled
    /// next time.
    pub first_deadline: Instant,
    /// Scrapes that this visitor answers, for `ebhost_scrapes_total`.
    pub scrapes: u64,
}

/// Calls a function once, for [`Handle::collect`](crate::Handle::collect).
pub(crate) struct CallOnce<F, T> {
    deadline: Instant,
    function: Option<F>,
    result: Option<T>,
    reply: oneshot::Sender<T>,
}

impl<F, T> CallOnce<F, T> {
    pub(crate) fn new(deadline: Instant, function: F, reply: oneshot::Sender<T>) -> Self {
        Self { deadline, function: Some(function), result: None, reply }
    }
}

impl<F, T> FamilyVisitor for CallOnce<F, T>
where
    F: FnOnce(&Collection<'_>) -> T + Send,
    T: Send,
{
    fn begin(&mut self) -> Option<Demand> {
        let demand = Demand { deadline: self.deadline, first_deadline: self.deadline, scrapes: 0 };
        (!self.reply.is_closed()).then_some(demand)
    }

    fn visit(&mut self, collection: &Collection<'_>) {
        self.result = self.function.take().map(|function| function(collection));
    }

    fn finish(self: Box<Self>) -> Option<u64> {
        let _ = self.reply.send(self.result?); // whoever waited may have gone away
        None
    }
}
