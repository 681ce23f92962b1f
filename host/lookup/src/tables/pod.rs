//! `pod`: the name of a cgroup's pod by the cgroup's id.

use super::{Definition, Resolve};
use crate::{
    Found,
    key::{KeyWidths, number},
    sources::{Cgroups, ContainerLabel, Containers, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "pod",
    key_widths: KeyWidths::OneOf(&[4, 8]),
    key: "the cgroup's id",
    value: "name of the Kubernetes pod that a cgroup belongs to; empty outside of pods. Also after the cgroup was removed",
    sources: &[SourceType::of::<Cgroups>(), SourceType::of::<Containers>()],
    resolve: Resolve::Found(|sources, key| {
        let Some(id) = number(key) else { return Found::Unknown };
        let cgroup = sources.get::<Cgroups>().path(id);
        sources.get::<Containers>().name(cgroup, ContainerLabel::Pod)
    }),
};
