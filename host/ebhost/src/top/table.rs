//! Tables of texts and numbers: sorting, filtering, and printing them as plain text.

use std::{cmp::Ordering, fmt::Write as _};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    /// Its title, in capitals.
    pub(super) title: &'static str,
    /// Characters that it is given in a terminal; 0: what is left.
    pub(super) width: u16,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(String),
    /// A number, and how it is shown. None: it is not known, and shown as `-`.
    Number(Option<f64>, String),
}

impl Cell {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(printable(text))
    }

    pub(super) fn number(value: Option<f64>, show: impl Fn(f64) -> String) -> Self {
        Self::Number(value, value.map_or_else(|| "-".to_owned(), show))
    }

    /// The text that is shown.
    pub(super) fn shown(&self) -> &str {
        let (Self::Text(text) | Self::Number(_, text)) = self;
        text
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Number(..))
    }

    /// Texts from A, numbers from the largest, unknown ones last.
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one, _), Self::Number(other, _)) => {
                other.unwrap_or(f64::NEG_INFINITY).total_cmp(&one.unwrap_or(f64::NEG_INFINITY))
            }
            (one, other) => one.shown().cmp(other.shown()),
        }
    }
}

/// A text without characters that a terminal obeys: it comes from another machine.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    /// Whether something is wrong with what it is about.
    pub(super) is_bad: bool,
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
}

/// How a table is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sort {
    /// Index of the column.
    pub(super) column: usize,
    pub(super) direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Numbers from the largest, texts from A.
    Usual,
    Reversed,
}

impl Direction {
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Usual => Self::Reversed,
            Self::Reversed => Self::Usual,
        }
    }
}

impl Table {
    /// Index of the column with this title, in any case; `%` and spaces do not count.
    pub(super) fn column(columns: &[Column], title: &str) -> Option<usize> {
        let plain = |text: &str| text.to_lowercase().replace(['%', ' '], "");
        columns.iter().position(|column| plain(column.title) == plain(title))
    }

    /// Keeps rows with this text in any of their cells, in any case, and sorts them. Equal rows stay in order.
    pub(super) fn arranged(mut self, filter: &str, sort: Sort) -> Self {
        let wanted = filter.to_lowercase();
        self.rows.retain(|row| row.cells.iter().any(|cell| cell.shown().to_lowercase().contains(&wanted)));
        self.rows.sort_by(|one, other| {
            let order = match (one.cells.get(sort.column), other.cells.get(sort.column)) {
                (Some(one), Some(other)) => one.order(other),
                _ => Ordering::Equal,
            };
            if sort.direction == Direction::Reversed { order.reverse() } else { order }
        });
        self
    }

    /// The table as plain text: columns as wide as their longest cell.
    pub(super) fn plain(&self) -> String {
        let width = |column: usize| {
            let cells =
                self.rows.iter().filter_map(|row| row.cells.get(column)).map(|cell| cell.shown().chars().count());
            cells.chain([self.columns[column].title.len()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let is_number = |column: usize| self.rows.first().is_some_and(|row| row.cells[column].is_number());
        let mut out = String::new();
        let mut line = |cells: Vec<&str>| {
            let mut text = String::new();
            for (column, cell) in cells.into_iter().enumerate() {
                let width = widths[column];
                // Writing into a string does not fail.
                let _ =
                    if is_number(column) { write!(text, "{cell:>width$}  ") } else { write!(text, "{cell:<width$}  ") };
            }
            out.push_str(text.trim_end());
            out.push('\n');
        };
        line(self.columns.iter().map(|column| column.title).collect());
        self.rows.iter().for_each(|row| line(row.cells.iter().map(Cell::shown).collect()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [Column { title: "NAME", width: 0 }, Column { title: "CPU %", width: 7 }];

    fn table() -> Table {
        let row = |name: &str, cpu| Row {
            cells: vec![Cell::text(name), Cell::number(cpu, |cpu| format!("{cpu:.1}"))],
            is_bad: false,
        };
        Table { columns: &COLUMNS, rows: vec![row("b", Some(1.0)), row("unknown", None), row("a", Some(20.0))] }
    }

    fn names(table: &Table) -> Vec<&str> {
        table.rows.iter().map(|row| row.cells[0].shown()).collect()
    }

    #[test]
    fn numbers_are_sorted_from_the_largest_and_unknown_ones_are_last() {
        let by = |column, direction| table().arranged("", Sort { column, direction });
        assert_eq!(names(&by(1, Direction::Usual)), ["a", "b", "unknown"]);
        assert_eq!(names(&by(1, Direction::Reversed)), ["unknown", "b", "a"]);
        assert_eq!(names(&by(0, Direction::Usual)), ["a", "b", "unknown"]);
        assert_eq!(Table::column(&COLUMNS, "cpu"), Some(1));
        assert_eq!(Table::column(&COLUMNS, "fill"), None);
    }

    #[test]
    fn a_filter_keeps_rows_with_its_text() {
        let sort = Sort { column: 0, direction: Direction::Usual };
        assert_eq!(names(&table().arranged("KNOWN", sort)), ["unknown"]);
        assert_eq!(names(&table().arranged("20.0", sort)), ["a"]);
        assert_eq!(table().arranged("zz", sort).plain(), "NAME  CPU %\n");
    }

    #[test]
    fn plain_columns_are_as_wide_as_their_longest_cell() {
        assert_eq!(table().plain(), "NAME     CPU %\nb          1.0\nunknown      -\na         20.0\n");
    }
}
