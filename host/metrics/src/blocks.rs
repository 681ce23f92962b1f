//! Label blocks by series: many short byte strings in one buffer.
//!
//! One allocation each would cost as much again as the labels themselves at a million series.

/// Byte strings by slot. A cleared slot keeps its span: the next string often fits, because the label blocks of one family have
/// similar lengths.
#[derive(Debug, Default)]
pub struct LabelBlocks {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// By slot: the capacity of its span in steps, at most 255.
    rooms: Vec<u8>,
    /// Bytes of spans without a string, and of spans that were abandoned.
    waste: usize,
}

/// The position of a slot's string in the buffer.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    /// In steps from the start of the buffer.
    start: u32,
    length: u32,
}

impl Span {
    fn start(self) -> usize {
        self.start as usize * STEP
    }
}

/// Spans begin and end at multiples of this: a label value that gains a digit still fits.
const STEP: usize = 8;

/// Waste below this is not compacted.
const SLACK: usize = 64 << 10;

impl LabelBlocks {
    /// The block in `slot`.
    #[inline]
    pub fn get(&self, slot: u32) -> &[u8] {
        let span = self.spans[slot as usize];
        &self.bytes[span.start()..][..span.length as usize]
    }

    /// Stores a block in a slot: one that was cleared, or the next new one.
    pub fn set(&mut self, slot: u32, block: &[u8]) {
        let slot = slot as usize;
        if slot == self.spans.len() {
            self.spans.push(Span::default());
            self.rooms.push(0);
        }
        let room = usize::from(self.rooms[slot]) * STEP;
        if block.len() <= room {
            self.waste -= room;
            let span = &mut self.spans[slot];
            self.bytes[span.start()..][..block.len()].copy_from_slice(block);
            span.length = size(block.len());
            return;
        }
        self.rooms[slot] = 0; // its former span is waste until the next compaction
        if self.waste > SLACK.max(self.bytes.len() / 2) {
            self.compact();
        }
        self.spans[slot] = append(&mut self.bytes, block);
        self.rooms[slot] = room_of(block.len());
    }

    /// Removes the block of `slot`; its span is kept for the next one.
    pub fn clear(&mut self, slot: u32) {
        let span = &mut self.spans[slot as usize];
        let room = usize::from(self.rooms[slot as usize]) * STEP;
        self.waste += room.max((span.length as usize).next_multiple_of(STEP));
        span.length = 0;
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        self.bytes.len() + self.spans.len() * (size_of::<Span>() + 1)
    }

    fn compact(&mut self) {
        let mut kept = Vec::with_capacity(self.bytes.len() - self.waste);
        for (span, room) in self.spans.iter_mut().zip(&mut self.rooms) {
            let block = &self.bytes[span.start()..][..span.length as usize];
            *span = if block.is_empty() { Span::default() } else { append(&mut kept, block) };
            *room = room_of(block.len());
        }
        self.bytes = kept;
        self.waste = 0;
    }
}

fn append(bytes: &mut Vec<u8>, block: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(block);
    bytes.resize(start + block.len().next_multiple_of(STEP), 0);
    Span { start: size(start / STEP), length: size(block.len()) }
}

/// The capacity, in steps, that is recorded for a span of so many bytes.
fn room_of(bytes: usize) -> u8 {
    u8::try_from(bytes.div_ceil(STEP)).unwrap_or(u8::MAX)
}

fn size(number: usize) -> u32 {
    u32::try_from(number).expect("labels and series are bounded far below 64 GiB")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_slot_holds_what_it_was_given_last(
            changes in prop::collection::vec((0..8u32, prop_oneof![0..40usize, 4000..5000usize, 60_000..70_000usize]), 1..60),
        ) {
            let (mut blocks, mut held) = (LabelBlocks::default(), [const { None }; 8]);
            for (at, (slot, length)) in changes.into_iter().enumerate() {
                let slot = slot.min(blocks.spans.len() as u32); // new ones come in order
                let block = vec![at as u8; length + 1];
                if held[slot as usize].is_some() {
                    blocks.clear(slot);
                }
                blocks.set(slot, &block);
                held[slot as usize] = Some(block);
                for (slot, block) in held.iter().enumerate() {
                    prop_assert!(block.as_deref().is_none_or(|block| blocks.get(slot as u32) == block));
                }
                let used: usize = held.iter().flatten().map(|block| block.len().next_multiple_of(STEP)).sum();
                prop_assert!(blocks.waste <= blocks.bytes.len() - used, "waste is what nobody uses");
            }
        }
    }

    #[test]
    fn blocks_survive_being_moved_together() {
        let mut blocks = LabelBlocks::default();
        for slot in 0..2000u32 {
            blocks.set(slot, format!("name=\"{slot:0100}\"").as_bytes());
        }
        for round in 0..10u32 {
            for slot in (0..2000).filter(|slot| slot % 3 != 0) {
                blocks.clear(slot);
                blocks.set(slot, format!("round=\"{round:0100}\"").as_bytes());
            }
        }
        assert!(blocks.memory() < 2000 * 108 * 4);
        assert_eq!(blocks.get(3), format!("name=\"{:0100}\"", 3).as_bytes());
        assert_eq!(blocks.get(4), format!("round=\"{:0100}\"", 9).as_bytes());
    }
    #[test]
    fn a_slot_takes_its_next_block_where_the_last_one_lay() {
        let mut blocks = LabelBlocks::default();
        for slot in 0..1000 {
            blocks.set(slot, b"id=\"1000\"");
        }
        let before = blocks.memory();
        for round in 0..100 {
            for slot in 0..1000 {
                blocks.clear(slot);
                blocks.set(slot, format!("id=\"{round}\"").as_bytes());
            }
        }
        assert_eq!(blocks.memory(), before);
        assert_eq!(blocks.get(999), b"id=\"99\"");
    }
}
