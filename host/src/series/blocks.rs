//! Many short byte strings in one buffer: label blocks by series.
//!
//! One allocation each would cost as much again as the labels themselves at a million series.

/// Byte strings by slot.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    lengths: Vec<u32>,
    /// Bytes that no slot refers to any more.
    waste: usize,
}

/// Waste below this is never worth a move.
const SLACK: usize = 64 << 10;

impl Blocks {
    #[inline]
    pub(super) fn get(&self, slot: u32) -> &[u8] {
        let (start, length) = (self.starts[slot as usize], self.lengths[slot as usize] as usize);
        &self.bytes[start..start + length]
    }

    /// Puts a block into a slot: one that was cleared, or the next new one.
    pub(super) fn set(&mut self, slot: u32, block: &[u8]) {
        let slot = slot as usize;
        if slot == self.starts.len() {
            self.starts.push(0);
            self.lengths.push(0);
        }
        if self.waste > SLACK.max(self.bytes.len() / 2) {
            self.compact();
        }
        self.starts[slot] = self.bytes.len();
        self.lengths[slot] = u32::try_from(block.len()).expect("labels are cut at a limit");
        self.bytes.extend_from_slice(block);
    }

    pub(super) fn clear(&mut self, slot: u32) {
        self.waste += self.lengths[slot as usize] as usize;
        self.lengths[slot as usize] = 0;
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + self.starts.len() * 8 + self.lengths.len() * 4
    }

    fn compact(&mut self) {
        let mut kept = Vec::with_capacity(self.bytes.len() - self.waste);
        for (start, &length) in self.starts.iter_mut().zip(&self.lengths) {
            let block = *start..*start + length as usize;
            *start = kept.len();
            kept.extend_from_slice(&self.bytes[block]);
        }
        self.bytes = kept;
        self.waste = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_survive_being_moved_together() {
        let mut blocks = Blocks::default();
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
}
