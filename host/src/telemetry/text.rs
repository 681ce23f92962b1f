//! Text 0.0.4 from the OpenMetrics that `prometheus-client` writes, which has no writer for the older form.

use std::sync::LazyLock;

use memchr::memmem::Finder;

const METADATA: &str = "# ";

/// Where samples end and the next family begins. They are most of the text, and are copied whole.
static METADATA_NEXT: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\n# "));

/// Rewrites metadata: a counter is named with its `_total`, an info is a gauge, units and the end mark go.
pub fn from_openmetrics(openmetrics: &str) -> String {
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
        (line, rest) = metadata.split_once('\n').unwrap_or((metadata, ""));
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(name), said) => help = Some((name, said.unwrap_or_default())),
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some((_, help)) = help.take().filter(|(helped, _)| *helped == name) {
                    text.extend(["# HELP ", name, suffix, " ", help, "\n"]);
                }
                text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            _ => {}
        }
    }
    text
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
