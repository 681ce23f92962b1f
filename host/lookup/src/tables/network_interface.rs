//! `network-interface`: a network interface's name by its index.

use super::{Definition, Resolve};
use crate::{
    key::{KeyWidths, number},
    sources::{Interfaces, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "network-interface",
    key_widths: KeyWidths::OneOf(&[4]),
    key: "the interface's index",
    value: "name of a network interface in the host's own network namespace",
    sources: &[SourceType::of::<Interfaces>()],
    resolve: Resolve::Name(|sources, key| sources.get::<Interfaces>().name(number(key)?)),
};
