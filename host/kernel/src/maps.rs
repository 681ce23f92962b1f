//! Maps as an object declares them, made in the kernel.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use aya::maps::{Map, MapData};
use aya_obj::{EbpfSectionKind, generated::bpf_map_type as kind, maps::PinningType};

use super::syscall::{self, MapAttr};

/// Kinds that take no types of keys and values.
const UNTYPED: [kind; 16] = [
    kind::BPF_MAP_TYPE_PERF_EVENT_ARRAY,
    kind::BPF_MAP_TYPE_CGROUP_ARRAY,
    kind::BPF_MAP_TYPE_STACK_TRACE,
    kind::BPF_MAP_TYPE_ARRAY_OF_MAPS,
    kind::BPF_MAP_TYPE_HASH_OF_MAPS,
    kind::BPF_MAP_TYPE_DEVMAP,
    kind::BPF_MAP_TYPE_DEVMAP_HASH,
    kind::BPF_MAP_TYPE_CPUMAP,
    kind::BPF_MAP_TYPE_XSKMAP,
    kind::BPF_MAP_TYPE_SOCKMAP,
    kind::BPF_MAP_TYPE_SOCKHASH,
    kind::BPF_MAP_TYPE_QUEUE,
    kind::BPF_MAP_TYPE_STACK,
    kind::BPF_MAP_TYPE_RINGBUF,
    kind::BPF_MAP_TYPE_PROG_ARRAY,
    kind::BPF_MAP_TYPE_BLOOM_FILTER,
];

/// An object's maps in the kernel, by name, with their declarations.
#[derive(Debug, Default)]
pub(super) struct Maps(BTreeMap<String, (aya_obj::Map, OwnedFd)>);

impl Maps {
    /// Makes the maps. `types`: the object's types in the kernel.
    pub(super) fn create(
        declared: impl IntoIterator<Item = (String, aya_obj::Map)>,
        types: Option<BorrowedFd<'_>>,
        cpus: usize,
    ) -> Result<Self, (String, io::Error)> {
        let mut maps = BTreeMap::new();
        for (name, mut map) in declared {
            let file = create(&name, &mut map, types, cpus).map_err(|error| (name.clone(), error))?;
            maps.insert(name, (map, file));
        }
        Ok(Self(maps))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &aya_obj::Map, BorrowedFd<'_>)> {
        self.0.iter().map(|(name, (map, file))| (name.as_str(), map, file.as_fd()))
    }

    pub(super) fn get(&self, name: &str) -> Option<(&aya_obj::Map, BorrowedFd<'_>)> {
        self.0.get(name).map(|(map, file)| (map, file.as_fd()))
    }

    /// The map for a reader, which has a descriptor of its own.
    pub(super) fn open(&self, name: &str) -> io::Result<Map> {
        let (_, file) = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        let data = MapData::from_fd(file.try_clone()?).map_err(io::Error::other)?;
        Map::from_map_data(data).map_err(io::Error::other)
    }

    /// Closes the map's descriptor.
    pub(super) fn close(&mut self, name: &str) {
        self.0.remove(name);
    }
}

fn create(name: &str, map: &mut aya_obj::Map, types: Option<BorrowedFd<'_>>, cpus: usize) -> io::Result<OwnedFd> {
    fit(map, cpus);
    if map.pinning() == PinningType::ByName {
        return pinned(name, map, types);
    }
    new(name, map, types)
}

fn new(name: &str, map: &aya_obj::Map, types: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let inner = map.inner().map(|inner| declared(name, &inner, types, None)).transpose()?;
    let file = declared(name, map, types, inner.as_ref())?;
    if !map.data().is_empty() {
        syscall::map_update(file.as_fd(), (4, map.value_size()), &[0; 4], map.data())?;
    }
    if map.section_kind() == EbpfSectionKind::Rodata {
        syscall::map_freeze(file.as_fd())?;
    }
    Ok(file)
}

/// What the declaration leaves to whoever loads it.
fn fit(map: &mut aya_obj::Map, cpus: usize) {
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    if map.map_type() == kind::BPF_MAP_TYPE_PERF_EVENT_ARRAY as u32 && !(1..=cpus).contains(&map.max_entries()) {
        map.set_max_entries(cpus);
    }
    if map.map_type() == kind::BPF_MAP_TYPE_RINGBUF as u32 {
        let page = syscall::page_size();
        map.set_max_entries(page * map.max_entries().div_ceil(page).next_power_of_two());
        map.set_value_size(0);
    }
}

/// The kernel takes types for most maps, and older ones not those of all that newer ones do; without them it counts as well.
fn declared(
    name: &str,
    map: &aya_obj::Map,
    types: Option<BorrowedFd<'_>>,
    inner: Option<&OwnedFd>,
) -> io::Result<OwnedFd> {
    let is_untyped = UNTYPED.iter().any(|kind| *kind as u32 == map.map_type());
    let numbers = match map {
        aya_obj::Map::Btf(map) if !is_untyped => Some((map.def.btf_key_type_id, map.def.btf_value_type_id)),
        _ => None,
    };
    let attr = MapAttr {
        kind: map.map_type(),
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries: map.max_entries(),
        flags: map.map_flags(),
        extra: map.map_extra(),
        inner: inner.map(|inner| inner.as_fd()),
        types: types.zip(numbers).map(|(types, (key, value))| (types, key, value)),
    };
    match syscall::map_create(name, &attr) {
        Err(_) if attr.types.is_some() => syscall::map_create(name, &MapAttr { types: None, ..attr }),
        result => result,
    }
}

/// A map that lies under its name in the BPF file system, or will from now on.
fn pinned(name: &str, map: &aya_obj::Map, types: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let path = Path::new("/sys/fs/bpf").join(name);
    if let Ok(found) = MapData::from_pin(&path) {
        return found.fd().as_fd().try_clone_to_owned();
    }
    let file = new(name, map, types)?;
    MapData::from_fd(file.try_clone()?).map_err(io::Error::other)?.pin(&path).map_err(io::Error::other)?;
    Ok(file)
}
