//! The text of an answer in pieces, whose memory goes from answer to answer.
//!
//! A piece is given back when its last reader has sent it. Fresh memory for each answer would cost as much again as printing: at
//! a million series the kernel would have to clear 70 MB of pages a scrape.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// Memory of pieces that nobody reads any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks(Arc<Mutex<Vec<Vec<u8>>>>);

/// An answer that is being written.
#[derive(Debug)]
pub(super) struct Printing {
    free: Chunks,
    done: Vec<Bytes>,
}

impl Chunks {
    pub(super) fn begin(&self) -> Printing {
        Printing { free: self.clone(), done: Vec::new() }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Printing {
    /// The pieces. What memory this answer had no use for is freed, so that what one great answer took is not kept for ever.
    pub(super) fn finish(self) -> Vec<Bytes> {
        self.free.locked(|free| free.truncate(1));
        self.done
    }
}

impl io::Write for Printing {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut bytes = self.free.locked(Vec::pop).unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(text);
        self.done.push(Bytes::from_owner(Piece { bytes, home: self.free.clone() }));
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

    use super::*;

    #[test]
    fn memory_goes_from_answer_to_answer() {
        let chunks = Chunks::default();
        let print = |texts: &[&str]| {
            let mut printing = chunks.begin();
            texts.iter().for_each(|text| printing.write_all(text.as_bytes()).unwrap());
            printing.finish()
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
