//! The object's own types, brought into the form that a kernel takes.
//!
//! A compiler leaves to the loader what only it can know: where variables lie in their sections, which functions nobody else calls, what externs
//! become. Older kernels refuse kinds of types that they do not know; these become others of the same length that say less.

use crate::{
    btf::{Btf, Kind, LINKAGE_EXTERN, LINKAGE_GLOBAL, LINKAGE_STATIC, Type},
    elf::Elf,
    externs::{Extern, ExternKind},
    programs::{Function, Program},
};

/// Kinds of types that the running kernel knows, beyond those of Linux 5.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BtfFeatures {
    /// Linux 5.13.
    pub float: bool,
    /// Linux 5.16.
    pub decl_tag: bool,
    /// Linux 5.17.
    pub type_tag: bool,
    /// Linux 6.0; and signed enums.
    pub enum64: bool,
}

impl BtfFeatures {
    pub const ALL: Self = Self { float: true, decl_tag: true, type_tag: true, enum64: true };
    pub const NONE: Self = Self { float: false, decl_tag: false, type_tag: false, enum64: false };
}

/// Gives sections of data their sizes and variables their places, from the file.
pub(crate) fn place_variables(elf: &Elf<'_>, btf: &mut Btf) -> Option<()> {
    for id in btf.own_ids() {
        let Some(section) = btf.get(id).filter(|ty| ty.kind == Kind::DataSec) else { continue };
        let name = btf.name(id);
        let Some((index, in_file)) = elf.section(name) else { continue };
        let size = u32::try_from(in_file.size).ok()?;
        let places: Vec<_> = section.variables().iter().map(|variable| place(elf, btf, index, variable.ty)).collect();
        if section.size_or_type == 0 {
            btf.set(id, 8, size)?;
        }
        for (at, place) in places.into_iter().enumerate() {
            if let Some(place) = place {
                btf.set(id, 12 + at * 12 + 4, place)?;
            }
        }
    }
    Some(())
}

fn place(elf: &Elf<'_>, btf: &Btf, section: usize, variable: u32) -> Option<u32> {
    let name = btf.name(variable);
    let symbol = elf.symbol(u16::try_from(section).ok()?, name)?;
    u32::try_from(symbol.value).ok()
}

/// Makes hidden functions static: the verifier then checks them where they are called, with what is passed there.
pub(crate) fn hide_functions(btf: &mut Btf, programs: &[Program], subprograms: &[Function]) -> Option<()> {
    let functions = programs.iter().map(|program| &program.function).chain(subprograms);
    for function in functions.filter(|function| function.is_hidden) {
        for (_, info) in &function.funcs {
            let is_global =
                btf.get(info.type_id).is_some_and(|ty| ty.kind == Kind::Func && ty.linkage() == LINKAGE_GLOBAL);
            if is_global {
                btf.set_linkage(info.type_id, LINKAGE_STATIC)?;
            }
        }
    }
    Some(())
}

/// The types as the kernel takes them: externs defined, unknown kinds replaced.
pub(crate) fn for_kernel(btf: &Btf, externs: &[Extern], features: BtfFeatures) -> Option<Vec<u8>> {
    let mut btf = Btf::parse(btf.as_bytes()).ok()?;
    define_config(&mut btf, externs)?;
    replace_symbols(&mut btf)?;
    define_functions(&mut btf)?;
    for id in btf.own_ids() {
        let ty = btf.get(id)?;
        let (kind, count) = (ty.kind, ty.count());
        match kind {
            Kind::Float if !features.float => {
                // A struct without members, of the same size.
                btf.set(id, 0, 0)?;
                btf.set_kind(id, Kind::Struct, 0)?;
            }
            Kind::DeclTag if !features.decl_tag => {
                btf.set_kind(id, Kind::Int, 0)?;
                btf.set(id, 8, 1)?;
                btf.set(id, 12, 8)?;
            }
            Kind::TypeTag if !features.type_tag => {
                btf.set(id, 0, 0)?;
                btf.set_kind(id, Kind::Const, 0)?;
            }
            Kind::Enum if !features.enum64 && ty.kind_flag() => btf.set_kind(id, Kind::Enum, count as u32)?,
            Kind::Enum64 if !features.enum64 => enum_as_union(&mut btf, id, count)?,
            _ => {}
        }
    }
    btf.compact()
}

/// An enum of 64 bits as a union of numbers: records of 12 bytes both.
fn enum_as_union(btf: &mut Btf, id: u32, count: usize) -> Option<()> {
    let size = btf.get(id)?.size_or_type;
    let number = integer(btf, size)?;
    btf.set_kind(id, Kind::Union, count as u32)?;
    for member in 0..count {
        btf.set(id, 12 + member * 12 + 4, number)?;
        btf.set(id, 12 + member * 12 + 8, 0)?;
    }
    Some(())
}

/// An integer of the object that is no larger.
fn integer(btf: &Btf, most: u32) -> Option<u32> {
    btf.own_ids().find(|id| btf.get(*id).is_some_and(|ty| ty.kind == Kind::Int && ty.size_or_type <= most))
}

/// Configuration values are variables of a section that the object defines.
fn define_config(btf: &mut Btf, externs: &[Extern]) -> Option<()> {
    let Some(section) = btf.section(".kconfig") else { return Some(()) };
    let (id, variables) = (section.id, section.variables());
    let mut end = 0;
    for (at, variable) in variables.iter().enumerate() {
        let found = externs.iter().find(|one| one.type_id == variable.ty);
        // One that no program uses lies at the beginning, where nobody looks for it.
        let (offset, size) = match found.map(|one| one.kind) {
            Some(ExternKind::Config { value, offset }) => (offset, value.size()),
            _ => (0, btf.size(variable.ty).and_then(|size| u32::try_from(size).ok())?),
        };
        end = end.max(offset.checked_add(size)?);
        btf.set(id, 12 + at * 12 + 4, offset)?;
        btf.set(id, 12 + at * 12 + 8, size)?;
        btf.set_linkage(variable.ty, LINKAGE_GLOBAL)?;
    }
    btf.set(id, 8, end)
}

/// A section of kernel symbols becomes a struct of numbers: instructions no longer name them.
fn replace_symbols(btf: &mut Btf) -> Option<()> {
    let Some(section) = btf.section(".ksyms") else { return Some(()) };
    let (id, variables) = (section.id, section.variables());
    let number = integer(btf, 8)?;
    btf.set(id, 0, 0)?;
    btf.set_kind(id, Kind::Struct, variables.len() as u32)?;
    btf.set(id, 8, 8)?;
    for (at, variable) in variables.iter().enumerate() {
        btf.set(id, 12 + at * 12, 0)?;
        btf.set(id, 12 + at * 12 + 4, number)?;
        btf.set(id, 12 + at * 12 + 8, 0)?;
        if btf.kind(variable.ty) == Kind::Var {
            btf.set_kind(variable.ty, Kind::Int, 0)?;
            btf.set(variable.ty, 8, 4)?;
            btf.set(variable.ty, 12, 32)?;
        }
    }
    Some(())
}

/// Functions of the kernel look like functions of the object, whose parameters all have names.
fn define_functions(btf: &mut Btf) -> Option<()> {
    for id in btf.own_ids() {
        let Some(function) = btf.get(id).filter(|ty| ty.kind == Kind::Func && ty.linkage() == LINKAGE_EXTERN) else {
            continue;
        };
        let (name, prototype) = (function.name_offset(), function.size_or_type);
        btf.set_linkage(id, LINKAGE_GLOBAL)?;
        let Some(prototype) = btf.get(prototype).filter(|ty| ty.kind == Kind::FuncProto) else { continue };
        let (prototype, unnamed) = (prototype.id, unnamed_params(btf, prototype));
        for at in unnamed {
            btf.set(prototype, 12 + at * 8, name)?;
        }
    }
    Some(())
}

fn unnamed_params(btf: &Btf, prototype: Type<'_>) -> Vec<usize> {
    let params = btf.params(prototype);
    (0..params.len()).filter(|at| params[*at] != 0 && btf.param_name(prototype, *at) == 0).collect()
}
