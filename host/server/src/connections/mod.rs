//! Connections: their number is bounded, and so is the time that a client may stall.
//!
//! When there are too many, one makes way for a new one: first one that was never admitted (no request of its client was allowed so far,
//! for want of a password or of a request), then one that is idle, then the one that takes its answer slowest. So clients that only hold
//! connections open, guess passwords or stop reading keep nobody out who has been served before.

mod connection;
mod response_body;
mod stall_guard;

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(super) use connection::{AtWork, Connection, Open};
pub(super) use response_body::ResponseBody;
pub(super) use stall_guard::StallGuard;
use tokio::time::Instant;

use ebhost_limits as limits;
use ebhost_telemetry::http;

/// The open connections, in the order in which they were accepted.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Mutex<VecDeque<Arc<Connection>>>>);

impl Connections {
    /// Makes room for one more; false if the limit is reached and no connection can be closed.
    pub(super) fn make_room(&self) -> bool {
        let mut open = self.open();
        if open.len() >= limits::CONNECTIONS {
            open.retain(|connection| !connection.has_ended());
        }
        if open.len() < limits::CONNECTIONS {
            return true;
        }
        let counters = http();
        let (victim, counter) = if let Some(unadmitted) = unadmitted(&open) {
            (unadmitted, &counters.closed_unadmitted)
        } else if let Some(idle) = open.iter().position(|connection| connection.is_idle()) {
            (idle, &counters.closed_idle)
        } else if let Some(slowest) = slowest(&open) {
            (slowest, &counters.closed_slow)
        } else {
            counters.closed_new.increment();
            return false;
        };
        if let Some(closed) = open.remove(victim) {
            counter.increment();
            closed.cut();
        }
        true
    }

    pub(super) fn add(&self, connection: Arc<Connection>) {
        self.open().push_back(connection);
    }

    /// Closes the connections on which no request is served. One whose answer is still being sent is not among them.
    pub(super) fn close_idle(&self) {
        self.open().iter().filter(|connection| connection.is_idle()).for_each(|connection| connection.cut());
    }

    fn open(&self) -> MutexGuard<'_, VecDeque<Arc<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection to close of those that were never admitted: the oldest one of the address that has most of them.
fn unadmitted(open: &VecDeque<Arc<Connection>>) -> Option<usize> {
    let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
    for connection in open.iter().filter(|connection| !connection.was_admitted()) {
        *counts.entry(connection.peer()).or_default() += 1;
    }
    let (most, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    open.iter().position(|connection| !connection.was_admitted() && connection.peer() == most)
}

/// The connection of the client that takes its answer slowest, of those that have not taken any of it for a moment.
fn slowest(open: &VecDeque<Arc<Connection>>) -> Option<usize> {
    let now = Instant::now();
    let blocked = open
        .iter()
        .enumerate()
        .filter(|(_, connection)| connection.blocked_since().is_some_and(|since| now - since >= limits::READER_GRACE));
    blocked.min_by(|(_, one), (_, other)| one.rate(now).total_cmp(&other.rate(now))).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ATTACKER: [u8; 4] = [10, 0, 0, 9];
    const OTHER: [u8; 4] = [10, 0, 0, 1];

    /// Connections that are open up to the limit, and their tasks, which end when they are closed.
    fn full(peer: [u8; 4]) -> Connections {
        let connections = Connections::default();
        for _ in 0..limits::CONNECTIONS {
            open(&connections, peer);
        }
        connections
    }

    fn open(connections: &Connections, peer: [u8; 4]) -> Arc<Connection> {
        let connection = Arc::new(Connection::new(Some(peer.into())));
        let task = tokio::spawn(std::future::pending::<()>());
        connection.runs_as(task.abort_handle());
        connections.add(connection.clone());
        connection
    }

    /// 512 connections with wrong passwords closed the kept connection of a scraper and every new one.
    #[tokio::test]
    async fn a_scraper_keeps_its_connection_while_others_guess_passwords() {
        let connections = Connections::default();
        let kept = open(&connections, OTHER);
        kept.begin().admit();
        let guesses: Vec<_> = (1..limits::CONNECTIONS).map(|_| open(&connections, ATTACKER)).collect();
        let _at_work: Vec<_> = guesses.iter().map(Connection::begin).collect();
        for _ in 0..limits::CONNECTIONS {
            assert!(connections.make_room());
            open(&connections, ATTACKER);
        }
        assert!(!kept.is_cut());
        assert!(guesses.iter().all(|guess| guess.is_cut()), "the oldest first");
    }

    #[tokio::test]
    async fn the_address_with_most_connections_that_were_never_admitted_gives_way() {
        let connections = Connections::default();
        let first = open(&connections, OTHER);
        (1..limits::CONNECTIONS).for_each(|_| drop(open(&connections, ATTACKER)));
        assert!(connections.make_room());
        assert!(!first.is_cut());
    }

    #[tokio::test]
    async fn a_reader_that_stalls_makes_way_when_all_others_are_at_work() {
        let connections = full(ATTACKER);
        let all: Vec<_> = connections.open().iter().cloned().collect();
        let at_work: Vec<_> = all.iter().map(Connection::begin).collect();
        at_work.iter().for_each(AtWork::admit);
        assert!(!connections.make_room(), "every client waits for its answer");
        all[3].block();
        tokio::time::sleep(limits::READER_GRACE + Duration::from_millis(10)).await;
        assert!(connections.make_room());
        assert!(all[3].is_cut());
    }

    /// SIGTERM cut off answers of which the last bytes were still to be sent.
    #[tokio::test]
    async fn an_answer_that_is_still_being_sent_is_not_idle() {
        let connections = Connections::default();
        let [sending, idle] = [(); 2].map(|()| open(&connections, OTHER));
        for connection in [&sending, &idle] {
            connection.begin().admit();
        }
        sending.block();
        connections.close_idle();
        assert_eq!((sending.is_cut(), idle.is_cut()), (false, true));
    }
}
