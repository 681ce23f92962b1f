//! Text as HTML: escaped, in tables, and numbers as people read them.

use std::fmt::{self, Display, Write as _};

use ebhost_telemetry::civil;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}\
    table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{border:1px solid #9995;padding:.2rem .6rem;text-align:left}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}.bad{color:#c22}pre{white-space:pre-wrap}";

/// Displays text with its HTML metacharacters escaped.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A whole page; `head` is put into its head as it is.
pub(super) fn page(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{head}<title>{0}</title><style>{STYLE}</style></head>\
         <body><h1>{0}</h1>{body}</body></html>\n",
        Escaped(title)
    )
}

/// A table with a title; nothing if it has no rows.
pub(super) fn table<T>(
    out: &mut String,
    title: &str,
    columns: &[&str],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    write!(out, "<h3>{}</h3><table><tr>", Escaped(title))?;
    columns.iter().try_for_each(|column| write!(out, "<th>{}</th>", Escaped(column)))?;
    out.write_str("</tr>")?;
    for row in rows {
        out.write_str("<tr>")?;
        for cell in cells(row) {
            let class = if cell.parse::<f64>().is_ok() { " class=\"n\"" } else { "" };
            write!(out, "<td{class}>{}</td>", Escaped(cell))?;
        }
        out.write_str("</tr>")?;
    }
    out.write_str("</table>")
}

/// A rate, or nothing where there is none yet.
pub(super) fn rate(per_second: Option<f64>) -> String {
    match per_second {
        Some(rate) if rate == 0.0 || rate >= 100.0 => format!("{rate:.0}"),
        Some(rate) => format!("{rate:.2}"),
        None => String::new(),
    }
}

/// Seconds of CPU time a second, in percent of a CPU.
pub(super) fn percent(cpu: Option<f64>) -> String {
    cpu.map_or_else(String::new, |cpu| format!("{:.3}", cpu * 100.0))
}

/// A time in seconds since 1970, in words: `2026-11-26 21:05:03 UTC, 12 s ago`.
pub(super) fn moment(seconds: f64, now: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (day, second) = (whole / 86_400, whole % 86_400);
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let ago = (now - seconds).max(0.0);
    format!("{year}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02} UTC, {ago:.0} s ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_date_and_time() {
        assert_eq!(moment(0.0, 5.0), "1970-01-01 00:00:00 UTC, 5 s ago");
        // As `date -u -d @N` prints them: around a leap day, and at the ends of years.
        for (seconds, expected) in [
            (951_782_399.0, "2000-02-28 23:59:59"),
            (951_782_400.0, "2000-02-29 00:00:00"),
            (951_868_800.0, "2000-03-01 00:00:00"),
            (1_709_210_096.0, "2024-02-29 12:34:56"),
            (1_798_761_599.0, "2026-12-31 23:59:59"),
            (4_107_542_400.0, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(moment(seconds, seconds), format!("{expected} UTC, 0 s ago"));
        }
        assert!(moment(10.0, 5.0).ends_with(", 0 s ago"), "a clock that was set back");
    }

    #[test]
    fn a_rate_has_the_digits_that_say_something() {
        assert_eq!([Some(0.0), Some(0.126), Some(123.4), None].map(rate), ["0", "0.13", "123", ""]);
        assert_eq!([Some(0.0123), None].map(percent), ["1.230", ""]);
    }
}
