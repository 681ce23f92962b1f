//! `network-interface`: a network interface's name by its index.

use std::any::TypeId;

use super::Definition;
use crate::{
    key::{KeyWidths, number},
    sources::{Interfaces, Source as _},
};

pub(super) const TABLE: Definition = Definition {
    name: "network-interface",
    key_widths: KeyWidths::OneOf(&[4]),
    key: "the interface's index",
    value: "name of a network interface in the host's own network namespace",
    source: TypeId::of::<Interfaces>,
    paths: Interfaces::paths,
    resolve: |sources, key| sources.get::<Interfaces>().name(number(key)?),
};
