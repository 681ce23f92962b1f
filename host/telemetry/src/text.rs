//! Text 0.0.4 from the OpenMetrics that `prometheus-client` writes, which has no writer for the older form.

use std::sync::LazyLock;

use memchr::memmem::Finder;

const METADATA: &str = "# ";

/// Where samples end and the next family begins. They are most of the text, and are copied whole.
static METADATA_NEXT: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\n# "));

/// Rewrites metadata: a counter is named with its `_total`, an info is a gauge, units and the end mark go.
pub(super) fn from_openmetrics(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help: Option<(&str, &str)> = None;
    let mut rest = openmetrics;
    while !rest.is_empty() {
        let Some(metadata) = rest.strip_prefix(METADATA) else {
            let samples;
            (samples, rest) = rest.split_at(METADATA_NEXT.find(rest.as_bytes()).map_or(rest.len(), |end| end + 1));
            text.push_str(samples);
            continue;
        };
        let line;
        (line, rest) = cut(metadata, b'\n');
        let (what, said) = cut(line, b' ');
        let (name, said) = cut(said, b' ');
        match (what, said) {
            ("HELP", said) => help = Some((name, said)),
            ("TYPE", kind) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some((_, help)) = help.take().filter(|(helped, _)| *helped == name) {
                    ["# HELP ", name, suffix, " ", help, "\n"].iter().for_each(|part| text.push_str(part));
                }
                ["# TYPE ", name, suffix, " ", kind, "\n"].iter().for_each(|part| text.push_str(part));
            }
            _ => {}
        }
    }
    text
}

/// What is before the first such byte and what is behind it.
fn cut(text: &str, byte: u8) -> (&str, &str) {
    let end = memchr::memchr(byte, text.as_bytes());
    end.map_or((text, ""), |end| (&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_renamed_and_samples_stay() {
        let openmetrics = "# HELP a_seconds Time spent.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                           a_seconds_total{x=\"# TYPE\"} 1.5\n# HELP b Build.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
                           # HELP c C.\n# TYPE c gauge\nc 2\n# EOF\n";
        let text = "# HELP a_seconds_total Time spent.\n# TYPE a_seconds_total counter\n\
                    a_seconds_total{x=\"# TYPE\"} 1.5\n# HELP b_info Build.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
                    # HELP c C.\n# TYPE c gauge\nc 2\n";
        assert_eq!(from_openmetrics(openmetrics), text);
    }
}
