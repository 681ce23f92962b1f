//! When a type of the kernel stands for one of the object's: three notions of increasing strictness.

use super::candidates::essential;
use crate::btf::{Btf, INT_SIGNED, Kind, Type};

/// Longer chains of pointers and arrays than any type has; hostile types that loop end here, as unequal.
const DEEPEST: usize = 32;

/// Kinds of the same sort: enums of both widths are one.
pub(super) fn kinds_are_compatible(local: Kind, target: Kind) -> bool {
    local == target || (local.is_any_enum() && target.is_any_enum())
}

/// Whether a member may be read as the object declares it. Structs are compared by their members when those are accessed, not here.
pub(super) fn fields_are_compatible(local: &Btf, local_id: u32, target: &Btf, target_id: u32) -> bool {
    let (mut local_id, mut target_id) = (local_id, target_id);
    for _ in 0..DEEPEST {
        let (Some(ours), Some(theirs)) = (local.resolved(local_id), target.resolved(target_id)) else {
            return local.resolve(local_id) == 0 && target.resolve(target_id) == 0;
        };
        if ours.kind.is_composite() && theirs.kind.is_composite() {
            return true;
        }
        if !kinds_are_compatible(ours.kind, theirs.kind) {
            return false;
        }
        match ours.kind {
            Kind::Ptr | Kind::Float => return true,
            Kind::Fwd | Kind::Enum | Kind::Enum64 => {
                let (ours, theirs) = (essential(local.name(ours.id)), essential(target.name(theirs.id)));
                return ours.is_empty() || theirs.is_empty() || ours == theirs;
            }
            Kind::Int => return !is_bit_field_int(ours) && !is_bit_field_int(theirs),
            Kind::Array => match (ours.array(), theirs.array()) {
                (Some(ours), Some(theirs)) => (local_id, target_id) = (ours.element, theirs.element),
                _ => return false,
            },
            _ => return false,
        }
    }
    false
}

/// An integer that does not begin at its first bit: an old way to write bit fields.
fn is_bit_field_int(ty: Type<'_>) -> bool {
    ty.int().is_some_and(|(_, offset, _)| offset != 0)
}

/// Whether a type is the same sort of type: what `bpf_core_type_exists` asks.
pub(crate) fn types_are_compatible(local: &Btf, local_id: u32, target: &Btf, target_id: u32) -> bool {
    compatible(local, local_id, target, target_id, DEEPEST)
}

fn compatible(local: &Btf, local_id: u32, target: &Btf, target_id: u32, depth: usize) -> bool {
    if depth == 0 {
        return false;
    }
    let (Some(ours), Some(theirs)) = (local.resolved(local_id), target.resolved(target_id)) else {
        return local.resolve(local_id) == 0 && target.resolve(target_id) == 0;
    };
    if !kinds_are_compatible(ours.kind, theirs.kind) {
        return false;
    }
    match ours.kind {
        Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Fwd => true,
        Kind::Int => !is_bit_field_int(ours) && !is_bit_field_int(theirs),
        Kind::Ptr => compatible(local, ours.size_or_type, target, theirs.size_or_type, depth - 1),
        Kind::Array => match (ours.array(), theirs.array()) {
            (Some(ours), Some(theirs)) => compatible(local, ours.element, target, theirs.element, depth - 1),
            _ => false,
        },
        Kind::FuncProto => {
            let (our_params, their_params) = (local.params(ours), target.params(theirs));
            our_params.len() == their_params.len()
                && our_params.iter().zip(&their_params).all(|(a, b)| compatible(local, *a, target, *b, depth - 1))
                && compatible(local, ours.size_or_type, target, theirs.size_or_type, depth - 1)
        }
        _ => false,
    }
}

/// Whether a type looks the same as far as the object declares it: what `bpf_core_type_matches` asks. Members that the object leaves out do not count.
pub(super) fn match_types(local: &Btf, local_id: u32, target: &Btf, target_id: u32) -> bool {
    Matching { local, target }.types(local_id, target_id, Behind::Nothing, DEEPEST)
}

/// The kind of type that leads to this one: behind a pointer a struct need only be of the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    Nothing,
    Pointer,
}

struct Matching<'a> {
    local: &'a Btf,
    target: &'a Btf,
}

impl Matching<'_> {
    fn types(&self, local_id: u32, target_id: u32, behind: Behind, depth: usize) -> bool {
        if depth == 0 {
            return false;
        }
        let (Some(ours), Some(theirs)) = (self.local.resolved(local_id), self.target.resolved(target_id)) else {
            return self.local.resolve(local_id) == 0 && self.target.resolve(target_id) == 0;
        };
        if essential(self.local.name(ours.id)) != essential(self.target.name(theirs.id)) {
            return false;
        }
        match ours.kind {
            Kind::Fwd => match (theirs.kind, behind) {
                (Kind::Fwd, _) => ours.kind_flag() == theirs.kind_flag(),
                (Kind::Struct, Behind::Pointer) => !ours.kind_flag(),
                (Kind::Union, Behind::Pointer) => ours.kind_flag(),
                _ => false,
            },
            Kind::Enum | Kind::Enum64 => theirs.kind.is_any_enum() && self.enums(ours, theirs),
            Kind::Struct | Kind::Union => match (theirs.kind, behind) {
                (kind, Behind::Pointer) if kind == ours.kind => true,
                (Kind::Fwd, Behind::Pointer) => theirs.kind_flag() == (ours.kind == Kind::Union),
                (kind, Behind::Nothing) => kind == ours.kind && self.members(ours, theirs, depth - 1),
                _ => false,
            },
            _ if ours.kind != theirs.kind => false,
            Kind::Int => self.integers(ours, theirs),
            Kind::Ptr => self.types(ours.size_or_type, theirs.size_or_type, Behind::Pointer, depth - 1),
            Kind::Array => match (ours.array(), theirs.array()) {
                (Some(ours), Some(theirs)) => {
                    ours.len == theirs.len && self.types(ours.element, theirs.element, behind, depth - 1)
                }
                _ => false,
            },
            Kind::FuncProto => {
                let (our_params, their_params) = (self.local.params(ours), self.target.params(theirs));
                our_params.len() == their_params.len()
                    && our_params.iter().zip(&their_params).all(|(a, b)| self.types(*a, *b, behind, depth - 1))
                    && self.types(ours.size_or_type, theirs.size_or_type, behind, depth - 1)
            }
            _ => false,
        }
    }

    fn integers(&self, ours: Type<'_>, theirs: Type<'_>) -> bool {
        let (Some((our_encoding, ..)), Some((their_encoding, ..))) = (ours.int(), theirs.int()) else { return false };
        ours.size_or_type == theirs.size_or_type
            && our_encoding & INT_SIGNED == their_encoding & INT_SIGNED
            && !is_bit_field_int(ours)
            && !is_bit_field_int(theirs)
    }

    fn enums(&self, ours: Type<'_>, theirs: Type<'_>) -> bool {
        let theirs_has = self.target.enumerators(theirs);
        ours.size_or_type == theirs.size_or_type
            && self
                .local
                .enumerators(ours)
                .iter()
                .all(|value| theirs_has.iter().any(|other| essential(other.name) == essential(value.name)))
    }

    fn members(&self, ours: Type<'_>, theirs: Type<'_>, depth: usize) -> bool {
        ours.count() <= theirs.count()
            && self.local.members(ours).all(|member| {
                self.target.members(theirs).any(|other| {
                    essential(member.name) == essential(other.name)
                        && self.types(member.ty, other.ty, Behind::Nothing, depth)
                })
            })
    }
}
