//! Creates a map as an object declares it.

use std::{io, os::fd::BorrowedFd};

use aya_obj::generated::bpf_map_type as map_type;
use ebhost_object::{DataSection, Map};

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
    pub(crate) fn new(map: &mut Map, types: Option<BorrowedFd<'_>>) -> Result<Self, MapError> {
        fit(map)?;
        let is_unsized = map.max_entries == 0 && !MapShape::declared(map).is_storage();
        let create = |map: &Map| {
            create(map, types).map_err(|error| match error.raw_os_error() {
                Some(libc::EINVAL) if is_unsized => MapError::NoEntries,
                _ => MapError::Refused(error),
            })
        };
        if !map.pinned {
            return Ok(Self(create(map)?));
        }
        if let Some(pinned) = pin::open(&map.name, MapShape::declared(map))? {
            return Ok(Self(pinned));
        }
        let created = create(map)?;
        pin::pin(&map.name, &created)?;
        Ok(Self(created))
    }
}

fn create(map: &Map, types: Option<BorrowedFd<'_>>) -> io::Result<KernelMap> {
    let inner = map.inner.as_ref().map(|inner| create_typed(inner, types, None)).transpose()?;
    let created = create_typed(map, types, inner.as_ref())?;
    if let Some(DataSection { contents, read_only, .. }) = map.data() {
        if !contents.is_empty() {
            let mut value = contents.clone();
            value.resize(map.value_size as usize, 0);
            created.update(&0u32.to_ne_bytes(), &value)?;
        }
        if *read_only {
            created.freeze()?;
        }
    }
    Ok(created)
}

/// Creates the map with its BTF types, or without them if this kernel does not take them; it counts as well without.
fn create_typed(map: &Map, types: Option<BorrowedFd<'_>>, inner: Option<&KernelMap>) -> io::Result<KernelMap> {
    let shape = MapShape::declared(map);
    let typed = !shape.is_one_of(&UNTYPED) && (map.key_type, map.value_type) != (0, 0);
    let types = types.filter(|_| typed).map(|btf| MapTypes { btf, key: map.key_type, value: map.value_type });
    let attr = MapAttr { shape, extra: map.extra, numa_node: map.numa_node.unwrap_or(0), inner, types };
    match KernelMap::create(&map.name, &attr) {
        Err(_) if attr.types.is_some() => KernelMap::create(&map.name, &MapAttr { types: None, ..attr }),
        result => result,
    }
}
