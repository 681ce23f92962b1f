//! Section names and what a program of that section is attached to.
//!
//! aya loads programs by section but attaches by explicit calls; this is the one table between the two.

use aya::{
    Btf,
    programs::{BtfTracePoint, Program, ProgramError, RawTracePoint, TracePoint},
};

/// The section names that are known, as messages list them.
pub(super) const SECTIONS: [&str; 3] = ["tp_btf/NAME", "raw_tp/NAME", "tracepoint/CATEGORY/NAME"];

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
}

impl Attach {
    /// Reads a section name; none: not a known one.
    pub(super) fn of_section(section: &str) -> Option<Self> {
        let (kind, target) = section.split_once('/')?;
        if target.is_empty() {
            return None;
        }
        match kind {
            "tp_btf" => Some(Self::TpBtf(target.to_owned())),
            "raw_tp" | "raw_tracepoint" => Some(Self::RawTp(target.to_owned())),
            "tp" | "tracepoint" => {
                let (category, name) = target.split_once('/')?;
                Some(Self::Tracepoint { category: category.to_owned(), name: name.to_owned() })
            }
            _ => None,
        }
    }

    /// Loads one program into the kernel and attaches it.
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
        }
        Ok(())
    }
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
        for unknown in ["tp_btf", "tp_btf/", "tracepoint/block", "kprobbe/x", "usdt/x", ""] {
            assert_eq!(Attach::of_section(unknown), None, "{unknown}");
        }
    }
}
