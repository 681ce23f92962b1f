//! Linking: a program with the subprograms that it calls behind it, and every reference written into its instructions.

use std::collections::HashMap;

use crate::{
    externs::{Extern, ExternKind, ExternState},
    insn::{CALL, Insn, POISON_KFUNC, PSEUDO_BTF_ID, PSEUDO_FUNC, PSEUDO_KFUNC_CALL, PSEUDO_MAP_FD, PSEUDO_MAP_VALUE},
    object::Object,
    programs::Function,
    relocations::{InsnRelocation, Target},
};

/// Descriptors of the object's maps, in the order of [`Object::maps`].
#[derive(Debug, Clone, Copy)]
pub struct MapFds<'a>(pub &'a [i32]);

/// A program as bpf(2) takes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Linked {
    pub insns: Vec<Insn>,
    /// `struct bpf_func_info`: where each function begins, and its type.
    pub functions: Vec<[u32; 2]>,
    /// `struct bpf_line_info`.
    pub lines: Vec<[u32; 4]>,
}

/// Why a program cannot be linked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("{0}")]
    Function(String),
    #[error("it refers to the kernel symbol `{0}`, which this kernel does not have")]
    NoSymbol(String),
    #[error("instruction {insn} of `{function}` calls a place in `.text` where no function is")]
    NoSubprogram { function: String, insn: usize },
    #[error("with its subprograms it has more than {} instructions, the kernel's own limit", MOST_INSTRUCTIONS)]
    TooLong,
    #[error("the map `{0}` was not created")]
    NoMap(String),
}

/// `BPF_COMPLEXITY_LIMIT_INSNS`.
const MOST_INSTRUCTIONS: usize = 1_000_000;

impl Object {
    /// Links a program.
    pub fn link(&self, name: &str, maps: MapFds<'_>) -> Result<Linked, LinkError> {
        let program = self.program(name).ok_or_else(|| LinkError::Function(format!("found no program `{name}`")))?;
        let mut linker =
            Linker { object: self, maps, linked: Linked::default(), placed: HashMap::new(), unfinished: Vec::new() };
        linker.place(&program.function)?;
        while let Some(placed) = linker.unfinished.pop() {
            linker.write_calls(placed)?;
        }
        linker.linked.functions.sort_unstable();
        linker.linked.lines.sort_unstable();
        Ok(linker.linked)
    }
}

struct Linker<'a> {
    object: &'a Object,
    maps: MapFds<'a>,
    linked: Linked,
    /// Where a function was placed, by section and first instruction.
    placed: HashMap<(usize, usize), usize>,
    /// Functions that are placed, and whose calls are not all written yet. What the last one calls comes first, so that functions lie in the
    /// order in which libbpf puts them; a list instead of recursion, because how deep functions call is up to the file.
    unfinished: Vec<Placed<'a>>,
}

/// A function at its place, and the first of its instructions that was not looked at for calls.
#[derive(Clone, Copy)]
struct Placed<'a> {
    start: usize,
    function: &'a Function,
    next: usize,
}

impl<'a> Linker<'a> {
    /// Appends a function, once, and gives where it begins.
    fn place(&mut self, function: &'a Function) -> Result<usize, LinkError> {
        if let Some(at) = self.placed.get(&(function.section, function.start)) {
            return Ok(*at);
        }
        if let Some(why) = &function.fault {
            return Err(LinkError::Function(why.clone()));
        }
        let at = self.linked.insns.len();
        if at + function.insns.len() > MOST_INSTRUCTIONS {
            return Err(LinkError::TooLong);
        }
        self.placed.insert((function.section, function.start), at);
        self.linked.insns.extend_from_slice(&function.insns);
        let funcs = function.funcs.iter().map(|(insn, info)| [(at + insn) as u32, info.type_id]);
        self.linked.functions.extend(funcs);
        let lines = function.lines.iter().map(|(insn, info)| [(at + insn) as u32, info.file, info.line, info.column]);
        self.linked.lines.extend(lines);
        self.write_references(at, function)?;
        self.unfinished.push(Placed { start: at, function, next: 0 });
        Ok(at)
    }

    /// Writes the maps, data and externs that a placed function refers to.
    fn write_references(&mut self, start: usize, function: &Function) -> Result<(), LinkError> {
        for InsnRelocation { insn, target } in &function.relocations {
            match *target {
                Target::Map(map) => {
                    let fd = self.fd(map)?;
                    let at = &mut self.linked.insns[start + insn];
                    at.set_src(PSEUDO_MAP_FD);
                    at.imm = fd;
                }
                Target::Data { map, offset } => {
                    let fd = self.fd(map)?;
                    let beyond = function.insns[*insn].imm.wrapping_add(offset as i32);
                    self.write_data(start + insn, fd, beyond);
                }
                Target::Extern(index) => self.write_extern(start + insn, &self.object.externs[index])?,
                Target::Subprogram(_) => {}
            }
        }
        Ok(())
    }

    /// Writes calls and addresses of functions, up to the first of a function that was not placed before: its own come next.
    fn write_calls(&mut self, placed: Placed<'a>) -> Result<(), LinkError> {
        let Placed { start, function, next } = placed;
        // Calls within `.text` need no relocation in the file, so each instruction is looked at.
        for (at, insn) in function.insns.iter().enumerate().skip(next) {
            let names_subprogram = match self.relocation(function, at) {
                Some(target) => matches!(target, Target::Subprogram(_)),
                // A call of a kernel function looks the same, and was written above.
                None => insn.is_subprogram_call() || insn.is_function_address(),
            };
            if !names_subprogram {
                continue;
            }
            let callee = self.callee(function, at, *insn)?;
            let known = self.placed.get(&(callee.section, callee.start)).copied();
            let place = match known {
                Some(place) => place,
                None => {
                    self.unfinished.push(Placed { start, function, next: at + 1 });
                    self.place(callee)?
                }
            };
            let from = start + at;
            let written = &mut self.linked.insns[from];
            if !insn.is_subprogram_call() {
                written.set_src(PSEUDO_FUNC);
            }
            written.imm = (place as i64 - from as i64 - 1) as i32;
            if known.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn relocation(&self, function: &Function, at: usize) -> Option<Target> {
        let found = function.relocations.binary_search_by_key(&at, |relocation| relocation.insn).ok()?;
        Some(function.relocations[found].target)
    }

    /// The function that an instruction calls or takes the address of.
    fn callee(&self, function: &Function, at: usize, insn: Insn) -> Result<&'a Function, LinkError> {
        let none = || LinkError::NoSubprogram { function: function.name.clone(), insn: at };
        let (section, place) = match self.relocation(function, at) {
            Some(Target::Subprogram(place)) => (None, place),
            _ => {
                let place = (function.start + at) as i64 + i64::from(insn.imm) + 1;
                (Some(function.section), usize::try_from(place).map_err(|_| none())?)
            }
        };
        let is_it = |one: &&Function| one.start == place && section.is_none_or(|section| one.section == section);
        let own = section
            .is_some()
            .then(|| self.object.programs.iter().map(|program| &program.function).find(|one| is_it(one)));
        self.object.subprograms.iter().find(is_it).or(own.flatten()).ok_or_else(none)
    }

    fn fd(&self, map: usize) -> Result<i32, LinkError> {
        let fd = self.maps.0.get(map).copied().filter(|fd| *fd >= 0);
        fd.ok_or_else(|| LinkError::NoMap(self.object.maps.get(map).map_or_else(String::new, |map| map.name.clone())))
    }

    fn write_data(&mut self, at: usize, fd: i32, offset: i32) {
        self.linked.insns[at].set_src(PSEUDO_MAP_VALUE);
        self.linked.insns[at].imm = fd;
        self.linked.insns[at + 1].imm = offset;
    }

    fn write_extern(&mut self, at: usize, found: &Extern) -> Result<(), LinkError> {
        if let ExternKind::Config { offset, .. } = found.kind {
            let map = self.object.maps.iter().position(|map| map.name == ".kconfig");
            let fd = self.fd(map.unwrap_or(usize::MAX))?;
            self.write_data(at, fd, offset as i32);
            return Ok(());
        }
        let is_call = self.linked.insns[at].code == CALL;
        match (found.state, is_call) {
            (ExternState::TypeId { id, module }, true) => {
                let insn = &mut self.linked.insns[at];
                insn.set_src(PSEUDO_KFUNC_CALL);
                insn.imm = id as i32;
                insn.off = module.map_or(0, |module| module.slot);
            }
            (ExternState::TypeId { id, module }, false) => {
                self.linked.insns[at].set_src(PSEUDO_BTF_ID);
                self.linked.insns[at].imm = id as i32;
                self.linked.insns[at + 1].imm = module.map_or(0, |module| module.fd);
            }
            (ExternState::Address(address), false) => self.write_address(at, address),
            (ExternState::Unresolved, false) if found.is_weak => self.write_address(at, 0),
            (ExternState::Unresolved, true) if found.is_weak => self.linked.insns[at] = Insn::poison(POISON_KFUNC),
            (ExternState::Unresolved | ExternState::Address(_), _) => {
                return Err(LinkError::NoSymbol(found.name.clone()));
            }
        }
        Ok(())
    }

    fn write_address(&mut self, at: usize, address: u64) {
        self.linked.insns[at].set_src(0);
        self.linked.insns[at].imm = address as u32 as i32;
        self.linked.insns[at + 1].imm = (address >> 32) as u32 as i32;
    }
}
