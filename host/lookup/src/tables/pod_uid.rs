//! `pod-uid`: the uid of a cgroup's pod by the cgroup's id.

use super::{Definition, Resolve};
use crate::{
    Found,
    key::{KeyWidths, number},
    sources::{Cgroups, ContainerLabel, Containers, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "pod-uid",
    key_widths: KeyWidths::OneOf(&[4, 8]),
    key: "the cgroup's id",
    value: "uid of the Kubernetes pod that a cgroup belongs to, as in `pod`",
    sources: &[SourceType::of::<Cgroups>(), SourceType::of::<Containers>()],
    resolve: Resolve::Found(|sources, key| {
        let Some(id) = number(key) else { return Found::Unknown };
        let cgroup = sources.get::<Cgroups>().path(id);
        sources.get::<Containers>().name(cgroup, ContainerLabel::PodUid)
    }),
};
