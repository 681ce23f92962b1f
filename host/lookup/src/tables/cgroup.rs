//! `cgroup`: a cgroup's path by its id.

use std::any::TypeId;

use super::Definition;
use crate::{
    key::{KeyWidths, number},
    sources::{Cgroups, Source as _},
};

pub(super) const TABLE: Definition = Definition {
    name: "cgroup",
    key_widths: KeyWidths::OneOf(&[4, 8]),
    key: "the cgroup's id",
    value: "path of a cgroup below the cgroup2 mount; the root is `/`",
    source: TypeId::of::<Cgroups>,
    paths: Cgroups::paths,
    resolve: |sources, key| sources.get::<Cgroups>().path(number(key)?).map(str::to_owned),
};
