//! The bytes of answers that clients have not taken yet, bounded in total.
//!
//! The writer of an answer never waits for a client, so what a client does not take lies in memory. Each buffer is counted once, however
//! many clients share it, until the last of them has taken it. Beyond [`UNSENT_BYTES`](limits::UNSENT_BYTES) the connection of the
//! slowest client is closed, then that of the next one, until the rest is within the limit.
//!
//! An answer that is being made, and one that was made a moment ago, costs none of its clients anything: they had no time to take it.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError, Weak,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::time::Instant;
use tracing::debug;

use super::connections::Connection;
use ebhost_limits as limits;
use ebhost_telemetry::http;

/// All answers that have bytes in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct UnsentBytes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    total: AtomicUsize,
    /// The length of the last answer.
    last: AtomicUsize,
    /// Those that are being made or have bytes in memory.
    answers: Mutex<Vec<Weak<AnswerBytes>>>,
}

/// A client that an answer is for: its connection, and the request that it answers.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    connection: Arc<Connection>,
    request: u64,
}

/// The bytes of one answer that are in memory.
#[derive(Debug)]
pub(super) struct AnswerBytes {
    bytes: AtomicUsize,
    readers: Vec<Reader>,
    /// When it was complete.
    finished: OnceLock<Instant>,
    all: UnsentBytes,
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
pub(super) struct CountedBytes {
    bytes: usize,
    answer: Arc<AnswerBytes>,
}

impl Reader {
    /// The client of the current request of `connection`.
    pub(super) fn of(connection: Arc<Connection>) -> Self {
        let request = connection.request();
        Self { connection, request }
    }

    fn holds_answer(&self) -> bool {
        self.connection.holds_answer_to(self.request)
    }
}

impl UnsentBytes {
    /// Begins an answer to these clients.
    pub(super) fn begin(&self, readers: Vec<Reader>) -> Arc<AnswerBytes> {
        let answer = AnswerBytes { bytes: AtomicUsize::new(0), readers, finished: OnceLock::new(), all: self.clone() };
        let answer = Arc::new(answer);
        let mut answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(&answer));
        answer
    }

    /// The most that may be unsent.
    fn limit(&self) -> usize {
        limits::UNSENT_BYTES.max(2 * self.0.last.load(Ordering::Relaxed))
    }

    /// Closes the connections of the slowest clients until what the others have not taken is within the limit.
    fn shed(&self) {
        let answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answers: Vec<_> = answers.iter().filter_map(Weak::upgrade).collect();
        let now = Instant::now();
        let held = || answers.iter().filter(|answer| answer.is_held()).map(|answer| answer.bytes()).sum::<usize>();
        let is_due = |answer: &&Arc<AnswerBytes>| {
            answer.finished.get().is_some_and(|finished| now - *finished >= limits::READER_GRACE)
        };
        let mut slow: Vec<_> = answers
            .iter()
            .filter(is_due)
            .flat_map(|answer| &answer.readers)
            .filter(|reader| reader.holds_answer())
            .collect();
        slow.sort_by(|one, other| one.connection.rate(now).total_cmp(&other.connection.rate(now)));
        for reader in slow {
            if held() <= self.limit() {
                return;
            }
            debug!(peer = ?reader.connection.peer(), "a client that takes its answer slowly is cut off: too much is unsent");
            http().closed_slow.increment();
            reader.connection.cut();
        }
    }
}

impl AnswerBytes {
    /// Counts a buffer, and makes room for it.
    pub(super) fn count(self: &Arc<Self>, bytes: usize) -> CountedBytes {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let total = self.all.0.total.fetch_add(bytes, Ordering::Relaxed) + bytes;
        http().unsent_bytes.add(bytes as u64);
        if total > self.all.limit() {
            self.all.shed();
        }
        CountedBytes { bytes, answer: self.clone() }
    }

    /// A buffer of one answer, counted until the last reader has taken it.
    pub(super) fn counted(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        struct Counted {
            bytes: Vec<u8>,
            _counted: CountedBytes,
        }
        impl AsRef<[u8]> for Counted {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        let counted = self.count(bytes.len());
        Bytes::from_owner(Counted { bytes, _counted: counted })
    }

    /// The answer is complete; its length is known.
    pub(super) fn finish(&self, length: u64) {
        let _ = self.finished.set(Instant::now());
        self.all.0.last.store(usize::try_from(length).unwrap_or(usize::MAX / 2), Ordering::Relaxed);
    }

    /// The answer is complete in another encoding, whose length says nothing about other answers.
    pub(super) fn finish_compressed(&self) {
        let _ = self.finished.set(Instant::now());
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether its bytes stay: a client whose connection was closed lets them go in a moment.
    fn is_held(&self) -> bool {
        self.readers.iter().any(Reader::holds_answer)
    }
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.answer.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.answer.all.0.total.fetch_sub(self.bytes, Ordering::Relaxed);
        http().unsent_bytes.subtract(self.bytes as u64);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        chunks::{ChunkReader, ChunkSender},
        connections::AtWork,
    };

    /// A reader on a connection of its own, whose request has ended.
    pub(crate) fn reader(chunks: ChunkSender) -> ChunkReader {
        ChunkReader { chunks, client: Reader::of(Arc::new(Connection::new(None))) }
    }

    const LENGTH: usize = 6 << 20;

    struct Client {
        connection: Arc<Connection>,
        _at_work: AtWork,
        _held: CountedBytes,
    }

    /// A client that takes nothing of an answer of its own.
    fn stalled(unsent: &UnsentBytes) -> Client {
        let connection = Arc::new(Connection::new(None));
        let at_work = connection.begin();
        let answer = unsent.begin(vec![Reader::of(connection.clone())]);
        let held = answer.count(LENGTH);
        answer.finish(LENGTH as u64);
        Client { connection, _at_work: at_work, _held: held }
    }

    async fn pause() {
        tokio::time::sleep(limits::READER_GRACE + Duration::from_millis(20)).await;
    }

    /// 128 clients that stopped reading held 128 answers in memory, and everybody else got 503.
    #[tokio::test]
    async fn the_slowest_readers_are_cut_off_when_too_much_is_unsent() {
        let unsent = UnsentBytes::default();
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.extend((0..16).map(|_| stalled(&unsent)));
            pause().await;
        }
        clients.push(stalled(&unsent));
        let is_left = |client: &&Client| !client.connection.is_cut();
        let left = clients.iter().filter(is_left).count();
        assert!((1..=limits::UNSENT_BYTES / LENGTH).contains(&left), "{left} are left");
        assert!(clients.iter().rev().take(left).all(|client| is_left(&client)), "those that had the least time");
    }

    #[tokio::test]
    async fn a_reader_that_takes_its_answer_is_not_the_one_that_is_cut_off() {
        let unsent = UnsentBytes::default();
        let steady = stalled(&unsent);
        let clients: Vec<_> = (0..4).map(|_| stalled(&unsent)).collect();
        pause().await;
        steady.connection.progress(LENGTH / 2);
        let _more = stalled(&unsent);
        assert!(!steady.connection.is_cut());
        assert_eq!(clients.iter().filter(|client| client.connection.is_cut()).count(), 1);
    }

    /// An answer of a million series is longer than the limit.
    #[tokio::test]
    async fn two_clients_may_read_one_long_answer_each() {
        let unsent = UnsentBytes::default();
        let connections = [(); 2].map(|()| Arc::new(Connection::new(None)));
        let _at_work: Vec<_> = connections.iter().map(Connection::begin).collect();
        let mut held = Vec::new();
        for connection in &connections {
            let answer = unsent.begin(vec![Reader::of(connection.clone())]);
            held.push(answer.count(limits::UNSENT_BYTES + 1));
            answer.finish(limits::UNSENT_BYTES as u64 + 1);
            pause().await;
        }
        assert!(connections.iter().all(|connection| !connection.is_cut()));
    }

    #[test]
    fn bytes_that_are_counted_are_sent_as_they_are_and_counted_until_they_are_taken() {
        let unsent = UnsentBytes::default();
        let answer = unsent.begin(Vec::new());
        let bytes = answer.counted(b"text".to_vec());
        assert_eq!((bytes.as_ref(), answer.bytes()), (b"text".as_slice(), 4));
        drop(bytes);
        assert_eq!(answer.bytes(), 0);
    }
}
