//! Label blocks: `device="vda",operation="read"`, rendered once, when a series is born.
//!
//! Text 0.0.4 and OpenMetrics escape label values alike, so one block serves both.

use super::schema::{Feed, LabelSource};
use super::short::Runs;
use ebhost_metrics::Family;

/// A feed's labels with holes where an answer's columns and the CPU go.
#[derive(Debug)]
pub(super) struct Template {
    /// All that is fixed.
    fixed: Runs,
    /// A hole, and where what is fixed before it begins and ends.
    holes: Vec<(usize, usize, Hole)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    Column(usize),
    Cpu,
    /// None: the block ends.
    End,
}

/// What every column becomes once a package has all the series that it may have.
pub(super) const OTHER: &str = "other";

impl Template {
    pub(super) fn new(family: &Family, feed: &Feed, label_bytes: usize) -> Self {
        let (mut fixed, mut holes, mut start) = (Runs::default(), Vec::new(), 0);
        for (index, (name, source)) in family.labels.iter().zip(&feed.labels).enumerate() {
            if index > 0 {
                fixed.push(b",");
            }
            fixed.push(name.as_bytes());
            fixed.push(b"=\"");
            let hole = match source {
                LabelSource::Fixed(value) => {
                    escape(cut(value, label_bytes), &mut fixed);
                    None
                }
                LabelSource::Column(column) => Some(Hole::Column(*column)),
                LabelSource::Cpu => Some(Hole::Cpu),
            };
            if let Some(hole) = hole {
                holes.push((start, fixed.len(), hole));
                start = fixed.len();
            }
            fixed.push(b"\"");
        }
        holes.push((start, fixed.len(), Hole::End));
        Template { fixed, holes }
    }

    pub(super) fn has_columns(&self) -> bool {
        self.holes.iter().any(|(_, _, hole)| matches!(hole, Hole::Column(_)))
    }

    /// Appends the block. `column` appends a column's value, cut and escaped.
    #[inline]
    pub(super) fn render(&self, out: &mut Runs, column: impl Fn(usize, &mut Runs), cpu: usize) {
        for &(start, end, hole) in &self.holes {
            out.push_from(self.fixed.all(), start, end);
            match hole {
                Hole::Column(index) => column(index, out),
                Hole::Cpu => out.push(itoa::Buffer::new().format(cpu).as_bytes()),
                Hole::End => {}
            }
        }
    }
}

/// The longest start of `value` that has at most `limit` bytes and ends with a character.
pub(super) fn cut(value: &str, limit: usize) -> &str {
    if value.len() <= limit { value } else { &value[..value.floor_char_boundary(limit)] }
}

pub(super) fn escape(value: &str, out: &mut Runs) {
    let mut rest = value.as_bytes();
    while let Some(at) = special(rest) {
        out.push(&rest[..at]);
        out.push(match rest[at] {
            b'\n' => br"\n",
            b'"' => br#"\""#,
            _ => br"\\",
        });
        rest = &rest[at + 1..];
    }
    out.push(rest);
}

/// Whether there is nothing to escape.
pub(super) fn is_plain(value: &[u8]) -> bool {
    special(value).is_none()
}

/// The first byte that a label value cannot hold as it is.
fn special(value: &[u8]) -> Option<usize> {
    memchr::memchr3(b'\\', b'"', b'\n', value)
}

#[cfg(test)]
mod tests {
    use super::super::schema::Value;
    use super::*;
    use ebhost_metrics::Kind;

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
        let mut out = Runs::default();
        Template::new(&family, &feed, 8).render(&mut out, |column, out| escape(columns[column], out), cpu);
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
    fn a_byte_to_escape_is_found_wherever_it_stands() {
        for length in 0..20 {
            let plain = "\u{ff}\u{21}\u{23}\u{0b}]".repeat(4)[..].chars().take(length).collect::<String>();
            assert!(is_plain(plain.as_bytes()), "{plain:?}");
            for (at, _) in plain.char_indices() {
                for special in [b'\\', b'"', b'\n'] {
                    let mut value = plain.clone().into_bytes();
                    value.insert(at, special);
                    assert!(!is_plain(&value), "{special} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("aλλ", 4), "aλ");
        assert_eq!(cut("aλλ", 5), "aλλ");
        assert_eq!(cut("λ", 1), "");
    }
}
