//! Label blocks: `device="vda",operation="read"`, rendered once, when a series is born.
//!
//! Text 0.0.4 and OpenMetrics escape label values alike, so one block serves both.

use super::schema::{Family, Feed, LabelSource};

/// A feed's labels with holes where an answer's columns and the CPU go.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(Vec<u8>),
    Column(usize),
    Cpu,
}

/// What every column becomes once a package has all the series that it may have.
pub(super) const OTHER: &str = "other";

impl Template {
    pub(super) fn new(family: &Family, feed: &Feed, label_bytes: usize) -> Self {
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        for (name, source) in family.labels.iter().zip(&feed.labels) {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"=\"");
            let hole = match source {
                LabelSource::Fixed(value) => {
                    escape(cut(value, label_bytes), &mut text);
                    None
                }
                LabelSource::Column(column) => Some(Piece::Column(*column)),
                LabelSource::Cpu => Some(Piece::Cpu),
            };
            if let Some(hole) = hole {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(hole);
            }
            text.extend_from_slice(b"\",");
        }
        text.pop(); // the last comma
        pieces.push(Piece::Text(text));
        Template { pieces }
    }

    pub(super) fn has_columns(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Column(_)))
    }

    /// Appends the block. `column` appends a column's value, cut and escaped.
    pub(super) fn render(&self, out: &mut Vec<u8>, column: impl Fn(usize, &mut Vec<u8>), cpu: usize) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Column(index) => column(*index, out),
                Piece::Cpu => out.extend_from_slice(itoa::Buffer::new().format(cpu).as_bytes()),
            }
        }
    }
}

/// The longest start of `value` that has at most `limit` bytes and ends with a character.
pub(super) fn cut(value: &str, limit: usize) -> &str {
    if value.len() <= limit { value } else { &value[..value.floor_char_boundary(limit)] }
}

pub(super) fn escape(value: &str, out: &mut Vec<u8>) {
    let mut rest = value.as_bytes();
    while let Some(at) = special(rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => br"\n",
            b'"' => br#"\""#,
            _ => br"\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
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
    use super::super::schema::{Kind, Value};
    use super::*;

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
        let mut out = Vec::new();
        Template::new(&family, &feed, 8).render(&mut out, |column, out| escape(columns[column], out), cpu);
        String::from_utf8(out).unwrap()
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
