//! Creates a map as an object declares it.

use std::{io, os::fd::BorrowedFd};

use aya_obj::{EbpfSectionKind, generated::bpf_map_type as map_type, maps::PinningType};

use super::{MapError, fit, pin};
use crate::{
    MapShape,
    sys::{KernelMap, MapAttr, MapTypes},
};

/// Types that the kernel creates only without BTF types of keys and values.
const UNTYPED: [map_type; 16] = [
    map_type::BPF_MAP_TYPE_PERF_EVENT_ARRAY,
    map_type::BPF_MAP_TYPE_CGROUP_ARRAY,
    map_type::BPF_MAP_TYPE_STACK_TRACE,
    map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS,
    map_type::BPF_MAP_TYPE_HASH_OF_MAPS,
    map_type::BPF_MAP_TYPE_DEVMAP,
    map_type::BPF_MAP_TYPE_DEVMAP_HASH,
    map_type::BPF_MAP_TYPE_CPUMAP,
    map_type::BPF_MAP_TYPE_XSKMAP,
    map_type::BPF_MAP_TYPE_SOCKMAP,
    map_type::BPF_MAP_TYPE_SOCKHASH,
    map_type::BPF_MAP_TYPE_QUEUE,
    map_type::BPF_MAP_TYPE_STACK,
    map_type::BPF_MAP_TYPE_RINGBUF,
    map_type::BPF_MAP_TYPE_PROG_ARRAY,
    map_type::BPF_MAP_TYPE_BLOOM_FILTER,
];

/// A map that was created, or one that was pinned and has the declared shape.
#[derive(Debug)]
pub(crate) struct Created(pub(crate) KernelMap);

impl Created {
    /// Creates the map, or opens the pinned one if the declaration asks for pins.
    pub(crate) fn new(name: &str, map: &mut aya_obj::Map, types: Option<BorrowedFd<'_>>) -> Result<Self, MapError> {
        fit(map)?;
        if map.pinning() != PinningType::ByName {
            return Ok(Self(create(name, map, types)?));
        }
        if let Some(pinned) = pin::open(name, MapShape::declared(map))? {
            return Ok(Self(pinned));
        }
        let created = create(name, map, types)?;
        pin::pin(name, &created)?;
        Ok(Self(created))
    }
}

fn create(name: &str, map: &aya_obj::Map, types: Option<BorrowedFd<'_>>) -> io::Result<KernelMap> {
    let inner = map.inner().map(|inner| create_typed(name, &inner, types, None)).transpose()?;
    let created = create_typed(name, map, types, inner.as_ref())?;
    if !map.data().is_empty() {
        created.update(&0u32.to_ne_bytes(), map.data())?;
    }
    if map.section_kind() == EbpfSectionKind::Rodata {
        created.freeze()?;
    }
    Ok(created)
}

/// Creates the map with its BTF types, or without them if this kernel does not take them; it counts as well without.
fn create_typed(
    name: &str,
    map: &aya_obj::Map,
    types: Option<BorrowedFd<'_>>,
    inner: Option<&KernelMap>,
) -> io::Result<KernelMap> {
    let shape = MapShape::declared(map);
    let ids = match map {
        aya_obj::Map::Btf(map) if !shape.is_one_of(&UNTYPED) => {
            Some((map.def.btf_key_type_id, map.def.btf_value_type_id))
        }
        _ => None,
    };
    let types = types.zip(ids).map(|(btf, (key, value))| MapTypes { btf, key, value });
    let attr = MapAttr { shape, extra: map.map_extra(), inner, types };
    match KernelMap::create(name, &attr) {
        Err(_) if attr.types.is_some() => KernelMap::create(name, &MapAttr { types: None, ..attr }),
        result => result,
    }
}
