//! ELF relocations of instructions: what each instruction refers to.

use std::collections::HashMap;

use crate::{
    elf::{Elf, Relocation, STT_FUNC, STT_SECTION, Symbol},
    externs::{Extern, ExternKind},
    insn::{CALL, INSN_BYTES, PSEUDO_CALL},
    maps::{Map, MapOrigin},
    programs::{Function, Program, TEXT},
};

/// An instruction of a function, and what it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InsnRelocation {
    /// Index within the function.
    pub(crate) insn: usize,
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The map of this index.
    Map(usize),
    /// A place in the section of data that the map of this index holds; the instruction may add to it.
    Data { map: usize, offset: u32 },
    /// The extern of this index.
    Extern(usize),
    /// An instruction of `.text`, by its index there: the subprogram that is called, or whose address is taken.
    Subprogram(usize),
}

/// Gives every function what its instructions refer to. What cannot be resolved makes that function unusable, and says why.
pub(crate) fn resolve(
    elf: &Elf<'_>,
    programs: &mut [Program],
    subprograms: &mut [Function],
    maps: &[Map],
    externs: &[Extern],
) {
    let resolver = Resolver::new(elf, maps, externs);
    let mut functions: Vec<_> = programs.iter_mut().map(|program| &mut program.function).chain(subprograms).collect();
    functions.sort_by_key(|function| (function.section, function.start));
    for (section, _) in elf.sections.iter().enumerate().filter(|(_, section)| section.is_code()) {
        for relocation in elf.relocations(section) {
            let insn = usize::try_from(relocation.offset).unwrap_or(usize::MAX) / INSN_BYTES;
            let after = functions.partition_point(|function| (function.section, function.start) <= (section, insn));
            let Some(function) = after.checked_sub(1).and_then(|at| functions.get_mut(at)) else { continue };
            if !function.contains(section, insn) {
                continue;
            }
            let at = insn - function.start;
            match resolver.target(function, at, relocation) {
                Ok(target) => function.relocations.push(InsnRelocation { insn: at, target }),
                Err(why) => {
                    function.fault.get_or_insert(format!("instruction {at} of `{}` {why}", function.name));
                }
            }
        }
    }
    for function in functions {
        function.relocations.sort_by_key(|relocation| relocation.insn);
    }
}

struct Resolver<'a> {
    elf: &'a Elf<'a>,
    text: Option<usize>,
    /// Maps by section and offset of their declarations.
    declared: HashMap<(usize, u64), usize>,
    /// Maps by the section of data that they hold.
    data: HashMap<usize, usize>,
    externs: HashMap<&'a str, usize>,
    all_externs: &'a [Extern],
}

impl<'a> Resolver<'a> {
    fn new(elf: &'a Elf<'a>, maps: &[Map], externs: &'a [Extern]) -> Self {
        let all = || maps.iter().enumerate().rev();
        let declared = all().filter_map(|(index, map)| match map.origin {
            MapOrigin::Declared { section, offset } => Some(((section, offset), index)),
            MapOrigin::Data(_) => None,
        });
        Self {
            elf,
            text: elf.section(TEXT).map(|(index, _)| index),
            declared: declared.collect(),
            data: all().filter_map(|(index, map)| Some((map.data()?.section?, index))).collect(),
            externs: externs.iter().enumerate().rev().map(|(index, one)| (one.name.as_str(), index)).collect(),
            all_externs: externs,
        }
    }

    fn is_config(&self, index: usize) -> bool {
        self.all_externs.get(index).is_some_and(|one| matches!(one.kind, ExternKind::Config { .. }))
    }

    fn target(&self, function: &Function, at: usize, relocation: Relocation) -> Result<Target, String> {
        let symbol = self.elf.symbols.get(relocation.symbol as usize).ok_or("names a symbol that is not there")?;
        let insn = function.insns[at];
        let is_load = insn.is_ld_imm64() && at + 1 < function.insns.len();
        if symbol.is_undefined() {
            let index = self.externs.get(symbol.name).copied().ok_or_else(|| {
                format!("refers to `{}`, which neither the object nor `.ksyms` or `.kconfig` defines", symbol.name)
            })?;
            let is_called = insn.code == CALL && !self.is_config(index);
            return if is_load || is_called { Ok(Target::Extern(index)) } else { Err(no_reference(symbol)) };
        }
        let section = symbol.section as usize;
        if insn.code == CALL {
            if insn.src() != PSEUDO_CALL || Some(section) != self.text {
                return Err(format!("calls `{}`, which is not in `.text`", symbol.name));
            }
            return subprogram(symbol, i64::from(insn.imm) + 1);
        }
        if !is_load {
            return Err(no_reference(symbol));
        }
        if Some(section) == self.text && matches!(symbol.kind, STT_FUNC | STT_SECTION) {
            return subprogram(symbol, i64::from(insn.imm) / INSN_BYTES as i64);
        }
        if let Some(map) = self.declared.get(&(section, symbol.value)) {
            return Ok(Target::Map(*map));
        }
        if let Some(&map) = self.data.get(&section) {
            let offset = u32::try_from(symbol.value).map_err(|_| "refers to a place beyond 4 GiB")?;
            return Ok(Target::Data { map, offset });
        }
        let name = self.elf.sections.get(section).map_or("?", |section| section.name);
        Err(format!("refers to `{}` in section `{name}`, which holds neither maps, data nor functions", symbol.name))
    }
}

fn no_reference(symbol: &Symbol<'_>) -> String {
    format!("refers to `{}`, but is neither a call nor a 64-bit load", symbol.name)
}

fn subprogram(symbol: &Symbol<'_>, beyond: i64) -> Result<Target, String> {
    let place = i64::try_from(symbol.value).ok().filter(|place| place % INSN_BYTES as i64 == 0);
    let place = place.and_then(|place| (place / INSN_BYTES as i64).checked_add(beyond));
    let place = place.and_then(|place| usize::try_from(place).ok());
    place.map(Target::Subprogram).ok_or_else(|| format!("calls a place in `{}` that is no instruction", symbol.name))
}
