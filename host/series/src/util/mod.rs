//! Data structures that know nothing of metrics.

pub(crate) mod index;
pub(crate) mod runs;

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// The 32-bit hash of a byte string, as [`index::HashIndex`] takes it.
#[inline]
pub(crate) fn hash(hasher: &RandomState, bytes: &[u8]) -> u32 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish() as u32
}

/// Buffers up to this size are kept whatever is in them: fresh memory for each burst would make a new key cost a tenth more.
const KEPT_BYTES: usize = 1 << 20;

/// Returns the memory that a burst took, down to twice what the buffer holds now.
pub(crate) fn shed<T>(buffer: &mut Vec<T>) {
    if buffer.capacity() > (buffer.len() * 2).max(KEPT_BYTES / size_of::<T>()) {
        buffer.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bursts_memory_is_given_back_and_an_ordinary_ones_kept() {
        let ordinary = KEPT_BYTES / size_of::<u32>();
        for (capacity, len, kept) in
            [(ordinary, 0, ordinary), (ordinary + 1, 0, 0), (4 * ordinary, 2 * ordinary, 4 * ordinary)]
        {
            let mut buffer = vec![0u32; len];
            buffer.reserve_exact(capacity - len);
            shed(&mut buffer);
            assert_eq!((buffer.capacity(), buffer.len()), (kept, len), "{capacity}");
        }
    }
}
