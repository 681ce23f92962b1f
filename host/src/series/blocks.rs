//! Many short byte strings in one buffer: label blocks by series.
//!
//! One allocation each would cost as much again as the labels themselves at a million series.

/// Byte strings by slot. A slot keeps its place when its string goes: the next one often fits, for labels of one family are
/// about as long as each other.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Bytes of places without a string, and of places that were given up.
    waste: usize,
}

/// Where a slot's string lies.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    start: usize,
    length: u32,
    room: u32,
}

/// Places are multiples of this: a number that gains a digit still fits.
const ROOM: usize = 16;

/// Waste below this is never worth a move.
const SLACK: usize = 64 << 10;

impl Blocks {
    #[inline]
    pub(super) fn get(&self, slot: u32) -> &[u8] {
        let place = self.places[slot as usize];
        &self.bytes[place.start..][..place.length as usize]
    }

    /// Puts a block into a slot: one that was cleared, or the next new one.
    pub(super) fn set(&mut self, slot: u32, block: &[u8]) {
        let slot = slot as usize;
        if slot == self.places.len() {
            self.places.push(Place::default());
        }
        let place = &mut self.places[slot];
        if block.len() <= place.room as usize {
            self.waste -= place.room as usize;
            self.bytes[place.start..][..block.len()].copy_from_slice(block);
            place.length = block.len() as u32;
            return;
        }
        place.room = 0; // what it had is waste for good
        if self.waste > SLACK.max(self.bytes.len() / 2) {
            self.compact();
        }
        self.places[slot] = append(&mut self.bytes, block);
    }

    pub(super) fn clear(&mut self, slot: u32) {
        let place = &mut self.places[slot as usize];
        self.waste += place.room as usize;
        place.length = 0;
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<Place>()
    }

    fn compact(&mut self) {
        let mut kept = Vec::with_capacity(self.bytes.len() - self.waste);
        for place in &mut self.places {
            let block = &self.bytes[place.start..][..place.length as usize];
            *place = if block.is_empty() { Place::default() } else { append(&mut kept, block) };
        }
        self.bytes = kept;
        self.waste = 0;
    }
}

fn append(bytes: &mut Vec<u8>, block: &[u8]) -> Place {
    let start = bytes.len();
    bytes.extend_from_slice(block);
    bytes.resize(start + block.len().next_multiple_of(ROOM), 0);
    let size = |bytes: usize| u32::try_from(bytes).expect("labels are cut at a limit");
    Place { start, length: size(block.len()), room: size(bytes.len() - start) }
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
    #[test]
    fn a_slot_takes_its_next_block_where_the_last_one_lay() {
        let mut blocks = Blocks::default();
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
