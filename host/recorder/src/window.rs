//! The frames of the last minutes, in bounded memory.
//!
//! Frames are kept in segments of a minute. Each begins with a keyframe, so that it can be read without those before it, and is compressed
//! when it is whole. The oldest ones are dropped when they leave the window, and earlier if all of them take too much memory.

use std::{collections::VecDeque, io::Write as _, time::Duration};

use bytes::Bytes;
use ebhost_limits as limits;
use flate2::{Compression, write::ZlibEncoder};

use crate::wire::{BlockKind, HEADER, block};

/// The frames of the last minutes.
#[derive(Debug)]
pub(crate) struct Window {
    length: Duration,
    /// The oldest first.
    segments: VecDeque<Segment>,
    open: OpenSegment,
}

/// A segment that is whole.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// Times of its first and last frame, in milliseconds since 1970.
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
    /// One block, of all others.
    pub(crate) packed: Bytes,
}

/// The segment that frames are added to.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenSegment {
    blocks: Vec<Bytes>,
    bytes: usize,
    first_ms: u64,
    last_ms: u64,
}

/// The last part of a window as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Its bytes, shared with the window.
    pub chunks: Vec<Bytes>,
}

impl Window {
    pub(crate) fn new(length: Duration, segments: Vec<Segment>) -> Self {
        Self { length, segments: segments.into(), open: OpenSegment::default() }
    }

    /// Adds a block of this time.
    pub(crate) fn push(&mut self, block: Bytes, time_ms: u64) {
        if self.open.blocks.is_empty() {
            self.open.first_ms = time_ms;
        }
        self.open.last_ms = time_ms;
        self.open.bytes += block.len();
        self.open.blocks.push(block);
    }

    /// The open segment, if it is long enough to be packed.
    pub(crate) fn is_due(&self) -> Option<OpenSegment> {
        let length = self.open.last_ms.saturating_sub(self.open.first_ms);
        let is_due =
            u128::from(length) >= limits::RECORDER_SEGMENT.as_millis() || self.open.bytes >= limits::RECORDER_BYTES / 4;
        is_due.then(|| self.open.clone())
    }

    /// The open segment, however long it is; none if nothing is in it.
    pub(crate) fn open(&self) -> Option<OpenSegment> {
        (!self.open.blocks.is_empty()).then(|| self.open.clone())
    }

    /// Puts a segment in the place of the open one. Returns those that leave the window.
    pub(crate) fn close(&mut self, segment: Segment) -> Vec<Segment> {
        self.open = OpenSegment::default();
        let since = segment.last_ms.saturating_sub(self.length.as_millis() as u64);
        self.segments.push_back(segment);
        let mut left = Vec::new();
        while self.segments.len() > 1 {
            let is_old = self.segments.front().is_some_and(|first| first.last_ms < since);
            if !is_old && self.bytes() <= limits::RECORDER_BYTES {
                break;
            }
            left.extend(self.segments.pop_front());
        }
        left
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.open.bytes + self.segments.iter().map(|segment| segment.packed.len()).sum::<usize>()
    }

    /// The time from the first frame to the last.
    pub(crate) fn covered(&self) -> Duration {
        let first = self.segments.front().map_or(self.open.first_ms, |first| first.first_ms);
        let last = if self.open.blocks.is_empty() {
            self.segments.back().map_or(first, |last| last.last_ms)
        } else {
            self.open.last_ms
        };
        Duration::from_millis(last.saturating_sub(first))
    }

    /// The frames of the last minutes; up to a segment more, because a segment is read from its beginning.
    pub(crate) fn dump(&self, last: Duration) -> Dump {
        let end = if self.open.blocks.is_empty() {
            self.segments.back().map_or(0, |last| last.last_ms)
        } else {
            self.open.last_ms
        };
        let since = end.saturating_sub(last.as_millis().try_into().unwrap_or(u64::MAX));
        let packed =
            self.segments.iter().filter(|segment| segment.last_ms >= since).map(|segment| segment.packed.clone());
        let header = Bytes::from_static(&HEADER);
        Dump { chunks: [header].into_iter().chain(packed).chain(self.open.blocks.iter().cloned()).collect() }
    }
}

impl OpenSegment {
    /// Compresses it: some milliseconds for each megabyte.
    pub(crate) fn pack(&self) -> Segment {
        let mut encoder = ZlibEncoder::new(Vec::with_capacity(self.bytes / 3), Compression::fast());
        for block in &self.blocks {
            let _ = encoder.write_all(block); // a vector takes everything
        }
        let packed = block(BlockKind::Packed, &encoder.finish().unwrap_or_default());
        Segment { first_ms: self.first_ms, last_ms: self.last_ms, packed: packed.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes a block a second and packs what is due, as the feed does.
    fn fill(window: &mut Window, seconds: std::ops::Range<u64>, bytes: usize) {
        for second in seconds {
            // Bytes that do not compress.
            let block =
                (0..bytes as u64).map(|at| ((at + second * 7919).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8);
            window.push(block.collect::<Vec<_>>().into(), second * 1000);
            if let Some(open) = window.is_due() {
                window.close(open.pack());
            }
        }
    }

    #[test]
    fn the_window_keeps_its_length_and_one_segment_more() {
        let mut window = Window::new(Duration::from_secs(300), Vec::new());
        fill(&mut window, 0..2000, 100);
        let covered = window.covered().as_secs();
        assert!((300..300 + 2 * 61).contains(&covered), "{covered}");
        let of = |last| window.dump(Duration::from_secs(last)).chunks.len();
        assert!(of(60) < of(300), "a shorter dump has fewer segments");
        assert_eq!(window.dump(Duration::MAX), window.dump(Duration::from_secs(100_000)));
    }

    #[test]
    fn frames_that_are_too_large_shorten_the_window_and_take_no_more_memory() {
        let mut window = Window::new(Duration::from_secs(900), Vec::new());
        fill(&mut window, 0..400, 200_000);
        assert!(window.bytes() <= limits::RECORDER_BYTES * 5 / 4, "{}", window.bytes());
        assert!(window.covered() > Duration::from_secs(60), "{:?}", window.covered());
    }
}
