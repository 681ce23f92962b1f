//! A sample by a seed.

/// Puts a list into an order that the seed decides.
pub(super) fn shuffle<T>(list: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..list.len()).rev() {
        let other = (split_mix(&mut state) % (last as u64 + 1)) as usize;
        list.swap(last, other);
    }
}

/// The next number of the generator SplitMix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_sample_on_every_machine() {
        let drawn = |seed| {
            let mut list: Vec<u32> = (0..1_000).collect();
            shuffle(&mut list, seed);
            list
        };
        assert_eq!(drawn(1)[..6], drawn(1)[..6]);
        assert_ne!(drawn(1)[..6], drawn(2)[..6]);
        let mut sorted = drawn(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1_000).collect::<Vec<_>>(), "nothing is lost");
    }
}
