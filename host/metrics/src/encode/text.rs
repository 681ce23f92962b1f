//! Text 0.0.4, which every Prometheus and most other collectors read.

use super::{
    ChunkSink, escape,
    lines::{Lines, Syntax, heading_line},
    number,
};
use crate::{
    cell::CellKind,
    family::{Family, Kind},
    scale::Scale,
};

/// An encoder of text 0.0.4.
pub(super) fn encoder(out: &mut dyn ChunkSink) -> Lines<'_, Text004> {
    Lines::new(Text004, out)
}

pub(super) struct Text004;

impl Syntax for Text004 {
    const COUNT_NEEDS_SUM: bool = false;
    const HAS_EXEMPLARS: bool = false;
    const END: &'static [u8] = b"";

    fn heading(&self, name: &str, family: &Family, out: &mut Vec<u8>) {
        heading_line(out, ["# HELP ", name, " "]);
        escape::help_of_text(&family.help, out);
        let kind = match family.kind {
            Kind::Counter => " counter\n",
            Kind::Gauge(_) => " gauge\n",
            Kind::Histogram(_) => " histogram\n",
        };
        heading_line(out, ["\n# TYPE ", name, kind]);
    }

    fn created_name(&self, _: &str, _: &Family) -> Option<String> {
        None
    }

    fn float(number: f64, out: &mut Vec<u8>) {
        number::float(number, out);
    }

    fn whole_sum(cell: u64, kind: CellKind, out: &mut Vec<u8>) {
        match kind {
            CellKind::U64 => number::integer(cell, out),
            CellKind::I64 => number::signed(cell as i64, out),
            CellKind::F64 => number::float(kind.value(cell, Scale::One), out),
        }
    }
}
