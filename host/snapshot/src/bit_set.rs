//! A bit set: membership of a million entries fits into a processor's second-level cache.

/// A set of small numbers, one bit each.
#[derive(Debug, Clone, Default)]
pub struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    /// Adds a number; returns whether it was absent.
    #[inline]
    pub fn insert(&mut self, bit: u32) -> bool {
        let (word, mask) = (bit as usize / 64, 1 << (bit % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & mask == 0;
        self.words[word] |= mask;
        new
    }

    /// Removes a number that may be absent.
    pub fn remove(&mut self, bit: u32) {
        if let Some(word) = self.words.get_mut(bit as usize / 64) {
            *word &= !(1 << (bit % 64));
        }
    }

    /// Whether it has the number.
    pub fn contains(&self, bit: u32) -> bool {
        self.words.get(bit as usize / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    /// Removes all numbers, and keeps the memory.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// How many numbers it has.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The numbers in their order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| ones(index, word))
    }

    /// The numbers that are not in `other`.
    pub fn without<'a>(&'a self, other: &'a BitSet) -> impl Iterator<Item = usize> + 'a {
        let mask = |index: usize| !other.words.get(index).copied().unwrap_or(0);
        self.words.iter().enumerate().flat_map(move |(index, &word)| ones(index, word & mask(index)))
    }
}

fn ones(index: usize, mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            index * 64 + bit
        })
    })
}
