//! Bounds of a histogram, and which of them a map's bucket key means.
//!
//! Bounds are products, as everybody who has stored such series has them: 100 × 1e-6 is not 0.0001, and prints so.

/// The bucket keys of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Keys {
    /// Every whole number from the first to the last.
    Range { first: u32, last: u32, form: Form },
    /// These, ascending.
    Fixed(Vec<f64>),
}

/// The bound of key i, before it is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// 2^i.
    Exp2,
    /// 0, 1, 2, 4, …: 2^(i-1).
    Exp2Zero,
    /// i.
    Linear,
}

/// What a key of the map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A bucket, from 0. As many as there are bounds: all above them.
    Bucket(u32),
    /// The sum of the observations.
    Sum,
    /// Nothing of the histogram.
    None,
}

impl Keys {
    /// Upper bounds.
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

    /// The sum lies behind the last key, and all that is further behind is above the last bound.
    pub(crate) fn place(&self, key: f64) -> Place {
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
            Some(bucket) => Place::Bucket(bucket),
            None if key == last + 1.0 => Place::Sum,
            None if key > last + 1.0 => Place::Bucket(self.len()),
            None => Place::None,
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

    fn range(first: u32, last: u32, form: Form) -> Keys {
        Keys::Range { first, last, form }
    }

    #[test]
    fn bounds_are_products() {
        assert_eq!(range(0, 3, Form::Exp2).bounds(1e-6), [1e-6, 2e-6, 4e-6, 8e-6]);
        assert_eq!(range(0, 4, Form::Exp2Zero).bounds(1.0), [0.0, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(range(2, 4, Form::Exp2Zero).bounds(1.0), [2.0, 4.0, 8.0]);
        assert_eq!(range(100, 100, Form::Linear).bounds(1e-6), [9.999999999999999e-5], "not 0.0001");
        assert_eq!(Keys::Fixed(vec![0.5, 10.0]).bounds(2.0), [1.0, 20.0]);
        assert_eq!(range(0, 63, Form::Exp2).bounds(1.0)[63], 9_223_372_036_854_775_808.0);
    }

    #[test]
    fn the_sum_lies_behind_the_last_key() {
        let keys = range(1, 3, Form::Linear);
        let places = [0.0, 1.0, 3.0, 4.0, 5.0, 99.0, 1.5].map(|key| keys.place(key));
        let (bucket, none) = (Place::Bucket, Place::None);
        assert_eq!(places, [none, bucket(0), bucket(2), Place::Sum, bucket(3), bucket(3), none]);
        let keys = Keys::Fixed(vec![1.0, 10.0, 100.0]);
        let places = [1.0, 100.0, 101.0, 102.0, 50.0].map(|key| keys.place(key));
        assert_eq!(places, [bucket(0), bucket(2), Place::Sum, bucket(3), none]);
    }
}
