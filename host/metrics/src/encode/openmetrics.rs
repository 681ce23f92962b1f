//! OpenMetrics 1.0, and the draft 0.0.1, which differs in its content type alone.
//!
//! Differences from text 0.0.4: the metadata name a counter without `_total`, there is a UNIT line, HELP escapes quotes, floats have a
//! fraction, `_created` gives start times, and the answer ends with `# EOF`. A histogram has `_count` if and only if it has
//! `_sum`: a parser that follows the specification refuses the whole answer otherwise. The count is that of the bucket +Inf.

use super::{
    ChunkSink, Created, escape,
    lines::{Lines, Syntax, heading_line},
    number,
};
use crate::{
    cell::CellKind,
    family::{Family, Kind},
    scale::Scale,
};

/// An encoder of OpenMetrics text.
pub(super) fn encoder(created: Created, out: &mut dyn ChunkSink) -> Lines<'_, OpenMetrics> {
    Lines::new(OpenMetrics { created }, out)
}

pub(super) struct OpenMetrics {
    created: Created,
}

impl Syntax for OpenMetrics {
    const COUNT_NEEDS_SUM: bool = true;
    const HAS_EXEMPLARS: bool = true;
    const END: &'static [u8] = b"# EOF\n";

    fn heading(&self, name: &str, family: &Family, out: &mut Vec<u8>) {
        let (name, kind) = match (&family.kind, name.strip_suffix("_total")) {
            (Kind::Counter, Some(base)) => (base, " counter\n"),
            // OpenMetrics has no counter without `_total`; the series keep their name all the same.
            (Kind::Counter, None) => (name, " unknown\n"),
            (Kind::Gauge(_), _) => (name, " gauge\n"),
            (Kind::Histogram(_), _) => (name, " histogram\n"),
        };
        heading_line(out, ["# HELP ", name, " "]);
        escape::help_of_openmetrics(&family.help, out);
        heading_line(out, ["\n# TYPE ", name, kind]);
        if !family.unit.is_empty() {
            heading_line(out, ["# UNIT ", name, " ", &family.unit, "\n"]);
        }
    }

    fn created_name(&self, name: &str, family: &Family) -> Option<String> {
        let base = match family.kind {
            Kind::Counter => name.strip_suffix("_total")?,
            Kind::Histogram(_) => name,
            Kind::Gauge(_) => return None,
        };
        (self.created == Created::Printed).then(|| format!("{base}_created"))
    }

    fn float(number: f64, out: &mut Vec<u8>) {
        number::openmetrics_float(number, out);
    }

    /// Libraries print a sum as a float even when it is whole.
    fn whole_sum(cell: u64, kind: CellKind, out: &mut Vec<u8>) {
        number::openmetrics_float(kind.value(cell, Scale::One), out);
    }
}
