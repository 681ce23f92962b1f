//! Native buckets in Prometheus' protobuf: spans of buckets in use, and each count as its difference to the one before.

use super::{field, wire::Wire};

/// Empty buckets between two spans that cost less as zero deltas than as a span of their own.
const BRIDGED: usize = 2;

/// The range of a native histogram's cells.
#[derive(Debug, Clone, Copy)]
pub struct Buckets {
    pub schema: i8,
    /// Index of the first bucket: it ends at 2^(first × 2^-schema).
    pub first: i32,
    pub count: usize,
}

impl Buckets {
    /// Writes the fields of one series; `cells` as in [`Layout::Native`](crate::Layout::Native).
    pub fn write(self, cells: &[u64], out: &mut Vec<u8>) {
        out.zigzag(field::histogram::SCHEMA, i64::from(self.schema));
        out.double(field::histogram::ZERO_THRESHOLD, self.zero_threshold());
        out.unsigned(field::histogram::ZERO_COUNT, cells[0]);
        let (spans, counts) = self.runs(cells);
        let mut expected = 0;
        for (start, length) in spans {
            let mut span = Vec::new();
            span.zigzag(field::span::OFFSET, i64::from(start - expected));
            span.unsigned(field::span::LENGTH, u64::from(length));
            out.bytes(field::histogram::POSITIVE_SPAN, &span);
            expected = start + length as i32;
        }
        let mut last = 0;
        for count in counts {
            out.zigzag(field::histogram::POSITIVE_DELTA, count.wrapping_sub(last) as i64);
            last = count;
        }
    }

    /// The spans of buckets in use, each the index of its first bucket and its length, and the counts of all their buckets.
    pub(in crate::encode) fn runs(self, cells: &[u64]) -> (Vec<(i32, u32)>, Vec<u64>) {
        let (mut spans, mut counts) = (Vec::new(), Vec::new());
        for (index, count) in self.in_use(cells) {
            extend(&mut spans, index, |bridge| counts.resize(counts.len() + bridge as usize, 0));
            counts.push(count);
        }
        (spans, counts)
    }

    /// The upper end of the zero bucket.
    pub(in crate::encode) fn zero_threshold(self) -> f64 {
        self.end(self.first - 1)
    }

    /// Index and count of each bucket that is not empty.
    fn in_use(self, cells: &[u64]) -> impl Iterator<Item = (i32, u64)> {
        let above = cells[self.count + 1];
        let buckets = cells[1..=self.count].iter().zip(self.first..).map(|(count, index)| (index, *count));
        buckets.chain([(self.overflow(), above)]).filter(|(_, count)| *count > 0)
    }

    /// The bucket that ends at +Inf: what is above the last bucket is in no finite one for sure.
    fn overflow(self) -> i32 {
        let octaves = 1024;
        if self.schema >= 0 { (octaves << self.schema) + 1 } else { (octaves >> -self.schema) + 1 }
    }

    fn end(self, index: i32) -> f64 {
        (f64::from(index) * f64::from(-self.schema).exp2()).exp2()
    }
}

/// One more bucket: in the last span, if a bridge of few empty ones reaches it, or in a new one.
fn extend(spans: &mut Vec<(i32, u32)>, index: i32, bridge: impl FnOnce(u32)) {
    if let Some((start, length)) = spans.last_mut() {
        let gap = (index - *start) as u32 - *length;
        if gap as usize <= BRIDGED {
            bridge(gap);
            *length += gap + 1;
            return;
        }
    }
    spans.push((index, 1));
}
