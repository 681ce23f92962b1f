//! An access by members: parsed for the object's own types, repeated for a type of the kernel.

use super::{RecordKind, candidates::essential, compat};
use crate::btf::{Btf, Kind, Type};

/// Deeper accesses than any compiler writes.
const DEEPEST: usize = 64;

/// An access to a type, a member or an enumerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    /// The type that it begins at, behind qualifiers.
    pub(super) root: u32,
    pub(super) kind: RecordKind,
    /// The first is the root itself; of an enumerator there is one.
    pub(super) steps: Vec<Step>,
    /// Where the field begins.
    pub(super) bit_offset: u32,
}

/// One step of an access: a named member, or an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// The struct or union whose member it is, or the element's own type.
    pub(super) ty: u32,
    /// Index of the member, the element or the enumerator.
    pub(super) index: u32,
    pub(super) by_name: bool,
}

impl Spec {
    /// Parses an access string such as `0:1:2`.
    pub(super) fn parse(btf: &Btf, type_id: u32, access: &str, kind: RecordKind) -> Result<Self, String> {
        let indices: Option<Vec<u32>> = access.split(':').map(|index| index.parse().ok()).collect();
        let indices = indices.filter(|indices| indices.len() <= DEEPEST);
        let indices =
            indices.ok_or_else(|| format!("found the access `{access}`, expected numbers with colons between them"))?;
        let root = btf.resolve(type_id);
        let first = indices[0];
        let mut spec =
            Self { root: type_id, kind, steps: vec![Step { ty: root, index: first, by_name: false }], bit_offset: 0 };
        if kind.is_about_enumerator() {
            let ty =
                btf.get(root).filter(|ty| ty.kind.is_any_enum() && indices.len() == 1 && (first as usize) < ty.count());
            return ty.map(|_| spec).ok_or_else(|| format!("found the access `{access}`, expected a value of an enum"));
        }
        if !kind.is_about_field() {
            return if access == "0" {
                Ok(spec)
            } else {
                Err(format!("found the access `{access}` to a type, expected `0`"))
            };
        }
        let size = btf.size(root).ok_or("the size of the type that is accessed is not known")?;
        spec.advance(size, first)?;
        let mut at = root;
        for index in &indices[1..] {
            at = spec.step(btf, at, *index).map_err(|why| format!("{}: {why}", spec.describe(btf)))?;
        }
        Ok(spec)
    }

    /// One step into the type `at`; gives the type that is reached.
    fn step(&mut self, btf: &Btf, at: u32, index: u32) -> Result<u32, String> {
        let ty = btf.resolved(at).ok_or("an access into an incomplete type")?;
        if ty.kind.is_composite() {
            let member = btf.member(ty, index as usize).ok_or_else(|| format!("it has no member {index}"))?;
            self.bit_offset = self.bit_offset.checked_add(member.bit_offset).ok_or("the offset is too large")?;
            if !member.name.is_empty() {
                self.steps.push(Step { ty: ty.id, index, by_name: true });
            }
            return Ok(member.ty);
        }
        let array = ty.array().ok_or("an access into what is neither struct, union nor array")?;
        let element = btf.resolve(array.element);
        if index >= array.len && !self.is_flexible(btf, array.len) {
            return Err(format!("element {index} of an array of {}", array.len));
        }
        self.steps.push(Step { ty: element, index, by_name: false });
        self.advance(btf.size(element).ok_or("the size of an element is not known")?, index)?;
        Ok(element)
    }

    fn advance(&mut self, size: u64, index: u32) -> Result<(), String> {
        let bits = size.checked_mul(8).and_then(|bits| bits.checked_mul(u64::from(index)));
        let more = bits.and_then(|bits| u32::try_from(bits).ok());
        self.bit_offset = more.and_then(|more| self.bit_offset.checked_add(more)).ok_or("the offset is too large")?;
        Ok(())
    }

    /// Whether an array of so many elements is the open end of the struct that was accessed last.
    fn is_flexible(&self, btf: &Btf, len: u32) -> bool {
        let last = self.steps.last().filter(|step| step.by_name && len == 0);
        last.is_some_and(|step| btf.get(step.ty).is_some_and(|ty| step.index as usize + 1 == ty.count()))
    }

    /// The same access to a type of the kernel; none if that has it not.
    pub(super) fn matched(&self, local: &Btf, target: &Btf, id: u32) -> Result<Option<Self>, String> {
        let mut spec = Self { root: id, kind: self.kind, steps: Vec::new(), bit_offset: 0 };
        let root = target.resolve(id);
        if self.kind.is_about_enumerator() {
            let index = self.enumerator(local).and_then(|name| enumerator_named(target, root, name));
            return Ok(index.map(|index| {
                spec.steps.push(Step { ty: root, index, by_name: false });
                spec
            }));
        }
        if !self.kind.is_about_field() {
            let fits = match self.kind {
                RecordKind::TypeMatches => compat::match_types(local, self.root, target, id),
                _ => compat::types_are_compatible(local, self.root, target, id),
            };
            spec.steps.push(Step { ty: root, index: 0, by_name: false });
            return Ok(fits.then_some(spec));
        }
        let mut at = root;
        for (number, step) in self.steps.iter().enumerate() {
            if step.by_name {
                let Some(found) = spec.member_like(local, *step, target, at, DEEPEST)? else { return Ok(None) };
                at = found;
                continue;
            }
            if number > 0 {
                let array = target.resolved(at).and_then(|ty| ty.array());
                let Some(array) = array.filter(|array| step.index < array.len || spec.is_flexible(target, array.len))
                else {
                    return Ok(None);
                };
                at = target.resolve(array.element);
            }
            spec.steps.push(Step { ty: at, index: step.index, by_name: false });
            let Some(size) = target.size(at) else { return Ok(None) };
            spec.advance(size, step.index)?;
        }
        Ok(Some(spec))
    }

    /// Looks for the member of `step` in a type of the kernel, in its anonymous members too; gives that member's type.
    fn member_like(
        &mut self,
        local: &Btf,
        step: Step,
        target: &Btf,
        at: u32,
        depth: usize,
    ) -> Result<Option<u32>, String> {
        let Some(wanted) = local.get(step.ty).and_then(|ty| local.member(ty, step.index as usize)) else {
            return Ok(None);
        };
        let Some(ty) = target.resolved(at).filter(|ty| ty.kind.is_composite() && depth > 0) else { return Ok(None) };
        for (index, member) in target.members(ty).enumerate() {
            let before = self.bit_offset;
            self.bit_offset = before.checked_add(member.bit_offset).ok_or("the offset is too large")?;
            if member.name.is_empty() {
                let found = self.member_like(local, step, target, member.ty, depth - 1)?;
                if found.is_some() {
                    return Ok(found);
                }
            } else if member.name == wanted.name {
                self.steps.push(Step { ty: ty.id, index: index as u32, by_name: true });
                if compat::fields_are_compatible(local, wanted.ty, target, member.ty) {
                    return Ok(Some(member.ty));
                }
                self.steps.pop();
                return Ok(None);
            }
            self.bit_offset = before;
        }
        Ok(None)
    }

    /// The enumerator of an access to one, by its name.
    fn enumerator<'b>(&self, btf: &'b Btf) -> Option<&'b str> {
        let step = self.steps.first()?;
        let values = btf.enumerators(btf.get(step.ty)?);
        values.get(step.index as usize).map(|value| value.name)
    }

    /// The access as a person writes it: `struct request.rq_disk`.
    pub(super) fn describe(&self, btf: &Btf) -> String {
        let mut text = type_in_words(btf, self.root);
        if self.kind.is_about_enumerator() {
            return format!("{text} {}", self.enumerator(btf).unwrap_or("?"));
        }
        for (number, step) in self.steps.iter().enumerate() {
            if step.by_name {
                let member = btf.get(step.ty).and_then(|ty| btf.member(ty, step.index as usize));
                text = format!("{text}.{}", member.map_or("?", |member| member.name));
            } else if number > 0 || step.index > 0 {
                text = format!("{text}[{}]", step.index);
            }
        }
        text
    }
}

fn enumerator_named(btf: &Btf, id: u32, name: &str) -> Option<u32> {
    let ty: Type<'_> = btf.get(id).filter(|ty| ty.kind.is_any_enum())?;
    let wanted = essential(name);
    btf.enumerators(ty).iter().position(|value| essential(value.name) == wanted).map(|index| index as u32)
}

fn type_in_words(btf: &Btf, id: u32) -> String {
    let kind = match btf.kind(id) {
        Kind::Struct => "struct ",
        Kind::Union => "union ",
        Kind::Enum | Kind::Enum64 => "enum ",
        _ => "",
    };
    format!("{kind}{}", essential(btf.name(id)))
}
