//! `drop-reason`: the reason for which the kernel dropped a packet, by its number in the running kernel.

use super::{Definition, Resolve};
use crate::{
    key::{KeyWidths, number},
    sources::{DropReasons, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "drop-reason",
    key_widths: KeyWidths::OneOf(&[4]),
    key: "`enum skb_drop_reason`, whose numbers differ between kernels",
    value: "reason as the tracepoint `kfree_skb` prints it, such as `NO_SOCKET`; the subsystem's name if it has reasons of its own; \
            `NOT_SPECIFIED` if the kernel gives none",
    sources: &[SourceType::of::<DropReasons>()],
    resolve: Resolve::Name(|sources, key| Some(sources.get::<DropReasons>().name(number(key)?))),
};
