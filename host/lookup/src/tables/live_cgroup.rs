//! `live-cgroup`: a cgroup's path by its id, until the cgroup is removed.

use super::{Definition, Resolve};
use crate::{
    Found,
    key::{KeyWidths, number},
    sources::{Cgroups, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "live-cgroup",
    key_widths: KeyWidths::OneOf(&[4, 8]),
    key: "the cgroup's id",
    value: "path of a cgroup below the cgroup2 mount; empty once it is gone and was collected once more",
    sources: &[SourceType::of::<Cgroups>()],
    resolve: Resolve::Found(|sources, key| {
        number(key).map_or(Found::Unknown, |number| sources.get::<Cgroups>().live_path(number))
    }),
};
