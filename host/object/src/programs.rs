//! Functions of an object: programs, one or more a section, and the subprograms of `.text` that they call.

use std::ops::Range;

use crate::{
    btf_ext::{BtfExt, CoreRecord, FuncInfo, LineInfo},
    budget::Budget,
    elf::{Elf, STB_LOCAL, STT_FUNC},
    insn::{INSN_BYTES, Insn},
    relocations::InsnRelocation,
};

/// The section of functions that only other functions call.
pub(crate) const TEXT: &str = ".text";

/// A program: a function that the kernel calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub name: String,
    /// Its section's name without the leading `?`: what it attaches to.
    pub section: String,
    /// Whether it is loaded unless somebody says otherwise. A leading `?` of the section says that it is not.
    pub autoload: bool,
    pub(crate) function: Function,
}

/// Instructions with everything that is known about them. Indices are from the function's start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) section: usize,
    /// Index of its first instruction within the section.
    pub(crate) start: usize,
    pub(crate) insns: Vec<Insn>,
    /// In the order of instructions.
    pub(crate) relocations: Vec<InsnRelocation>,
    pub(crate) core: Vec<(usize, CoreRecord)>,
    pub(crate) funcs: Vec<(usize, FuncInfo)>,
    pub(crate) lines: Vec<(usize, LineInfo)>,
    /// Whether other objects could not call it.
    pub(crate) is_hidden: bool,
    /// Why it cannot be linked; it is an error only for programs that use it.
    pub(crate) fault: Option<String>,
}

impl Program {
    /// Why this program, by itself, cannot be linked.
    pub fn fault(&self) -> Option<&str> {
        self.function.fault.as_deref()
    }
}

impl Function {
    pub(crate) fn contains(&self, section: usize, insn: usize) -> bool {
        self.section == section && (self.start..self.start + self.insns.len()).contains(&insn)
    }
}

/// All programs, and all subprograms. Takes the records of `.BTF.ext`: of several sections of one name the first has them.
pub(crate) fn functions(
    elf: &Elf<'_>,
    ext: &mut BtfExt,
    budget: &mut Budget,
) -> Result<(Vec<Program>, Vec<Function>), String> {
    let (mut programs, mut subprograms) = (Vec::new(), Vec::new());
    for (index, section) in elf.sections.iter().enumerate().filter(|(_, section)| section.is_code()) {
        if section.data.len() % INSN_BYTES != 0 {
            return Err(format!("its section `{}` is not a whole number of instructions", section.name));
        }
        let records = Records::take(ext, section.name);
        for mut function in in_section(elf, index, budget)? {
            records.describe(&mut function);
            if section.name == TEXT {
                subprograms.push(function);
            } else {
                let name = section.name.strip_prefix('?');
                programs.push(Program {
                    name: function.name.clone(),
                    section: name.unwrap_or(section.name).to_owned(),
                    autoload: name.is_none(),
                    function,
                });
            }
        }
    }
    Ok((programs, subprograms))
}

/// The functions of a section, in order. They do not overlap, so all of them together are no larger than the section.
fn in_section(elf: &Elf<'_>, index: usize, budget: &mut Budget) -> Result<Vec<Function>, String> {
    let section = &elf.sections[index];
    let is_here = |symbol: &&crate::elf::Symbol<'_>| {
        symbol.section as usize == index && symbol.kind == STT_FUNC && symbol.size > 0
    };
    let mut symbols: Vec<_> = elf.symbols.iter().filter(is_here).collect();
    symbols.sort_by_key(|symbol| symbol.value);
    let mut functions = Vec::new();
    let mut end = 0u64;
    for symbol in symbols {
        budget.take::<Program>(&[symbol.name, symbol.name, section.name])?;
        let (size, place) = (symbol.size, symbol.value);
        if place < end {
            return Err(format!("function `{}` of section `{}` overlaps another", symbol.name, section.name));
        }
        let bytes = usize::try_from(place).ok().zip(usize::try_from(size).ok());
        let bytes = bytes.and_then(|(place, size)| section.data.get(place..place.checked_add(size)?));
        let bytes = bytes.filter(|bytes| bytes.len() % INSN_BYTES == 0 && place % INSN_BYTES as u64 == 0);
        let bytes = bytes
            .ok_or_else(|| format!("function `{}` does not lie within its section `{}`", symbol.name, section.name))?;
        end = place + size;
        let (chunks, _) = bytes.as_chunks();
        let fault = (symbol.bind == STB_LOCAL && section.name != TEXT).then(|| {
            format!("program `{}` is static, so it cannot be told from a subprogram; make it global", symbol.name)
        });
        functions.push(Function {
            name: symbol.name.to_owned(),
            section: index,
            start: place as usize / INSN_BYTES,
            insns: chunks.iter().map(|bytes| Insn::from_bytes(*bytes)).collect(),
            is_hidden: symbol.is_hidden(),
            fault,
            ..Function::default()
        });
    }
    Ok(functions)
}

/// The records of one section, in the order of instructions.
struct Records {
    core: Vec<CoreRecord>,
    functions: Vec<FuncInfo>,
    lines: Vec<LineInfo>,
}

impl Records {
    fn take(ext: &mut BtfExt, section: &str) -> Self {
        let mut records = Self {
            core: ext.core.remove(section).unwrap_or_default(),
            functions: ext.functions.remove(section).unwrap_or_default(),
            lines: ext.lines.remove(section).unwrap_or_default(),
        };
        records.core.sort_by_key(|record| record.offset);
        records.functions.sort_by_key(|record| record.offset);
        records.lines.sort_by_key(|record| record.offset);
        records
    }

    /// Gives a function the records that are about it.
    fn describe(&self, function: &mut Function) {
        let places = function.start..function.start + function.insns.len();
        function.core = within(&self.core, &places, |record| record.offset);
        function.funcs = within(&self.functions, &places, |record| record.offset);
        function.lines = within(&self.lines, &places, |record| record.offset);
    }
}

/// The records at these instructions of a section, each with its instruction's index among them.
fn within<T: Copy>(sorted: &[T], places: &Range<usize>, offset: impl Fn(&T) -> u32) -> Vec<(usize, T)> {
    let insn = |record: &T| offset(record) as usize / INSN_BYTES;
    let first = sorted.partition_point(|record| insn(record) < places.start);
    let end = sorted.partition_point(|record| insn(record) < places.end);
    sorted[first..end].iter().map(|record| (insn(record) - places.start, *record)).collect()
}
