//! Copying and comparing short byte strings (keys, identities, label values): at their usual lengths a call to `memcpy` or
//! `memcmp` costs more than the work.

/// Bytes copied for every short run, whatever its length: the next run overwrites the excess.
const STEP: usize = 16;

/// A byte string that is built by appending short runs.
#[derive(Debug, Default)]
pub(crate) struct RunBuffer {
    /// The string, and spare room behind it.
    bytes: Vec<u8>,
    len: usize,
}

impl RunBuffer {
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[from..to]
    }

    /// The string and the spare room behind it.
    #[inline]
    pub(crate) fn all(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn push(&mut self, run: &[u8]) {
        self.push_from(run, 0, run.len());
    }

    /// Appends `all[start..end]`; fastest when [`STEP`] bytes can be read from `start`.
    #[inline]
    pub(crate) fn push_from(&mut self, all: &[u8], start: usize, end: usize) {
        let (at, after) = (self.len, self.len + (end - start));
        self.len = after;
        if end - start <= STEP
            && let (Some(place), Some(run)) = (self.bytes.get_mut(at..at + STEP), all.get(start..start + STEP))
        {
            place.copy_from_slice(run);
        } else {
            self.put(at, &all[start..end]);
        }
    }

    #[inline(never)]
    fn put(&mut self, at: usize, run: &[u8]) {
        let after = at + run.len();
        if after + STEP > self.bytes.len() {
            self.bytes.resize((after + STEP).next_power_of_two(), 0);
        }
        self.bytes[at..after].copy_from_slice(run);
    }
}

/// Compares two runs.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    match (a.len(), b.len()) {
        (4, 4) => a.first_chunk::<4>() == b.first_chunk::<4>(),
        (8, 8) => a.first_chunk::<8>() == b.first_chunk::<8>(),
        (16, 16) => a.first_chunk::<16>() == b.first_chunk::<16>(),
        // Two pieces that overlap.
        (17..=32, length) if length == a.len() => {
            a.first_chunk::<16>() == b.first_chunk::<16>() && a.last_chunk::<16>() == b.last_chunk::<16>()
        }
        _ => a == b,
    }
}

/// Appends a run.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, run: &[u8]) {
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

/// Overwrites a run with one of the same length.
#[inline]
pub(crate) fn replace(place: &mut [u8], run: &[u8]) {
    match (place.len(), run.len()) {
        (4, 4) => place[..4].copy_from_slice(&run[..4]),
        (8, 8) => place[..8].copy_from_slice(&run[..8]),
        (16, 16) => place[..16].copy_from_slice(&run[..16]),
        _ => place.copy_from_slice(run),
    }
}

/// Sets every cell to 0.
#[inline]
pub(crate) fn zero(cells: &mut [u64]) {
    match cells {
        [one] => *one = 0,
        all => all.fill(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_its_runs_are() {
        let all: Vec<u8> = (0..100).collect();
        let (mut text, mut expected) = (RunBuffer::default(), Vec::new());
        for round in 0..3 {
            text.clear();
            expected.clear();
            for start in 0..all.len() {
                let end = (start + (start * 7 + round) % 40).min(all.len());
                text.push_from(&all, start, end);
                expected.extend_from_slice(&all[start..end]);
                assert_eq!(text.get(0, text.len()), expected);
            }
        }
    }

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
