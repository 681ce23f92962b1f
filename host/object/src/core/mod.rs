//! CO-RE: instructions that depend on the kernel's types, adapted to the types of the running kernel.
//!
//! A record names an access by the object's own types: *byte offset of the second member of struct request*. The type of the same name is searched among
//! the kernel's, then the modules', the access is repeated there by the members' names, and the number that comes of it is written into the instruction. An
//! access that the kernel's type does not have becomes a call of a helper that no kernel has, so the verifier refuses the program
//! only if it can get there; [`Missing`] says which access it was.
//!
//! The semantics are those of the kernel's own implementation, [`relo_core.c`]. Its documentation of each step is the reference.
//!
//! [`relo_core.c`]: https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/tools/lib/bpf/relo_core.c

mod candidates;
pub(crate) mod compat;
mod patch;
mod spec;
mod value;

use std::{collections::HashMap, sync::Arc};

use crate::{btf::Btf, btf_ext::CoreRecord, insn::POISON_CORE, object::Object};
pub use candidates::essential;
use candidates::{Candidate, Candidates};
use patch::Applied;
use spec::Spec;
use value::Outcome;

/// `enum bpf_core_relo_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    ByteOffset,
    ByteSize,
    FieldExists,
    FieldSigned,
    LeftShift,
    RightShift,
    LocalTypeId,
    TargetTypeId,
    TypeExists,
    TypeSize,
    EnumeratorExists,
    EnumeratorValue,
    TypeMatches,
}

impl RecordKind {
    fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::ByteOffset,
            1 => Self::ByteSize,
            2 => Self::FieldExists,
            3 => Self::FieldSigned,
            4 => Self::LeftShift,
            5 => Self::RightShift,
            6 => Self::LocalTypeId,
            7 => Self::TargetTypeId,
            8 => Self::TypeExists,
            9 => Self::TypeSize,
            10 => Self::EnumeratorExists,
            11 => Self::EnumeratorValue,
            12 => Self::TypeMatches,
            _ => return None,
        })
    }

    fn is_about_field(self) -> bool {
        matches!(
            self,
            Self::ByteOffset
                | Self::ByteSize
                | Self::FieldExists
                | Self::FieldSigned
                | Self::LeftShift
                | Self::RightShift
        )
    }

    fn is_about_enumerator(self) -> bool {
        matches!(self, Self::EnumeratorExists | Self::EnumeratorValue)
    }

    /// Whether an instruction of this kind is poisoned on a kernel without what it accesses. The others get 0: questions whether something
    /// exists, and sizes and ids of types.
    fn is_poisoned_when_absent(self) -> bool {
        (self.is_about_field() && self != Self::FieldExists) || self == Self::EnumeratorValue
    }
}

/// The types of the running kernel, and of its modules when they are needed.
pub trait KernelTypes {
    /// Those of the kernel itself.
    fn kernel(&self) -> &Arc<Btf>;

    /// Those of each loaded module, read when no type of the kernel fits.
    fn modules(&self) -> &[Arc<Btf>];
}

/// An access that the running kernel does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The number of the helper that the instruction calls instead, as a verifier log shows it: `invalid func unknown#NUMBER`.
    pub number: i32,
    pub function: String,
    /// The access, such as `struct request.rq_disk`.
    pub what: String,
}

/// The result of relocating an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relocated {
    pub missing: Vec<Missing>,
}

impl Object {
    /// Whether any instruction depends on the kernel's types.
    pub fn needs_kernel_types(&self) -> bool {
        let functions = self.programs.iter().map(|program| &program.function).chain(&self.subprograms);
        functions.flat_map(|function| &function.core).any(|(_, record)| record.kind != 6)
    }

    /// Adapts every function to the kernel's types. A record that cannot be done makes its function unusable, and says why.
    pub fn relocate(&mut self, types: &dyn KernelTypes) -> Relocated {
        let Some(local) = self.btf.take() else { return Relocated::default() };
        let mut relocator = Relocator::new(&local, types, self);
        let mut relocated = Relocated::default();
        for function in self.functions_mut() {
            for (insn, record) in std::mem::take(&mut function.core) {
                let (outcome, access) = match relocator.outcome(record) {
                    Ok(found) => found,
                    Err(why) => {
                        fault(&mut function.fault, &function.name, insn, &why);
                        continue;
                    }
                };
                let number = POISON_CORE + relocated.missing.len() as i32;
                let mut poisoned = |what| {
                    relocated.missing.push(Missing { number, function: function.name.clone(), what });
                };
                match patch::apply(&mut function.insns, insn, &outcome, number) {
                    Ok(Applied::Written) => {}
                    Ok(Applied::PoisonedAbsent) => poisoned(access),
                    Ok(Applied::PoisonedSize { object, kernel }) => poisoned(format!(
                        "{access} of {object} bytes (it has {kernel}, and is neither a pointer nor an unsigned number)"
                    )),
                    Err(why) => fault(&mut function.fault, &function.name, insn, &format!("{access}: {why}")),
                }
            }
        }
        self.btf = Some(local);
        relocated
    }
}

fn fault(place: &mut Option<String>, function: &str, insn: usize, why: &str) {
    place.get_or_insert_with(|| {
        format!("instruction {insn} of `{function}` cannot be adapted to this kernel's types: {why}")
    });
}

struct Relocator<'a> {
    local: &'a Btf,
    candidates: Candidates<'a>,
    /// Candidates that fit the records so far, by the record's own type.
    fitting: HashMap<u32, Vec<Candidate>>,
}

impl<'a> Relocator<'a> {
    fn new(local: &'a Btf, types: &'a dyn KernelTypes, object: &Object) -> Self {
        let functions = object.programs.iter().map(|program| &program.function).chain(&object.subprograms);
        let roots = functions.flat_map(|function| &function.core).map(|(_, record)| record.type_id);
        Self { local, candidates: Candidates::new(local, types, roots), fitting: HashMap::new() }
    }

    /// The number that a record stands for on this kernel, and the access in words.
    fn outcome(&mut self, record: CoreRecord) -> Result<(Outcome, String), String> {
        let local = self.local;
        let kind =
            RecordKind::of(record.kind).ok_or_else(|| format!("the record is of the unknown kind {}", record.kind))?;
        let spec = Spec::parse(local, record.type_id, local.text(record.access), kind)?;
        let what = spec.describe(local);
        if kind == RecordKind::LocalTypeId {
            return Ok((Outcome::equal(u64::from(record.type_id)), what));
        }
        if local.name(spec.root).is_empty() {
            return Err(format!("{what}: a type without a name has no counterpart in the kernel"));
        }
        let found = match self.fitting.remove(&record.type_id) {
            Some(found) => found,
            None => self.candidates.of(record.type_id),
        };
        let mut fitting = Vec::new();
        let mut outcome: Option<(Outcome, u32)> = None;
        for candidate in &found {
            let Some(target) = spec.matched(local, &candidate.btf, candidate.id)? else { continue };
            let one = value::outcome(kind, (local, &spec), Some((&candidate.btf, &target)))?;
            match &outcome {
                Some((first, bit_offset)) if *bit_offset != target.bit_offset || !first.agrees(&one) => {
                    return Err(format!("{what}: two types of the kernel have this name, and they differ in it"));
                }
                Some(_) => {}
                None => outcome = Some((one, target.bit_offset)),
            }
            fitting.push(candidate.clone());
        }
        self.fitting.insert(record.type_id, if fitting.is_empty() { found } else { fitting });
        match outcome {
            Some((outcome, _)) => Ok((outcome, what)),
            None => Ok((value::outcome(kind, (local, &spec), None)?, what)),
        }
    }
}
