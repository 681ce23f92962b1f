//! Series for new labels, looked for many at a time.
//!
//! A series table that outgrows the processor's cache makes each search wait for memory. Searches that are known beforehand
//! wait together, so label blocks are set aside as they are rendered. It is the answers' only detour: what an answer means
//! is settled before.

use super::families::Families;
use super::plan::FeedPlan;
use super::short::Runs;
use super::values::Labels;

/// Label blocks that have no series yet.
#[derive(Debug, Default)]
pub(super) struct Placing {
    text: Runs,
    blocks: Vec<Block>,
}

/// A block and who asks for its series.
#[derive(Debug, Clone, Copy)]
struct Block {
    feed: usize,
    id: u32,
    cpu: usize,
    hash: u32,
    start: usize,
    end: usize,
}

impl Placing {
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Sets the block of these labels aside.
    pub(super) fn add(
        &mut self,
        families: &Families,
        (feed, plan): (usize, &FeedPlan),
        id: u32,
        labels: Labels<'_>,
        cpu: usize,
    ) {
        let start = self.text.len();
        families.render(plan, labels, cpu, &mut self.text);
        let hash = families.tables[plan.family].hash(self.text.get(start, self.text.len()));
        self.blocks.push(Block { feed, id, cpu, hash, start, end: self.text.len() });
    }

    /// One more feeder for the series of each block; `placed` hears of feed, identity, CPU and series.
    pub(super) fn place(
        &mut self,
        families: &mut Families,
        plans: &[FeedPlan],
        mut placed: impl FnMut(usize, u32, usize, u32),
    ) {
        for block in &self.blocks {
            families.tables[plans[block.feed].family].warm(block.hash);
        }
        for Block { feed, id, cpu, hash, start, end } in self.blocks.drain(..) {
            let slot = families.hold_block(&plans[feed], cpu, self.text.get(start, end), hash);
            placed(feed, id, cpu, slot);
        }
        self.text.clear();
    }
}
