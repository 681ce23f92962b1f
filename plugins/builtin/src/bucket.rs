//! Bounds of a histogram, and the mapping from a map's bucket key to the index of a bucket.
//!
//! A bound is its key times the multiplier, computed as ebpf_exporter computes it, so that `le` labels equal those of stored series:
//! 100 × 1e-6 is 9.999999999999999e-05, not 0.0001.

/// The bucket keys of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BucketKeys {
    /// Every integer from `first` to `last`.
    Range { first: u32, last: u32, form: Form },
    /// The listed keys, ascending.
    Fixed(Vec<f64>),
}

/// How the bound of key i is computed, before it is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// 2^i.
    Exp2,
    /// 0, 1, 2, 4, …: 2^(i-1).
    Exp2Zero,
    /// i.
    Linear,
}

/// The part of the histogram that a bucket key of the map stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BucketIndex {
    /// The bucket with this index, from 0. The index that equals the number of bounds is the `+Inf` bucket.
    Bucket(u32),
    /// The sum of the observations.
    Sum,
    /// The key is below the first bucket or between two of them: the entry is skipped.
    None,
}

impl BucketKeys {
    /// The upper bounds.
    pub(crate) fn bounds(&self, multiplier: f64) -> Vec<f64> {
        match self {
            Self::Range { first, last, form } => (*first..=*last).map(|key| form.bound(key) * multiplier).collect(),
            Self::Fixed(keys) => keys.iter().map(|key| key * multiplier).collect(),
        }
    }

    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::Range { first, last, .. } => last - first + 1,
            Self::Fixed(keys) => keys.len() as u32,
        }
    }

    /// The bucket of a key. The key after the last one holds the sum; all keys after that count as `+Inf`.
    pub(crate) fn index_of(&self, key: f64) -> BucketIndex {
        let (last, bucket) = match self {
            Self::Range { first, last, .. } => {
                let is_key = key.fract() == 0.0 && (f64::from(*first)..=f64::from(*last)).contains(&key);
                (f64::from(*last), is_key.then(|| key as u32 - first))
            }
            Self::Fixed(keys) => {
                let bucket = keys.iter().position(|bound| *bound == key);
                (keys.last().copied().unwrap_or_default(), bucket.map(|bucket| bucket as u32))
            }
        };
        match bucket {
            Some(bucket) => BucketIndex::Bucket(bucket),
            None if key == last + 1.0 => BucketIndex::Sum,
            None if key > last + 1.0 => BucketIndex::Bucket(self.len()),
            None => BucketIndex::None,
        }
    }
}

impl Form {
    fn bound(self, key: u32) -> f64 {
        match self {
            Self::Exp2 => 2f64.powi(key as i32),
            Self::Exp2Zero if key == 0 => 0.0,
            Self::Exp2Zero => 2f64.powi(key as i32 - 1),
            Self::Linear => f64::from(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u32, last: u32, form: Form) -> BucketKeys {
        BucketKeys::Range { first, last, form }
    }

    #[test]
    fn bounds_are_products() {
        assert_eq!(range(0, 3, Form::Exp2).bounds(1e-6), [1e-6, 2e-6, 4e-6, 8e-6]);
        assert_eq!(range(0, 4, Form::Exp2Zero).bounds(1.0), [0.0, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(range(2, 4, Form::Exp2Zero).bounds(1.0), [2.0, 4.0, 8.0]);
        assert_eq!(range(100, 100, Form::Linear).bounds(1e-6), [9.999999999999999e-5], "not 0.0001");
        assert_eq!(BucketKeys::Fixed(vec![0.5, 10.0]).bounds(2.0), [1.0, 20.0]);
        assert_eq!(range(0, 63, Form::Exp2).bounds(1.0)[63], 9_223_372_036_854_775_808.0);
    }

    #[test]
    fn the_key_after_the_last_one_is_the_sum() {
        let keys = range(1, 3, Form::Linear);
        let indices = [0.0, 1.0, 3.0, 4.0, 5.0, 99.0, 1.5].map(|key| keys.index_of(key));
        let (bucket, none) = (BucketIndex::Bucket, BucketIndex::None);
        assert_eq!(indices, [none, bucket(0), bucket(2), BucketIndex::Sum, bucket(3), bucket(3), none]);
        let keys = BucketKeys::Fixed(vec![1.0, 10.0, 100.0]);
        let indices = [1.0, 100.0, 101.0, 102.0, 50.0].map(|key| keys.index_of(key));
        assert_eq!(indices, [bucket(0), bucket(2), BucketIndex::Sum, bucket(3), none]);
    }
}
