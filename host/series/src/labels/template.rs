//! Label blocks: `device="vda",operation="read"`, rendered once, when a series begins.
//!
//! Text 0.0.4 and OpenMetrics escape label values alike, so one block serves both.

use ebhost_metrics::{Family, encode::escape};

use crate::schema::{Feed, LabelSource};
use crate::util::runs::RunBuffer;

/// The labels of one feed, with placeholders for the answer's columns and the CPU number.
#[derive(Debug)]
pub(crate) struct LabelTemplate {
    /// The fixed text of the block.
    fixed: RunBuffer,
    segments: Vec<Segment>,
}

/// Fixed text from `start` to `end`, and what follows it.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: usize,
    end: usize,
    then: Placeholder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Column(usize),
    Cpu,
    /// The end of the block.
    End,
}

/// The value of every column in the series that label sets beyond the limit are folded into.
pub(crate) const OTHER: &str = "other";

impl LabelTemplate {
    pub(crate) fn new(family: &Family, feed: &Feed, label_bytes: usize) -> Self {
        let (mut fixed, mut segments, mut start) = (RunBuffer::default(), Vec::new(), 0);
        for (index, (name, source)) in family.labels.iter().zip(&feed.labels).enumerate() {
            if index > 0 {
                fixed.push(b",");
            }
            fixed.push(name.as_bytes());
            fixed.push(b"=\"");
            let then = match source {
                LabelSource::Fixed(value) => {
                    push_escaped(cut(value, label_bytes), &mut fixed);
                    None
                }
                LabelSource::Column(column) => Some(Placeholder::Column(*column)),
                LabelSource::Cpu => Some(Placeholder::Cpu),
            };
            if let Some(then) = then {
                segments.push(Segment { start, end: fixed.len(), then });
                start = fixed.len();
            }
            fixed.push(b"\"");
        }
        segments.push(Segment { start, end: fixed.len(), then: Placeholder::End });
        Self { fixed, segments }
    }

    /// Whether an answer decides any of the labels.
    pub(crate) fn has_columns(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment.then, Placeholder::Column(_)))
    }

    /// Appends the block to `out`. `column` appends a column's value, cut and escaped.
    #[inline]
    pub(crate) fn render(&self, out: &mut RunBuffer, column: impl Fn(usize, &mut RunBuffer), cpu: usize) {
        for &Segment { start, end, then } in &self.segments {
            out.push_from(self.fixed.all(), start, end);
            match then {
                Placeholder::Column(index) => column(index, out),
                Placeholder::Cpu => out.push(itoa::Buffer::new().format(cpu).as_bytes()),
                Placeholder::End => {}
            }
        }
    }
}

/// The most bytes of a feed's block whose columns are all [`OTHER`].
pub(crate) fn block_bytes(family: &Family, feed: &Feed, label_bytes: usize) -> usize {
    const MARKS: usize = "=\"\",".len();
    const CPU_DIGITS: usize = 5;
    let value = |source: &LabelSource| match source {
        // Escaping doubles a value at most.
        LabelSource::Fixed(value) => 2 * cut(value, label_bytes).len(),
        LabelSource::Column(_) => OTHER.len(),
        LabelSource::Cpu => CPU_DIGITS,
    };
    family.labels.iter().zip(&feed.labels).map(|(name, source)| name.len() + MARKS + value(source)).sum()
}

/// Appends a label value, escaped.
pub(crate) fn push_escaped(value: &str, out: &mut RunBuffer) {
    escape::label_value(value, |run| out.push(run));
}

/// The longest prefix of `value` of at most `limit` bytes that ends on a character boundary.
pub(crate) fn cut(value: &str, limit: usize) -> &str {
    if value.len() <= limit { value } else { &value[..value.floor_char_boundary(limit)] }
}

#[cfg(test)]
mod tests {
    use ebhost_metrics::Kind;

    use super::*;
    use crate::schema::Value;

    fn rendered(labels: &[&str], sources: Vec<LabelSource>, columns: &[&str], cpu: usize) -> String {
        let family = Family {
            name: "x_total".into(),
            help: String::new(),
            unit: String::new(),
            labels: labels.iter().map(ToString::to_string).collect(),
            kind: Kind::Counter,
            times: 1.0,
            per: 1.0,
        };
        let feed = Feed { family: 0, labels: sources, value: Value::One };
        let mut out = RunBuffer::default();
        LabelTemplate::new(&family, &feed, 8).render(&mut out, |column, out| push_escaped(columns[column], out), cpu);
        String::from_utf8(out.get(0, out.len()).to_vec()).unwrap()
    }

    #[test]
    fn labels_come_in_the_familys_order() {
        let sources = vec![LabelSource::Column(1), LabelSource::Fixed("read".into()), LabelSource::Cpu];
        assert_eq!(rendered(&["device", "op", "cpu"], sources, &["-", "vda"], 3), r#"device="vda",op="read",cpu="3""#);
        assert_eq!(rendered(&[], vec![], &[], 0), "");
    }

    #[test]
    fn backslash_quote_and_line_feed_are_escaped_and_nothing_else() {
        let sources = vec![LabelSource::Column(0), LabelSource::Fixed("\"\n\\".into())];
        assert_eq!(rendered(&["a", "b"], sources, &["\\ \" \n λ\t"], 0), r#"a="\\ \" \n λ	",b="\"\n\\""#);
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("aλλ", 4), "aλ");
        assert_eq!(cut("aλλ", 5), "aλλ");
        assert_eq!(cut("λ", 1), "");
    }
}
