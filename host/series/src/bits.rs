//! Sets of entries, a bit each: a million entries fit into a cache.

/// A set of entries.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Adds one; whether it was not there.
    #[inline]
    pub(super) fn insert(&mut self, bit: u32) -> bool {
        let (word, mask) = (bit as usize / 64, 1 << (bit % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & mask == 0;
        self.words[word] |= mask;
        new
    }

    pub(super) fn remove(&mut self, bit: u32) {
        self.words[bit as usize / 64] &= !(1 << (bit % 64));
    }

    pub(super) fn contains(&self, bit: u32) -> bool {
        self.words.get(bit as usize / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| ones(index, word))
    }

    /// Those that are not in `other`.
    pub(super) fn without<'a>(&'a self, other: &'a Bits) -> impl Iterator<Item = usize> + 'a {
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
