//! `cgroup-folder`: a cgroup's folder by its id.

use std::any::TypeId;

use super::Definition;
use crate::{
    key::{KeyWidths, number},
    sources::{Cgroups, Source as _},
};

pub(super) const TABLE: Definition = Definition {
    name: "cgroup-folder",
    key_widths: KeyWidths::OneOf(&[4, 8]),
    key: "the cgroup's id",
    value: "folder of a cgroup, from the root of the file system on",
    source: TypeId::of::<Cgroups>,
    paths: Cgroups::paths,
    resolve: |sources, key| sources.get::<Cgroups>().folder(number(key)?),
};
