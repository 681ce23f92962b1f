//! Creates maps (`BPF_MAP_CREATE`).

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
};

use super::{KernelMap, new_file, object_name};
use crate::map_shape::MapShape;

const BPF_MAP_CREATE: libc::c_long = 0;

/// A map to be created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MapAttr<'a> {
    pub(crate) shape: MapShape,
    /// `map_extra`, which only some types use (Linux 5.16).
    pub(crate) extra: u64,
    /// Where its memory is, with `BPF_F_NUMA_NODE` among the flags.
    pub(crate) numa_node: u32,
    /// The template of the inner maps of a map of maps.
    pub(crate) inner: Option<&'a KernelMap>,
    pub(crate) types: Option<MapTypes<'a>>,
}

/// The BTF types of a map's keys and values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MapTypes<'a> {
    /// The object's BTF in the kernel.
    pub(crate) btf: BorrowedFd<'a>,
    pub(crate) key: u32,
    pub(crate) value: u32,
}

/// The part of `union bpf_attr` that `BPF_MAP_CREATE` uses.
#[repr(C)]
struct MapCreateAttr {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    name: [u8; 16],
    ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    btf_vmlinux_value_type_id: u32,
    extra: u64,
}

impl KernelMap {
    /// Creates a map.
    pub(crate) fn create(name: &str, map: &MapAttr<'_>) -> io::Result<Self> {
        let MapShape { kind, key_size, value_size, max_entries, flags } = map.shape;
        let mut attr = MapCreateAttr {
            kind,
            key_size,
            value_size,
            max_entries,
            flags,
            inner_map_fd: map.inner.map_or(0, |inner| inner.as_fd().as_raw_fd() as u32),
            numa_node: map.numa_node,
            name: object_name(name),
            ifindex: 0,
            btf_fd: map.types.map_or(0, |types| types.btf.as_raw_fd() as u32),
            btf_key_type_id: map.types.map_or(0, |types| types.key),
            btf_value_type_id: map.types.map_or(0, |types| types.value),
            btf_vmlinux_value_type_id: 0,
            extra: map.extra,
        };
        // SAFETY: the attributes hold numbers alone.
        Self::from_fd(unsafe { new_file(BPF_MAP_CREATE, &mut attr) }?)
    }
}
