//! Draws the screen: title, summary, notice, table, the marked histogram, and the keys.
//!
//! The result is lines of text with a style each, as many as the terminal has and none wider than it is.

use super::{
    args::View,
    screen::{Input, Observations, Screen},
    table::{Column, Direction, Row, Table, printable},
};
use crate::histogram;

/// Characters of a histogram's line beside its bar.
const BESIDE_BAR: usize = 32;

/// Characters of the longest bar on a wide terminal.
const BAR: usize = 60;

/// Lines of a long notice.
const NOTICE: usize = 3;

/// Columns and lines of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    /// Something is wrong.
    Bad,
    /// It is marked.
    Marked,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Line {
    fn new(text: &str, style: Style) -> Self {
        Self { text: printable(text), style }
    }
}

/// Everything, in exactly as many lines as the terminal has. `first` is the table's first row that is shown; it is moved so that the marked row
/// is shown, too.
pub(super) fn lines(screen: &Screen, size: Size, first: &mut usize) -> Vec<Line> {
    let mut lines = vec![Line::new(&screen.title(), Style::Bold), Line::new(&screen.summary(), Style::Plain)];
    let notice = screen.notice().unwrap_or_default();
    lines.extend(wrapped(&notice, size.columns).into_iter().take(NOTICE).map(|line| Line::new(&line, Style::Bad)));
    lines.push(Line::new(&view_names(screen.view), Style::Plain));
    // The keys are always in the last line.
    let room = size.lines.saturating_sub(lines.len() + 1);
    // A histogram has what its table leaves, which has a third at least if it has so many rows.
    let rows = screen.table().map_or(0, |table| table.rows.len());
    let bars = histogram(screen, Size { lines: room - (rows + 1).min(room.div_ceil(3)), ..size });
    let mut table = table(screen, Size { lines: room - bars.len(), ..size }, first);
    table.resize(room - bars.len(), Line::new("", Style::Plain));
    lines.append(&mut table);
    lines.extend(bars);
    lines.truncate(size.lines.saturating_sub(1));
    lines.push(Line::new(&keys(screen), Style::Plain));
    lines.truncate(size.lines);
    lines.iter_mut().for_each(|line| line.text = line.text.chars().take(size.columns).collect());
    lines
}

/// A text in lines, broken between words.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= columns) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The names of the views with their keys; the one that is shown is in brackets.
fn view_names(shown: View) -> String {
    let name = |(index, view): (usize, View)| {
        let name = format!("{} {}", index + 1, view.name());
        if view == shown { format!("[{name}]") } else { format!(" {name} ") }
    };
    View::ALL.into_iter().enumerate().map(name).collect::<Vec<_>>().join(" ")
}

/// Title and as many rows as there is room for.
fn table(screen: &Screen, size: Size, first: &mut usize) -> Vec<Line> {
    let Some(table) = screen.table() else {
        return vec![Line::new("waiting for the host's first answer", Style::Plain)];
    };
    let widths = widths(&table, size.columns);
    let titles = table.columns.iter().enumerate().map(|(index, column)| title(column, index, screen));
    let is_number = |index: usize| table.rows.first().is_some_and(|row| row.cells[index].is_number());
    let titles: Vec<_> =
        titles.enumerate().map(|(index, text)| padded(&text, widths[index], is_number(index))).collect();
    let mut lines = vec![Line::new(titles.join(" ").trim_end(), Style::Bold)];
    let room = size.lines.saturating_sub(1);
    if table.rows.is_empty() {
        let text = if screen.filter.is_empty() { "nothing to show" } else { "no row has the text of the filter" };
        lines.push(Line::new(text, Style::Plain));
        return lines;
    }
    let marked = screen.marked.min(table.rows.len() - 1);
    *first = (*first).min(marked).max((marked + 1).saturating_sub(room));
    let rows = table.rows.iter().enumerate().skip(*first).take(room);
    lines.extend(rows.map(|(index, row)| row_line(row, &widths, index == marked)));
    lines
}

fn row_line(row: &Row, widths: &[usize], is_marked: bool) -> Line {
    let cells = row.cells.iter().zip(widths).map(|(cell, width)| padded(cell.shown(), *width, cell.is_number()));
    let style = match (is_marked, row.is_bad) {
        (true, _) => Style::Marked,
        (false, true) => Style::Bad,
        (false, false) => Style::Plain,
    };
    Line::new(cells.collect::<Vec<_>>().join(" ").trim_end(), style)
}

/// The width of each column; the one without a width of its own has what is left.
fn widths(table: &Table, columns: usize) -> Vec<usize> {
    let fixed: usize = table.columns.iter().map(|column| usize::from(column.width) + 1).sum();
    let rest = (columns + 1).saturating_sub(fixed).max(8);
    let width = |column: &Column| if column.width == 0 { rest } else { usize::from(column.width) };
    table.columns.iter().map(width).collect()
}

/// A text of exactly that width: numbers on the right, and what is too long cut with a `~`.
fn padded(text: &str, width: usize, is_number: bool) -> String {
    if text.chars().count() > width {
        let kept: String = text.chars().take(width.saturating_sub(1)).collect();
        return format!("{kept}~");
    }
    if is_number { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

/// A column's title, with the direction if the table is sorted by it.
fn title(column: &Column, index: usize, screen: &Screen) -> String {
    let sort = screen.sort();
    match sort.direction {
        _ if sort.column != index => column.title.to_owned(),
        Direction::Usual => format!("{}v", column.title),
        Direction::Reversed => format!("{}^", column.title),
    }
}

/// The histogram of the marked row, in at most so many lines; none in other views.
fn histogram(screen: &Screen, size: Size) -> Vec<Line> {
    let Some(found) = (screen.view == View::Histograms).then(|| screen.histogram()).flatten() else {
        return Vec::new();
    };
    let which = match screen.observations {
        Observations::All => "all",
        Observations::Recent => "since the reading before",
    };
    let head = format!("{}{{{}}}: {} observations, {which}", found.family, found.labels, found.count());
    let bar = size.columns.saturating_sub(BESIDE_BAR).clamp(1, BAR);
    let drawn = histogram::lines(found.unit(), &found.bounds, &found.counts, bar);
    let drawn = drawn.iter().map(|line| Line::new(line, Style::Plain));
    [Line::new(&head, Style::Bold)].into_iter().chain(drawn).take(size.lines).collect()
}

fn keys(screen: &Screen) -> String {
    match screen.input {
        Input::Filter => format!("filter: {}_   Enter keeps it, Esc clears it", screen.filter),
        Input::Commands if !screen.filter.is_empty() => {
            format!("filter: {}   Esc clears it   / edit   q quit", screen.filter)
        }
        Input::Commands if screen.view == View::Histograms => {
            "q quit  tab view  s S sort  r reverse  / filter  up down mark  d all or recent".to_owned()
        }
        Input::Commands => "q quit  tab view  s S sort  r reverse  / filter  up down mark".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use termion::event::Key;

    use super::*;
    use crate::top::{exposition::histograms, reading::Reading};

    fn reading(packages: usize) -> Reading {
        let package = |number: usize| {
            format!(
                r#"{{"name": "package{number}", "is_up": true, "programs": [{{"name": "a_program_of_a_very_long_name_{number}",
                    "cpu_ratio": 0.00{number:02}, "run_duration_seconds": 2.5e-7}}]}}"#
            )
        };
        let packages = (0..packages).map(package).collect::<Vec<_>>().join(",");
        let json =
            format!(r#"{{"build": {{"version": "9.9"}}, "packages": [{packages}], "kernel_cpu_measured": true}}"#);
        let text = "# TYPE wait_seconds histogram\nwait_seconds_bucket{a=\"b\",le=\"0.001\"} 3\n\
                    wait_seconds_bucket{a=\"b\",le=\"+Inf\"} 4\n";
        Reading { at: Instant::now(), status: serde_json::from_str(&json).unwrap(), histograms: Some(histograms(text)) }
    }

    fn drawn(columns: usize, height: usize, keys: &str, reading: Result<Reading, String>) -> Vec<String> {
        let mut screen = Screen::new("localhost:9435".into(), View::Programs, None, String::new());
        screen.take(reading);
        for key in keys.chars() {
            screen.press(Key::Char(key));
        }
        let lines = lines(&screen, Size { columns, lines: height }, &mut 0);
        assert_eq!(lines.len(), height);
        assert!(lines.iter().all(|line| line.text.chars().count() <= columns), "{lines:#?}");
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_small_terminal_shows_title_table_and_keys() {
        let lines = drawn(80, 24, "", Ok(reading(40)));
        assert_eq!(lines[0], "ebhost 9.9 at localhost:9435: 40 packages, 40 up, 0 down");
        assert!(lines[2].starts_with("[1 programs]  2 packages "), "{lines:#?}");
        assert!(lines[3].starts_with("PACKAGE") && lines[3].contains(" CPU %v "), "{lines:#?}");
        assert_eq!(lines[4], "package39        a_program_of_a_very_lon~     15600     250   0.390 yes");
        assert!(lines[22].starts_with("package21") && lines[23].starts_with("q quit  tab view"), "{lines:#?}");
    }

    #[test]
    fn the_marked_row_is_scrolled_into_view() {
        let lines = drawn(80, 24, &"j".repeat(30), Ok(reading(40)));
        assert!(lines[22].starts_with("package9 ") && lines[4].starts_with("package27 "), "{lines:#?}");
    }

    #[test]
    fn a_histogram_is_drawn_below_its_table() {
        let lines = drawn(80, 24, "4", Ok(reading(1)));
        let is_head = |line: &String| line == "wait_seconds{a=\"b\"}: 4 observations, all";
        let head = lines.iter().position(is_head).unwrap_or_else(|| panic!("{lines:#?}"));
        assert!(lines[head + 1].contains("<= 1 ms : 3 ") && lines[head + 1].ends_with('|'), "{lines:#?}");
    }

    #[test]
    fn a_terminal_of_any_size_has_that_many_lines() {
        for (columns, height) in [(1, 1), (10, 3), (80, 5), (300, 100)] {
            for keys in ["", "4", "3/x"] {
                drawn(columns, height, keys, Ok(reading(3)));
            }
        }
        let lines = drawn(40, 10, "", Err("localhost:9435 cannot be reached: connection refused".into()));
        assert_eq!(lines[2..4].join(" "), "for 0 s: localhost:9435 cannot be reached: connection refused");
    }

    #[test]
    fn names_from_another_machine_move_no_cursor() {
        let json = r#"{"packages": [{"name": "a\u001b[2Jb", "programs": [{"name": "p\nq"}]}]}"#;
        let status = serde_json::from_str(json).unwrap();
        let lines = drawn(80, 24, "", Ok(Reading { at: Instant::now(), status, histograms: None }));
        assert!(lines.iter().any(|line| line.starts_with("a?[2Jb ") && line.contains(" p?q ")), "{lines:#?}");
    }
}
