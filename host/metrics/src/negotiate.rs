//! Which format and which compression a scraper wants.
//!
//! A header that is absent, malformed or asks for nothing that is offered gets text 0.0.4, plain: a scrape is never
//! refused over its headers. Several header lines are joined with commas by the caller.

/// A format of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Text004,
    /// The draft, which differs in its name alone.
    OpenMetrics001,
    OpenMetrics100,
    /// The release candidate of 2.0, for clients that ask for exactly that version.
    OpenMetrics200,
    /// Delimited `io.prometheus.client.MetricFamily`.
    Protobuf,
}

/// How the answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    Identity,
    Gzip,
}

impl Format {
    pub const ALL: &[Self] =
        &[Self::Text004, Self::OpenMetrics100, Self::OpenMetrics001, Self::OpenMetrics200, Self::Protobuf];

    /// Without OpenMetrics: an exporter that never had it has `le="1"` where OpenMetrics says `le="1.0"`, which are two series.
    pub const WITHOUT_OPENMETRICS: &[Self] = &[Self::Text004, Self::Protobuf];

    /// The format by which lines are kept: both old versions of OpenMetrics have the same.
    pub(crate) fn of_lines(self) -> Self {
        if self == Self::OpenMetrics001 { Self::OpenMetrics100 } else { self }
    }

    /// The exact `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics001 => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Format::OpenMetrics100 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::OpenMetrics200 => "application/openmetrics-text; version=2.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// The best of `offered` by an `Accept` header: the highest q; of equals a named type before a wildcard, then the
    /// one named first.
    pub fn negotiate(accept: Option<&str>, offered: &[Format]) -> Format {
        let mut best = (Weight(0), Format::Text004);
        for clause in clauses(accept) {
            let Some(format) = Format::named(&clause).filter(|format| offered.contains(format)) else { continue };
            let weight = Weight(clause.q * 2 + u32::from(!clause.name.contains('*')));
            if clause.q > 0 && weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    fn named(clause: &Clause<'_>) -> Option<Self> {
        let name = clause.name;
        let version = clause.parameter("version");
        if ["*/*", "text/*"].contains(&name) {
            return Some(Format::Text004);
        }
        if name.eq_ignore_ascii_case("text/plain") {
            return matches!(version, None | Some("0.0.4")).then_some(Format::Text004);
        }
        if name.eq_ignore_ascii_case("application/openmetrics-text") {
            return match version {
                None | Some("1.0.0") => Some(Format::OpenMetrics100),
                Some("0.0.1") => Some(Format::OpenMetrics001),
                Some("2.0.0") => Some(Format::OpenMetrics200),
                Some(_) => None,
            };
        }
        let is_protobuf = name.eq_ignore_ascii_case("application/vnd.google.protobuf")
            && clause.parameter("proto") == Some("io.prometheus.client.MetricFamily")
            && clause.parameter("encoding") == Some("delimited");
        is_protobuf.then_some(Format::Protobuf)
    }
}

impl Encoding {
    /// Gzip if the `Accept-Encoding` header takes it no less gladly than the plain answer.
    pub fn negotiate(accept_encoding: Option<&str>) -> Encoding {
        let (mut gzip, mut identity, mut any) = (None, None, None);
        for clause in clauses(accept_encoding) {
            match clause.name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => gzip = Some(clause.q),
                "identity" => identity = Some(clause.q),
                "*" => any = Some(clause.q),
                _ => {}
            }
        }
        let gzip = gzip.or(any).unwrap_or(0);
        if gzip > 0 && gzip >= identity.unwrap_or(0) { Encoding::Gzip } else { Encoding::Identity }
    }
}

#[derive(PartialEq, PartialOrd)]
struct Weight(u32);

/// One element of a header's list.
struct Clause<'a> {
    name: &'a str,
    parameters: &'a str,
    /// In thousandths.
    q: u32,
}

impl<'a> Clause<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        parameters(self.parameters).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The clauses of a header that are well formed.
fn clauses(header: Option<&str>) -> impl Iterator<Item = Clause<'_>> {
    header.unwrap_or_default().split(',').filter_map(|clause| {
        let (name, rest) = clause.split_once(';').unwrap_or((clause, ""));
        let q = match parameters(rest).find(|(key, _)| key.eq_ignore_ascii_case("q")) {
            Some((_, value)) => thousandths(value)?,
            None => 1000,
        };
        let name = name.trim();
        (!name.is_empty()).then_some(Clause { name, parameters: rest, q })
    })
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').filter_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        Some((key.trim(), value.trim().trim_matches('"')))
    })
}

/// A quality value: 0 to 1, three decimals at most.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXTS: [Format; 3] = [Format::Text004, Format::OpenMetrics100, Format::OpenMetrics001];
    const ALL: &[Format] = Format::ALL;

    #[test]
    fn what_real_scrapers_send() {
        let debian = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::negotiate(Some(debian), &TEXTS), Format::OpenMetrics100);
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                      application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                      text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::negotiate(Some(native), ALL), Format::Protobuf);
        assert_eq!(Format::negotiate(Some(native), &TEXTS), Format::OpenMetrics100);
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        assert_eq!(Format::negotiate(Some(browser), ALL), Format::Text004);
        let newest = "application/openmetrics-text;version=2.0.0;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3";
        assert_eq!(Format::negotiate(Some(newest), ALL), Format::OpenMetrics200);
        assert_eq!(Format::negotiate(Some(newest), Format::WITHOUT_OPENMETRICS), Format::Text004);
        assert_eq!(Format::negotiate(Some("*/*"), ALL), Format::Text004);
    }

    #[test]
    fn quality_decides_and_zero_refuses() {
        let choose = |accept: &str| Format::negotiate(Some(accept), ALL);
        assert_eq!(choose("application/openmetrics-text;q=0.3, text/plain;q=0.4"), Format::Text004);
        assert_eq!(
            choose("text/plain;q=0.3, application/openmetrics-text; version=\"0.0.1\" ;Q=0.4"),
            Format::OpenMetrics001
        );
        assert_eq!(choose("*/*, application/openmetrics-text"), Format::OpenMetrics100);
        assert_eq!(choose("application/openmetrics-text;q=0"), Format::Text004);
        assert_eq!(choose("application/openmetrics-text;version=2.0.0"), Format::OpenMetrics200);
        assert_eq!(choose("application/openmetrics-text;version=2.0.1"), Format::Text004);
        assert_eq!(choose("text/plain, application/openmetrics-text"), Format::Text004);
        for one in ["1", "1.", "1.0", "1.000"] {
            let header = format!("text/plain;q=0.9, application/openmetrics-text;q={one}");
            assert_eq!(choose(&header), Format::OpenMetrics100, "{header}");
        }
        for none in ["1.001", "2", "0.", "0.000", "0.0001", "-0.5", ".5"] {
            let header = format!("text/plain;q=0.001, application/openmetrics-text;q={none}");
            assert_eq!(choose(&header), Format::Text004, "{header}");
        }
    }

    #[test]
    fn anything_else_is_text() {
        assert_eq!(Format::negotiate(None, ALL), Format::Text004);
        for accept in
            ["", ",,;;==", "application/openmetrics-text;q=9", "application/openmetrics-text;q=", "\u{0}λ;q=1"]
        {
            assert_eq!(Format::negotiate(Some(accept), ALL), Format::Text004, "{accept}");
        }
    }

    #[test]
    fn gzip_when_it_is_welcome() {
        for header in ["gzip", "deflate, GZIP;q=0.5", "*", "br, *;q=0.1", "gzip, identity", "x-gzip"] {
            assert_eq!(Encoding::negotiate(Some(header)), Encoding::Gzip, "{header}");
        }
        for header in ["", "identity", "gzip;q=0", "gzip;q=0, *", "gzip;q=0.1, identity;q=0.5", "gzip;q=x"] {
            assert_eq!(Encoding::negotiate(Some(header)), Encoding::Identity, "{header}");
        }
        assert_eq!(Encoding::negotiate(None), Encoding::Identity);
    }

    proptest! {
        #[test]
        fn only_what_a_header_names_is_chosen(header in "\\PC{0,200}|[a-z*/;=,.0-9 \"q]{0,200}") {
            let lower = header.to_ascii_lowercase();
            match Format::negotiate(Some(&header), ALL) {
                Format::Text004 => {}
                Format::Protobuf => prop_assert!(lower.contains("application/vnd.google.protobuf")),
                _ => prop_assert!(lower.contains("application/openmetrics-text")),
            }
            prop_assert_eq!(Format::negotiate(Some(&header), &[Format::Text004]), Format::Text004);
            if Encoding::negotiate(Some(&header)) == Encoding::Gzip {
                prop_assert!(lower.contains("gzip") || lower.contains('*'));
            }
        }

        /// The heaviest of clauses with different weights wins, in whatever order they come.
        #[test]
        fn the_heaviest_clause_wins(order in Just([0usize, 1, 2, 3]).prop_shuffle(), weights in prop::array::uniform4(0u32..249)) {
            let formats = [
                ("text/plain;version=0.0.4", Format::Text004),
                ("application/openmetrics-text;version=1.0.0", Format::OpenMetrics100),
                ("application/openmetrics-text;version=0.0.1", Format::OpenMetrics001),
                ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", Format::Protobuf),
            ];
            // Four times apart and one off, so that none is equal to another and none is 0.
            let weight = |at: usize| 4 * weights[at] + at as u32 + 1;
            let clauses: Vec<String> = order.iter().map(|at| format!("{};q=0.{:03}", formats[*at].0, weight(*at))).collect();
            let heaviest = (0..4).max_by_key(|at| weight(*at)).unwrap();
            prop_assert_eq!(Format::negotiate(Some(&clauses.join(", ")), ALL), formats[heaviest].1, "{:?}", clauses);
        }
    }
}
