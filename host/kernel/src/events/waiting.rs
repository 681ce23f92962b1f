//! Events that were taken for spans: asked about batch by batch, in the order in which they were read.

/// Events of one buffer. A batch stays until it is [`advanced`](Self::advance_batch) over, so that it can be asked about again.
#[derive(Debug, Default)]
pub struct WaitingEvents {
    bytes: Vec<u8>,
    lengths: Vec<u32>,
    /// Events that are done, and their bytes.
    done: Position,
    /// The end of the last batch.
    batch_end: Position,
    /// Events that were shorter than asked for, which are not among them.
    pub short: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Position {
    event: usize,
    byte: usize,
}

impl WaitingEvents {
    pub(super) fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.lengths.push(event.len() as u32);
    }

    pub fn is_empty(&self) -> bool {
        self.done.event == self.lengths.len()
    }

    /// The next events: at least one if there is any, at most so many, and of no more bytes together.
    pub fn batch(&mut self, most_events: usize, most_bytes: usize) -> impl Iterator<Item = &[u8]> {
        let mut end = self.done;
        for length in self.lengths[self.done.event..].iter().take(most_events) {
            let byte = end.byte + *length as usize;
            if end.event > self.done.event && byte - self.done.byte > most_bytes {
                break;
            }
            end = Position { event: end.event + 1, byte };
        }
        self.batch_end = end;
        let mut rest = &self.bytes[self.done.byte..end.byte];
        self.lengths[self.done.event..end.event].iter().map(move |length| {
            let (event, after) = rest.split_at(*length as usize);
            rest = after;
            event
        })
    }

    /// The last batch is done.
    pub fn advance_batch(&mut self) {
        self.done = self.batch_end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_in_one_batch_unless_it_is_asked_about_again() {
        let mut waiting = WaitingEvents::default();
        for event in [&b"one"[..], b"", b"three", b"a long one"] {
            waiting.push(event);
        }
        let batch = |waiting: &mut WaitingEvents, events, bytes| {
            waiting.batch(events, bytes).map(|event| String::from_utf8(event.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(batch(&mut waiting, 2, 99), ["one", ""]);
        assert_eq!(batch(&mut waiting, 2, 99), ["one", ""], "nothing was done");
        waiting.advance_batch();
        assert_eq!(batch(&mut waiting, 9, 6), ["three"], "the next one has no room");
        waiting.advance_batch();
        assert_eq!(batch(&mut waiting, 9, 1), ["a long one"], "one is taken however long it is");
        assert!(!waiting.is_empty());
        waiting.advance_batch();
        assert!(waiting.is_empty());
        assert!(batch(&mut waiting, 9, 9).is_empty());
    }
}
