//! Events in memory: read from their buffer, and not yet taken by a scrape.

use ebhost_limits as limits;
use ebhost_snapshot::{Keys, Snapshot};

/// Bytes that are remembered of an event beside its own. Without it a flood of short events would take several times the limit, and one of empty
/// events any amount of memory.
const BOOKKEEPING: usize = size_of::<(u32, usize)>();

/// Events in the order in which they were read, up to [`limits::WAITING_EVENT_BYTES`].
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    bytes: Vec<u8>,
    /// The CPU and the length of each event.
    events: Vec<(u32, usize)>,
    /// Events that were dropped, by the kernel or because the queue was full.
    pub(super) lost: u64,
}

/// The events that wait for each kind of reader.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// For views; `None`: no view reads the buffer.
    pub(super) views: Option<EventQueue>,
    /// For spans; `None`: none are made of it.
    pub(super) spans: Option<EventQueue>,
}

impl Queues {
    /// Keeps events for these readers from now on. What waits for a reader that stays is kept.
    pub(super) fn set(&mut self, for_views: bool, for_spans: bool) {
        for (queue, is_read) in [(&mut self.views, for_views), (&mut self.spans, for_spans)] {
            if is_read {
                queue.get_or_insert_default();
            } else {
                *queue = None;
            }
        }
    }

    /// Appends an event, which may lie in two parts, for each reader.
    pub(super) fn push(&mut self, cpu: u32, parts: [&[u8]; 2]) {
        self.each().for_each(|queue| queue.push(cpu, parts));
    }

    /// Notes events that the kernel dropped, once.
    pub(super) fn lose(&mut self, count: u64) {
        self.each().take(1).for_each(|queue| queue.lost += count);
    }

    fn each(&mut self) -> impl Iterator<Item = &mut EventQueue> {
        self.views.iter_mut().chain(&mut self.spans)
    }
}

impl EventQueue {
    /// Appends an event, which may lie in two parts; a full queue counts it as lost.
    pub(super) fn push(&mut self, cpu: u32, parts: [&[u8]; 2]) {
        let length = parts[0].len() + parts[1].len();
        if self.used() + length + BOOKKEEPING > limits::WAITING_EVENT_BYTES {
            self.lost += 1;
            return;
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.events.push((cpu, length));
    }

    /// Memory of the events that wait.
    fn used(&self) -> usize {
        self.bytes.len() + self.events.len() * BOOKKEEPING
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.events.clear();
        self.lost = 0;
    }

    /// The CPU and the bytes of each event.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut rest = &self.bytes[..];
        self.events.iter().map(move |&(cpu, length)| {
            let (event, after) = rest.split_at(length);
            rest = after;
            (cpu, event)
        })
    }

    /// Fills a view's snapshot with the events that are at least `length` bytes long, each cut to that length.
    pub(super) fn fill(&self, snapshot: &mut Snapshot, length: usize) {
        let Keys::Events { cpus } = &mut snapshot.keys else { return };
        cpus.clear();
        snapshot.values.clear();
        for (cpu, event) in self.iter() {
            if let Some(bytes) = event.get(..length) {
                cpus.push(cpu);
                snapshot.values.extend_from_slice(bytes);
            }
        }
        snapshot.len = cpus.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_for_those_who_read_them_and_counted_as_lost_once() {
        let mut queues = Queues::default();
        queues.push(0, [b"nobody", b""]);
        queues.set(false, true);
        queues.push(0, [b"for spans", b""]);
        queues.set(true, true);
        queues.push(0, [b"for both", b""]);
        queues.lose(3);
        let (views, spans) = (queues.views.as_ref().unwrap(), queues.spans.as_ref().unwrap());
        assert_eq!((views.len(), spans.len(), views.lost + spans.lost), (1, 2, 3));
        queues.set(true, false);
        assert!(queues.spans.is_none() && queues.views.unwrap().len() == 1);
    }

    #[test]
    fn events_that_are_too_short_are_not_of_the_view() {
        let mut queue = EventQueue::default();
        queue.push(0, [&[1, 2], &[3, 4]]);
        queue.push(1, [&[5], &[]]);
        queue.push(2, [&[6; 6], &[]]);
        let mut snapshot = Snapshot { keys: Keys::Events { cpus: Vec::new() }, ..Snapshot::default() };
        queue.fill(&mut snapshot, 4);
        let Keys::Events { cpus } = &snapshot.keys else { panic!("events") };
        assert_eq!((snapshot.len, &cpus[..], &snapshot.values[..]), (2, &[0, 2][..], &[1, 2, 3, 4, 6, 6, 6, 6][..]));
    }

    #[test]
    fn beyond_the_limit_events_are_counted_as_lost() {
        let mut queue = EventQueue::default();
        let half = vec![0; limits::WAITING_EVENT_BYTES / 2 - BOOKKEEPING];
        for _ in 0..3 {
            queue.push(0, [&half, &[]]);
        }
        assert_eq!((queue.len(), queue.lost), (2, 1));
    }

    #[test]
    fn floods_of_short_and_empty_events_take_no_more_memory_than_long_ones() {
        for length in [0, 4] {
            let mut queue = EventQueue::default();
            let event = vec![0; length];
            for _ in 0..2 * limits::WAITING_EVENT_BYTES / (length + BOOKKEEPING) {
                queue.push(0, [&event, &[]]);
            }
            assert!(queue.used() <= limits::WAITING_EVENT_BYTES, "{} bytes of events of {length}", queue.used());
            assert!(queue.lost > 0 && queue.len() > 0);
        }
    }
}
