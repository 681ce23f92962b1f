//! Short runs: keys, identities, a series' cells. At their usual lengths a call to the C library costs more than what it does.

/// Whether two runs are equal.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    match (a.len(), b.len()) {
        (4, 4) => a.first_chunk::<4>() == b.first_chunk::<4>(),
        (8, 8) => a.first_chunk::<8>() == b.first_chunk::<8>(),
        (16, 16) => a.first_chunk::<16>() == b.first_chunk::<16>(),
        _ => a == b,
    }
}

/// Appends a run.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, run: &[u8]) {
    if let Ok(four) = <&[u8; 4]>::try_from(run) {
        out.extend_from_slice(four);
    } else if let Ok(eight) = <&[u8; 8]>::try_from(run) {
        out.extend_from_slice(eight);
    } else if let Ok(sixteen) = <&[u8; 16]>::try_from(run) {
        out.extend_from_slice(sixteen);
    } else {
        out.extend_from_slice(run);
    }
}

/// Puts a run in the place of one that is as long.
#[inline]
pub(super) fn replace(place: &mut [u8], run: &[u8]) {
    match (place.len(), run.len()) {
        (4, 4) => place[..4].copy_from_slice(&run[..4]),
        (8, 8) => place[..8].copy_from_slice(&run[..8]),
        (16, 16) => place[..16].copy_from_slice(&run[..16]),
        _ => place.copy_from_slice(run),
    }
}

/// Sets every cell to 0.
#[inline]
pub(super) fn zero(cells: &mut [u64]) {
    match cells {
        [one] => *one = 0,
        all => all.fill(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_every_length_are_copied_and_compared_alike() {
        let run: Vec<u8> = (1..40).collect();
        for length in 0..run.len() {
            let run = &run[..length];
            let (mut out, mut place) = (vec![9], vec![0; length]);
            append(&mut out, run);
            replace(&mut place, run);
            assert_eq!(out, [&[9], run].concat());
            assert!(same(&place, run) && !same(&out, run));
            if let Some(last) = place.last_mut() {
                *last = 0;
                assert!(!same(&place, run));
            }
        }
    }
}
