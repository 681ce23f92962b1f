//! `cgroup-folder`: a cgroup's folder by its id.

use super::{Definition, Resolve};
use crate::{
    Found,
    key::{KeyWidths, number},
    sources::{Cgroups, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "cgroup-folder",
    key_widths: KeyWidths::OneOf(&[4, 8]),
    key: "the cgroup's id",
    value: "folder of a cgroup, from the root of the file system on, also after it was removed",
    sources: &[SourceType::of::<Cgroups>()],
    resolve: Resolve::Found(|sources, key| {
        number(key).map_or(Found::Unknown, |number| sources.get::<Cgroups>().folder(number))
    }),
};
