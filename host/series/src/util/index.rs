//! Hash index from a 32-bit hash to an entry or series number: open addressing, linear probing, slots kept in hash order.
//!
//! With a million numbers a lookup costs one cache miss, so each slot holds both the hash and the number and most lookups touch
//! one slot. Hash order ends a probe at the first greater hash, and makes growing and sweeping a sequential pass over memory.
//!
//! The index never sees keys or labels; its caller compares them.

/// A hash and a number, or [`FREE`]. The hash is stored inverted, so that a free slot sorts behind every hash.
type Slot = u64;

const FREE: Slot = 0;

/// Slots of the smallest index that holds anything.
const LEAST: usize = 64;

/// Lookups that are prefetched together: more than a processor keeps in flight, and few enough for its first-level cache.
pub(crate) const PREFETCHED: usize = 64;

/// Numbers below `u32::MAX` by their hashes. Different numbers may have equal hashes.
#[derive(Debug, Default)]
pub(crate) struct HashIndex {
    /// In hash order, each number in its hash's home slot or behind it without a free slot in between. The last homes may need
    /// slots behind the table's end.
    slots: Vec<Slot>,
    homes: usize,
    len: usize,
}

/// Where a number that was not found belongs. Valid until the index changes.
#[derive(Debug)]
pub(crate) struct InsertSlot(usize);

impl HashIndex {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Prefetches the home slot of `hash`. Does not stall, so many can be in flight.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        std::hint::black_box(self.slots.get(home(hash, self.homes)).copied());
    }

    /// The number with this hash that `is_match` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_match: impl Fn(u32) -> bool) -> Option<u32> {
        self.locate(hash, is_match).ok()
    }

    /// Like [`find`](Self::find); the error is the slot for a new number.
    #[inline]
    pub(crate) fn locate(&self, hash: u32, is_match: impl Fn(u32) -> bool) -> Result<u32, InsertSlot> {
        let mut at = home(hash, self.homes);
        while let Some(&slot) = self.slots.get(at)
            && slot != FREE
            && hash_of(slot) <= hash
        {
            if hash_of(slot) == hash && is_match(number_of(slot)) {
                return Ok(number_of(slot));
            }
            at += 1;
        }
        Err(InsertSlot(at))
    }

    /// Inserts a number other than `u32::MAX` into the slot that [`locate`](Self::locate) gave, after [`reserve`](Self::reserve).
    #[inline]
    pub(crate) fn fill(&mut self, InsertSlot(place): InsertSlot, hash: u32, number: u32) {
        let mut next = slot(hash, number);
        for slot in &mut self.slots[place..] {
            std::mem::swap(slot, &mut next);
            if next == FREE {
                break;
            }
        }
        if next != FREE {
            append(&mut self.slots, next);
        }
        self.len += 1;
    }

    /// Inserts a number that is not in the index.
    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        self.reserve(1);
        if let Err(place) = self.locate(hash, |_| false) {
            self.fill(place, hash, number);
        }
    }

    /// Removes a number; returns whether it was in the index.
    pub(crate) fn remove(&mut self, hash: u32, number: u32) -> bool {
        let from = home(hash, self.homes);
        let run = self.slots[from..].iter().take_while(|slot| **slot != FREE);
        let Some(ahead) = run.into_iter().position(|found| *found == slot(hash, number)) else { return false };
        let hole = from + ahead;
        let away = |(at, slot): &(usize, &Slot)| **slot != FREE && home(hash_of(**slot), self.homes) < *at;
        let moved = self.slots.iter().enumerate().skip(hole + 1).take_while(away).count();
        self.slots.copy_within(hole + 1..hole + 1 + moved, hole);
        self.slots[hole + moved] = FREE;
        self.len -= 1;
        true
    }

    /// Keeps only the numbers that `keeps` accepts: one sequential pass, without a branch on the unpredictable outcome.
    pub(crate) fn retain(&mut self, keeps: impl Fn(u32) -> bool) {
        let mut next = 0;
        self.len = 0;
        for at in 0..self.slots.len() {
            let slot = self.slots[at];
            let is_kept = (slot != FREE) & keeps(number_of(slot));
            // A displaced number was pushed by those before it, so no number moves behind its present slot.
            let place = if is_kept { home(hash_of(slot), self.homes).max(next) } else { at };
            self.slots[at] = FREE;
            self.slots[place] = if is_kept { slot } else { FREE };
            next = if is_kept { place + 1 } else { next };
            self.len += usize::from(is_kept);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.slots.fill(FREE);
        self.len = 0;
    }

    /// Replaces each number.
    pub(crate) fn renumber(&mut self, anew: impl Fn(u32) -> u32) {
        for old in self.slots.iter_mut().filter(|slot| **slot != FREE) {
            *old = slot(hash_of(*old), anew(number_of(*old)));
        }
    }

    /// Reserves room for `more` numbers.
    #[inline]
    pub(crate) fn reserve(&mut self, more: usize) {
        let len = self.len + more;
        // Above three quarters, probes become long.
        if len * 4 > self.homes * 3 {
            self.grow(len);
        }
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        let homes = (len * 3 / 2).max(self.homes * 2).max(LEAST);
        // Zeroed memory, which the kernel provides lazily.
        let mut slots = vec![FREE; homes];
        let mut next = 0;
        for &slot in self.slots.iter().filter(|slot| **slot != FREE) {
            let place = home(hash_of(slot), homes).max(next);
            match slots.get_mut(place) {
                Some(free) => *free = slot,
                None => append(&mut slots, slot),
            }
            next = place + 1;
        }
        (self.slots, self.homes) = (slots, homes);
    }
}

/// The home slot of a hash among `homes` slots.
#[inline]
fn home(hash: u32, homes: usize) -> usize {
    ((u64::from(hash) * homes as u64) >> 32) as usize
}

/// Appends behind the table's end: rare, and not worth doubling the table.
#[cold]
fn append(slots: &mut Vec<Slot>, slot: Slot) {
    if slots.len() == slots.capacity() {
        slots.reserve_exact(LEAST);
    }
    slots.push(slot);
}

/// A number's slot is never [`FREE`].
#[inline]
fn slot(hash: u32, number: u32) -> Slot {
    u64::from(!hash) << 32 | u64::from(number + 1)
}

#[inline]
fn hash_of(slot: Slot) -> u32 {
    !((slot >> 32) as u32)
}

/// The number in a slot; 0 for a free one.
#[inline]
fn number_of(slot: Slot) -> u32 {
    (slot as u32).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few distinct hashes, so that they collide: equal ones, near ones, and ones whose home is the last slot.
    fn hashes() -> impl Strategy<Value = u32> {
        prop_oneof![
            0..4u32,
            (0..4u32).prop_map(|hash| hash << 30),
            (0..4u32).prop_map(|back| u32::MAX - back),
            any::<u32>()
        ]
    }

    #[derive(Debug, Clone)]
    enum Change {
        Insert(u32),
        Remove(usize),
        Retain(u32),
        Renumber,
        Clear,
    }

    fn changes() -> impl Strategy<Value = Change> {
        prop_oneof![
            20 => hashes().prop_map(Change::Insert),
            6 => any::<prop::sample::Index>().prop_map(|at| Change::Remove(at.index(1 << 20))),
            1 => (2..5u32).prop_map(Change::Retain),
            1 => Just(Change::Renumber),
            1 => Just(Change::Clear),
        ]
    }

    proptest! {
        #[test]
        fn every_inserted_number_is_found_until_it_is_removed(changes in prop::collection::vec(changes(), 1..400)) {
            let (mut index, mut held, mut next) = (HashIndex::default(), Vec::<(u32, u32)>::new(), 0u32);
            for change in changes {
                match change {
                    Change::Insert(hash) => {
                        match index.locate(hash, |number| number == next) {
                            Ok(found) => prop_assert!(false, "{found} was never put there"),
                            Err(place) if next % 2 == 0 && index.len * 4 + 4 <= index.homes * 3 => index.fill(place, hash, next),
                            Err(_) => index.insert(hash, next),
                        }
                        held.push((hash, next));
                        next += 1;
                    }
                    Change::Remove(_) if held.is_empty() => prop_assert!(!index.remove(7, 7)),
                    Change::Remove(at) => {
                        let (hash, number) = held.swap_remove(at % held.len());
                        prop_assert!(index.remove(hash, number));
                    }
                    Change::Retain(part) => {
                        index.retain(|number| number % part != 0);
                        held.retain(|(_, number)| number % part != 0);
                    }
                    Change::Renumber => {
                        index.renumber(|number| number + next);
                        held.iter_mut().for_each(|(_, number)| *number += next);
                        next *= 2;
                    }
                    Change::Clear => {
                        index.clear();
                        held.clear();
                    }
                }
                prop_assert_eq!(index.len(), held.len());
                prop_assert_eq!(index.slots.iter().filter(|slot| **slot != FREE).count(), held.len());
                for &(hash, number) in &held {
                    prop_assert_eq!(index.find(hash, |found| found == number), Some(number));
                }
            }
        }
    }

    #[test]
    fn a_number_with_the_same_hash_is_another_one() {
        let mut index = HashIndex::default();
        assert_eq!(index.find(5, |_| true), None);
        index.insert(5, 1);
        index.insert(5, 2);
        assert_eq!(index.find(5, |number| number != 1), Some(2));
        assert!(!index.remove(5, 3));
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn a_million_take_their_slots_and_a_third_of_them_is_free() {
        let mut index = HashIndex::default();
        index.reserve(1_000_000);
        let room = index.slots.capacity();
        (0..1_000_000u32).for_each(|number| index.insert(number.wrapping_mul(0x9e37_79b9), number));
        assert!(index.slots.capacity() <= room + LEAST, "{} after {room}", index.slots.capacity());
        assert_eq!(room, 1_500_000);
    }
}
