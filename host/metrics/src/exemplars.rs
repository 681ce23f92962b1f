//! Exemplars: for a bucket of a histogram series the last observation that belongs to a trace.

use std::collections::BTreeMap;

use crate::{family::Series, layout::Layout, scale::Scale};

/// One observation of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exemplar {
    pub trace_id: [u8; 16],
    /// `None`: it is not known.
    pub span_id: Option<[u8; 8]>,
    /// The observation, as the cells of sums are: see [`Layout::sum_kind`].
    pub raw: u64,
    /// When it was read, in milliseconds since 1970.
    pub unix_ms: u64,
}

/// The exemplars of one family, at most one for each bucket.
#[derive(Debug, Default)]
pub struct Exemplars(BTreeMap<(u32, u32), Exemplar>);

impl Exemplars {
    /// Keeps an exemplar in the place of an earlier one of the same bucket. A new one has room only while there are fewer than `most`.
    pub fn set(&mut self, slot: u32, bucket: u32, exemplar: Exemplar, most: usize) {
        let has_room = self.0.len() < most;
        match self.0.get_mut(&(slot, bucket)) {
            Some(known) => *known = exemplar,
            None if has_room => _ = self.0.insert((slot, bucket), exemplar),
            None => {}
        }
    }

    /// The exemplar of a bucket of a series, counted from the lowest.
    pub fn get(&self, series: &Series<'_>, bucket: usize) -> Option<&Exemplar> {
        self.0.get(&(series.slot() as u32, bucket as u32))
    }

    /// Forgets those of a series that ended.
    pub fn remove_series(&mut self, slot: u32) {
        let buckets: Vec<_> = self.0.range((slot, 0)..=(slot, u32::MAX)).map(|(key, _)| *key).collect();
        buckets.iter().for_each(|key| _ = self.0.remove(key));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Exemplar {
    /// The labels of an exemplar and their values.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&'static str, String)> {
        let span_id = self.span_id.map(|id| ("span_id", hex(&id)));
        [("trace_id", hex(&self.trace_id))].into_iter().chain(span_id)
    }

    /// The observation in the family's unit.
    pub fn value(&self, layout: &Layout, scale: Scale) -> f64 {
        layout.sum_kind().map_or(0.0, |kind| kind.value(self.raw, scale))
    }

    /// Appends it as OpenMetrics has it behind a sample: ` # {labels} value timestamp`.
    pub(crate) fn write(&self, layout: &Layout, scale: Scale, out: &mut Vec<u8>) {
        out.extend_from_slice(b" # {");
        for (index, (name, value)) in self.labels().enumerate() {
            out.extend_from_slice(if index == 0 { b"" } else { b"," });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            out.extend_from_slice(value.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"} ");
        crate::encode::number::openmetrics_float(self.value(layout, scale), out);
        out.extend_from_slice(format!(" {}.{:03}", self.unix_ms / 1000, self.unix_ms % 1000).as_bytes());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_exemplar_has_room_only_below_the_limit() {
        let exemplar = |raw| Exemplar { trace_id: [1; 16], span_id: None, raw, unix_ms: 0 };
        let mut exemplars = Exemplars::default();
        (0..4).for_each(|bucket| exemplars.set(0, bucket, exemplar(1), 3));
        exemplars.set(0, 1, exemplar(2), 3);
        let kept: Vec<_> = exemplars.0.iter().map(|((_, bucket), exemplar)| (*bucket, exemplar.raw)).collect();
        assert_eq!(kept, [(0, 1), (1, 2), (2, 1)]);
    }
}
