//! Types of the kernel that have the name of one of the object's.

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{KernelTypes, compat::kinds_are_compatible};
use crate::btf::{Btf, Kind};

/// A type of the kernel or of a module.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) btf: Arc<Btf>,
    pub(super) id: u32,
}

/// The kernel's types by name, for the names that an object asks for.
pub(super) struct Candidates<'a> {
    local: &'a Btf,
    types: &'a dyn KernelTypes,
    wanted: HashSet<String>,
    in_kernel: HashMap<String, Vec<u32>>,
    /// For each module, in their order; gone through when the first type is not among the kernel's.
    in_modules: OnceCell<Vec<HashMap<String, Vec<u32>>>>,
}

/// A name without its flavour: `request___old` is another declaration of `request`.
///
/// A flavour is separated by exactly three underscores; the last such place counts.
pub fn essential(name: &str) -> &str {
    let bytes = name.as_bytes();
    let separates = |at: &usize| {
        let around = &bytes[*at..*at + 5];
        around[0] != b'_' && &around[1..4] == b"___" && around[4] != b'_'
    };
    let last = (0..bytes.len().saturating_sub(4)).rev().find(separates);
    last.map_or(name, |at| &name[..=at])
}

impl<'a> Candidates<'a> {
    /// `roots`: the object's own types that its records begin at. The kernel's types are gone through once for all of them.
    pub(super) fn new(local: &'a Btf, types: &'a dyn KernelTypes, roots: impl Iterator<Item = u32>) -> Self {
        let wanted: HashSet<String> =
            roots.map(|id| essential(local.name(id)).to_owned()).filter(|name| !name.is_empty()).collect();
        let in_kernel = if wanted.is_empty() { HashMap::new() } else { by_name(types.kernel(), &wanted) };
        Self { local, types, wanted, in_kernel, in_modules: OnceCell::new() }
    }

    /// Types of the kernel with the name and the kind of the object's type; if there are none, those of modules.
    pub(super) fn of(&self, id: u32) -> Vec<Candidate> {
        let (name, kind) = (essential(self.local.name(id)), self.local.kind(id));
        let fit = |btf: &Arc<Btf>, ids: Option<&Vec<u32>>| -> Vec<Candidate> {
            let ids = ids.into_iter().flatten().filter(|id| kinds_are_compatible(kind, btf.kind(**id)));
            ids.map(|id| Candidate { btf: btf.clone(), id: *id }).collect()
        };
        let found = fit(self.types.kernel(), self.in_kernel.get(name));
        if !found.is_empty() {
            return found;
        }
        let modules = self.types.modules();
        let by_module = self.in_modules.get_or_init(|| modules.iter().map(|btf| by_name(btf, &self.wanted)).collect());
        modules.iter().zip(by_module).flat_map(|(btf, ids)| fit(btf, ids.get(name))).collect()
    }
}

/// Numbers of the types that have one of these names. Functions and variables are not among what records begin at.
fn by_name(btf: &Btf, wanted: &HashSet<String>) -> HashMap<String, Vec<u32>> {
    let mut found: HashMap<String, Vec<u32>> = HashMap::new();
    for ty in btf.own_ids().filter_map(|id| btf.get(id)) {
        let may_be_asked = matches!(
            ty.kind,
            Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Typedef
                | Kind::Int
                | Kind::Float
                | Kind::Fwd
        );
        if !may_be_asked || ty.name_offset() == 0 {
            continue;
        }
        let name = essential(btf.text(ty.name_offset()));
        if wanted.contains(name) {
            found.entry(name.to_owned()).or_default().push(ty.id);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::essential;

    #[test]
    fn a_flavour_is_behind_exactly_three_underscores() {
        for (name, expected) in [
            ("request", "request"),
            ("request___old", "request"),
            ("request___old___older", "request___old"),
            ("request__old", "request__old"),
            ("request____old", "request____old"),
            ("___old", "___old"),
            ("request___", "request___"),
            ("", ""),
        ] {
            assert_eq!(essential(name), expected, "{name}");
        }
    }
}
