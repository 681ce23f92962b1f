//! The number that a record stands for.

use super::{RecordKind, spec::Spec};
use crate::btf::{Btf, INT_SIGNED, Kind};

/// The value that an instruction has, and the one that it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) before: u64,
    pub(super) after: u64,
    /// Whether the instruction has to have `before` now.
    pub(super) is_checked: bool,
    /// The kernel has nothing of the kind.
    pub(super) poison: bool,
    /// Bytes of the field before and after: a load or store has to change its size with it.
    pub(super) sizes: Option<Sizes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) before: u64,
    pub(super) after: u64,
    /// Whether a load of the other size gives the same number: pointers and unsigned integers.
    pub(super) may_differ: bool,
}

impl Outcome {
    pub(super) fn equal(number: u64) -> Self {
        Self { before: number, after: number, is_checked: true, poison: false, sizes: None }
    }

    /// Whether two candidates give the same.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        self.after == other.after && self.poison == other.poison
    }
}

/// One side's number, and for an offset the field's type and size.
struct Side {
    number: u64,
    is_checked: bool,
    field: Option<(u32, u64)>,
}

/// The outcome for the object's access and the kernel's, if that has it.
pub(super) fn outcome(
    kind: RecordKind,
    (local, spec): (&Btf, &Spec),
    target: Option<(&Btf, &Spec)>,
) -> Result<Outcome, String> {
    let before = side(kind, local, spec)?;
    let none = Outcome { before: before.number, after: 0, is_checked: before.is_checked, poison: false, sizes: None };
    let Some((btf, found)) = target else {
        return Ok(Outcome { poison: kind.is_poisoned_when_absent(), ..none });
    };
    let after = side(kind, btf, found)?;
    let sizes = before.field.zip(after.field).filter(|((_, before), (_, after))| before != after);
    let sizes = sizes.map(|((ours, before), (theirs, after))| Sizes {
        before,
        after,
        may_differ: is_widened(local, ours, btf, theirs),
    });
    Ok(Outcome { after: after.number, sizes, ..none })
}

/// Pointers, and integers without a sign, are read by a load of their own size.
fn is_widened(local: &Btf, ours: u32, target: &Btf, theirs: u32) -> bool {
    let (Some(ours), Some(theirs)) = (local.resolved(ours), target.resolved(theirs)) else { return false };
    match (ours.kind, theirs.kind) {
        (Kind::Ptr, Kind::Ptr) => true,
        (Kind::Int, Kind::Int) => {
            [ours, theirs].iter().all(|ty| ty.int().is_some_and(|(encoding, ..)| encoding & INT_SIGNED == 0))
        }
        _ => false,
    }
}

fn side(kind: RecordKind, btf: &Btf, spec: &Spec) -> Result<Side, String> {
    let plain = |number| Ok(Side { number, is_checked: true, field: None });
    match kind {
        RecordKind::FieldExists | RecordKind::TypeExists | RecordKind::EnumeratorExists | RecordKind::TypeMatches => {
            plain(1)
        }
        RecordKind::LocalTypeId => plain(u64::from(spec.root)),
        // The number that the compiler wrote is of the object's own types.
        RecordKind::TargetTypeId => Ok(Side { number: u64::from(spec.root), is_checked: false, field: None }),
        RecordKind::TypeSize => plain(btf.size(spec.root).ok_or("the size of the type is not known")?),
        RecordKind::EnumeratorValue => {
            let step = spec.steps.first().ok_or("no enumerator")?;
            let values = btf.get(step.ty).map(|ty| btf.enumerators(ty)).unwrap_or_default();
            plain(values.get(step.index as usize).ok_or("no such enumerator")?.value as u64)
        }
        _ => field(kind, btf, spec),
    }
}

fn field(kind: RecordKind, btf: &Btf, spec: &Spec) -> Result<Side, String> {
    let step = spec.steps.last().ok_or("no field")?;
    let bit_offset = u64::from(spec.bit_offset);
    let plain = |number, field| Ok(Side { number, is_checked: true, field });
    if !step.by_name {
        // An element, or the whole of what is pointed to.
        let size = btf.size(step.ty).ok_or("the size of an element is not known")?;
        return match kind {
            RecordKind::ByteOffset => plain(bit_offset / 8, Some((step.ty, size))),
            RecordKind::ByteSize => plain(size, None),
            _ => Err("asks what only a member has".into()),
        };
    }
    let member = btf.get(step.ty).and_then(|ty| btf.member(ty, step.index as usize)).ok_or("no such member")?;
    let ty = btf.resolved(member.ty);
    let (bytes, byte_offset, bits) = place(btf, member.ty, bit_offset, u64::from(member.bits))?;
    match kind {
        RecordKind::ByteOffset if member.bits == 0 => plain(byte_offset, Some((member.ty, bytes))),
        RecordKind::ByteOffset => Ok(Side { number: byte_offset, is_checked: false, field: None }),
        RecordKind::ByteSize => Ok(Side { number: bytes, is_checked: member.bits == 0, field: None }),
        RecordKind::FieldSigned => {
            let is_signed = ty.is_some_and(|ty| match ty.kind {
                Kind::Int => ty.int().is_some_and(|(encoding, ..)| encoding & INT_SIGNED != 0),
                Kind::Enum | Kind::Enum64 => ty.kind_flag(),
                _ => false,
            });
            plain(u64::from(is_signed), None)
        }
        // Little-endian: the field's upper end comes to the top of 64 bits, then down to the bottom.
        RecordKind::LeftShift => {
            let upper = bit_offset + bits - byte_offset * 8;
            let shift = 64u64.checked_sub(upper).ok_or("a bit field of more than 64 bits")?;
            Ok(Side { number: shift, is_checked: member.bits == 0, field: None })
        }
        RecordKind::RightShift => plain(64u64.checked_sub(bits).ok_or("a field of more than 64 bits")?, None),
        _ => Err("asks what no field has".into()),
    }
}

/// Bytes of the load that reads a field, where it begins, and how many of its bits are the field.
fn place(btf: &Btf, ty: u32, bit_offset: u64, bits: u64) -> Result<(u64, u64, u64), String> {
    let size = btf.size(ty).ok_or("the size of a member is not known")?;
    if bits == 0 {
        return Ok((size, bit_offset / 8, size.saturating_mul(8)));
    }
    let mut bytes = size.max(1);
    loop {
        let byte_offset = bit_offset / 8 / bytes * bytes;
        if bit_offset + bits - byte_offset * 8 <= bytes * 8 {
            return Ok((bytes, byte_offset, bits));
        }
        if bytes >= 8 {
            return Err("a bit field that no load of 8 bytes covers".into());
        }
        bytes *= 2;
    }
}
