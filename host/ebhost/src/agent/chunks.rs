//! The text of an answer in pieces, which leave for those who asked while the next one is printed, and whose memory is used again.
//!
//! A piece is given back when its last reader has sent it. Fresh memory for each answer would cost as much again as printing: at
//! a million series the kernel would have to clear 70 MB of pages a scrape. It never waits for a reader: a slow one has the
//! pieces wait for it, each once however many readers there are.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use ebhost_metrics::ChunkSink;
use ebhost_server::{Part, Reply};

/// Memory of pieces that nobody reads any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks(Arc<Mutex<Vec<Vec<u8>>>>);

/// An answer that is being written.
#[derive(Debug)]
pub(super) struct Printing {
    free: Chunks,
    readers: Vec<Reply>,
    /// The latest piece, which may be the last.
    held: Bytes,
    bytes: u64,
    /// The least that was ever free while this was written: nobody needs so much.
    spare: usize,
}

impl Chunks {
    pub(super) fn begin(&self, readers: Vec<Reply>) -> Printing {
        Printing { free: self.clone(), readers, held: Bytes::new(), bytes: 0, spare: usize::MAX }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Printing {
    /// Sends the end, and says how many bytes the answer had. What memory it had no use for is freed, but for one piece, so that
    /// what one great answer took is not kept for ever.
    pub(super) fn finish(self) -> u64 {
        for reader in &self.readers {
            let _ = reader.send(Part::Last(self.held.clone())); // who went away needs no end
        }
        let spare = self.spare.saturating_sub(1);
        self.free.locked(|free| free.truncate(free.len().saturating_sub(spare)));
        self.bytes
    }
}

impl ChunkSink for Printing {
    fn buffer(&mut self) -> Vec<u8> {
        let (memory, left) = self.free.locked(|free| (free.pop(), free.len()));
        self.spare = self.spare.min(left);
        let mut blank = memory.unwrap_or_default();
        blank.clear();
        blank
    }

    /// Fails when no reader is left.
    fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
        self.bytes += piece.len() as u64;
        let piece = Bytes::from_owner(Piece { bytes: piece, home: self.free.clone() });
        let before = std::mem::replace(&mut self.held, piece);
        if !before.is_empty() {
            self.readers.retain(|reader| reader.send(Part::More(before.clone())).is_ok());
        }
        if self.readers.is_empty() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

/// For what prints into memory of its own.
impl io::Write for Printing {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut piece = self.buffer();
        piece.extend_from_slice(text);
        self.send(piece)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Memory that finds its way back.
struct Piece {
    bytes: Vec<u8>,
    home: Chunks,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home.locked(|free| free.push(bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn received(answer: &mut UnboundedReceiver<Part>) -> Vec<Bytes> {
        std::iter::from_fn(|| answer.try_recv().ok()).map(|(Part::More(piece) | Part::Last(piece))| piece).collect()
    }

    #[test]
    fn a_piece_leaves_when_the_next_one_comes_and_every_reader_gets_it() {
        let ((one, mut first), (other, mut second)) = (unbounded_channel(), unbounded_channel());
        let mut printing = Chunks::default().begin(vec![one, other]);
        printing.write_all(b"a piece").unwrap();
        assert!(first.try_recv().is_err(), "it may be the last");
        printing.write_all(b"another").unwrap();
        assert!(matches!(first.try_recv(), Ok(Part::More(piece)) if piece == "a piece"));
        drop(first);
        printing.write_all(b"the end").unwrap();
        assert_eq!(printing.finish(), 21);
        let parts: Vec<_> = std::iter::from_fn(|| second.try_recv().ok()).collect();
        assert!(matches!(&parts[..], [Part::More(_), Part::More(_), Part::Last(end)] if end == "the end"), "{parts:?}");
    }

    #[test]
    fn nothing_is_printed_for_nobody() {
        let (reader, answer) = unbounded_channel();
        let mut printing = Chunks::default().begin(vec![reader]);
        printing.write_all(b"first").unwrap();
        drop(answer);
        let fault = printing.write_all(b"second").unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn an_answer_that_is_given_up_has_no_end() {
        let (reader, mut answer) = unbounded_channel();
        let mut printing = Chunks::default().begin(vec![reader]);
        printing.write_all(b"first").unwrap();
        drop(printing);
        assert!(answer.try_recv().is_err() && answer.is_closed());
    }

    #[test]
    fn memory_goes_from_answer_to_answer() {
        let chunks = Chunks::default();
        let print = |texts: &[&str]| {
            let (reader, mut answer) = unbounded_channel();
            let mut printing = chunks.begin(vec![reader]);
            texts.iter().for_each(|text| printing.write_all(text.as_bytes()).unwrap());
            printing.finish();
            received(&mut answer)
        };
        let one = print(&["first answer", "its end"]);
        let places = [one[0].as_ptr(), one[1].as_ptr()];
        let reader = one[0].clone();
        drop(one);
        let other = print(&["2nd", "answer"]);
        assert_eq!(reader, "first answer", "as long as anyone reads it");
        assert_eq!(other[0], "2nd");
        assert_eq!(other[0].as_ptr(), places[1]);
        drop((other, reader));
        assert_eq!(chunks.locked(|free| free.len()), 3);
        drop(print(&["3rd"]));
        assert_eq!(chunks.locked(|free| free.len()), 2, "one more than the last answer needed");
    }
}
