//! Section names and what a program of that section is attached to.
//!
//! aya loads programs by section but attaches by explicit calls; this is the one table between the two.

use aya::{
    Btf,
    programs::{BtfTracePoint, PerfEvent, Program, ProgramError, RawTracePoint, TracePoint},
};

use crate::package::perf::{Event, Rate, number};

/// The section names that are known, as messages list them.
pub(super) const SECTIONS: [&str; 5] =
    ["tp_btf/NAME", "raw_tp/NAME", "tracepoint/CATEGORY/NAME", "perf_event", "perf_event/type=T,config=C,frequency=F"];

/// Where a program is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attach {
    /// A tracepoint whose arguments the verifier knows by BTF.
    TpBtf(String),
    RawTp(String),
    Tracepoint {
        category: String,
        name: String,
    },
    /// Samples of a perf event: the section's own, or that of the perf source in plugin.yaml that names the program.
    PerfEvent(Option<(Event, Rate)>),
}

impl Attach {
    /// Reads a section name; none: not a known one.
    pub(super) fn of_section(section: &str) -> Option<Self> {
        if section == "perf_event" {
            return Some(Self::PerfEvent(None));
        }
        let (kind, target) = section.split_once('/')?;
        if target.is_empty() {
            return None;
        }
        match kind {
            "tp_btf" => Some(Self::TpBtf(target.to_owned())),
            "perf_event" => Some(Self::PerfEvent(Some(sampled(target)?))),
            "raw_tp" | "raw_tracepoint" => Some(Self::RawTp(target.to_owned())),
            "tp" | "tracepoint" => {
                let (category, name) = target.split_once('/')?;
                Some(Self::Tracepoint { category: category.to_owned(), name: name.to_owned() })
            }
            _ => None,
        }
    }

    /// Loads one program into the kernel and attaches it; one for perf events is attached by the reader of its event.
    pub(super) fn attach(&self, program: &mut Program, kernel_btf: &Btf) -> Result<(), ProgramError> {
        match self {
            Self::TpBtf(name) => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.load(name, kernel_btf)?;
                program.attach()?;
            }
            Self::RawTp(name) => {
                let program: &mut RawTracePoint = program.try_into()?;
                program.load()?;
                program.attach(name)?;
            }
            Self::Tracepoint { category, name } => {
                let program: &mut TracePoint = program.try_into()?;
                program.load()?;
                program.attach(category, name)?;
            }
            Self::PerfEvent(_) => {
                let program: &mut PerfEvent = program.try_into()?;
                program.load()?;
            }
        }
        Ok(())
    }
}

/// The event and the rate in `type=T,config=C,frequency=F`, or with `sample_period=P` in the last place; all are numbers.
fn sampled(terms: &str) -> Option<(Event, Rate)> {
    let (mut kind, mut config, mut rate) = (None, None, None);
    for term in terms.split(',') {
        let (name, value) = term.split_once('=')?;
        let value = number(value.trim())?;
        match name.trim() {
            "type" => kind = Some(u32::try_from(value).ok()?),
            "config" => config = Some(value),
            "frequency" if rate.is_none() && value > 0 => rate = Some(Rate::Frequency(value)),
            "sample_period" if rate.is_none() && value > 0 => rate = Some(Rate::Period(value)),
            _ => return None,
        }
    }
    Some((Event::fixed(kind?, config?), rate?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_as_libbpf_reads_them() {
        assert_eq!(Attach::of_section("tp_btf/block_rq_issue"), Some(Attach::TpBtf("block_rq_issue".into())));
        assert_eq!(Attach::of_section("raw_tracepoint/x"), Some(Attach::RawTp("x".into())));
        assert_eq!(
            Attach::of_section("tp/block/block_rq_issue"),
            Some(Attach::Tracepoint { category: "block".into(), name: "block_rq_issue".into() })
        );
        let sampled = Attach::of_section("perf_event/type=0,config=3,frequency=99");
        assert_eq!(sampled, Some(Attach::PerfEvent(Some((Event::fixed(0, 3), Rate::Frequency(99))))));
        let sampled = Attach::of_section("perf_event/type=1,config=0x2,sample_period=100");
        assert_eq!(sampled, Some(Attach::PerfEvent(Some((Event::fixed(1, 2), Rate::Period(100))))));
        assert_eq!(Attach::of_section("perf_event"), Some(Attach::PerfEvent(None)));
        for unknown in [
            "perf_event/type=0,config=3",
            "perf_event/type=0,config=3,frequency=0",
            "perf_event/x",
            "perf_event/type=0,config=3,frequency=1,x=1",
        ] {
            assert_eq!(Attach::of_section(unknown), None, "{unknown}");
        }
        for unknown in ["tp_btf", "tp_btf/", "tracepoint/block", "kprobbe/x", "usdt/x", ""] {
            assert_eq!(Attach::of_section(unknown), None, "{unknown}");
        }
    }
}
