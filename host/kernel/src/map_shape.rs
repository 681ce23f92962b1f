//! The attributes that make a BPF map what it is, as an object declares them or as the kernel reports them.

use std::fmt;

use aya_obj::generated::bpf_map_type as map_type;

/// Type and sizes of a map.
///
/// From an object it is a declaration; from [`crate::sys::KernelMap`] it is what the kernel has. Only the latter may size a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of one value, without padding.
    pub value_size: u32,
    pub max_entries: u32,
    /// `BPF_F_*` of map creation.
    pub flags: u32,
}

impl MapShape {
    /// The shape that an object declares.
    pub(crate) fn declared(map: &ebhost_object::Map) -> Self {
        let &ebhost_object::Map { kind, key_size, value_size, max_entries, flags, .. } = map;
        Self { kind, key_size, value_size, max_entries, flags }
    }

    /// Whether an entry has a value for each possible CPU.
    pub fn is_per_cpu(self) -> bool {
        self.is_one_of(&[
            map_type::BPF_MAP_TYPE_PERCPU_HASH,
            map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
            map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH,
            map_type::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
        ])
    }

    /// Whether it is a buffer of events rather than a table.
    pub fn is_events(self) -> bool {
        self.is_perf_event_array() || self.is_ring_buffer()
    }

    /// Whether it is a `BPF_MAP_TYPE_PERF_EVENT_ARRAY`.
    pub fn is_perf_event_array(self) -> bool {
        self.is_one_of(&[map_type::BPF_MAP_TYPE_PERF_EVENT_ARRAY])
    }

    pub(crate) fn is_ring_buffer(self) -> bool {
        self.is_one_of(&[map_type::BPF_MAP_TYPE_RINGBUF])
    }

    /// Whether its keys are the indexes from 0.
    pub fn is_array(self) -> bool {
        self.is_one_of(&[map_type::BPF_MAP_TYPE_ARRAY, map_type::BPF_MAP_TYPE_PERCPU_ARRAY])
    }

    pub(crate) fn is_hash(self) -> bool {
        self.is_one_of(&[
            map_type::BPF_MAP_TYPE_HASH,
            map_type::BPF_MAP_TYPE_LRU_HASH,
            map_type::BPF_MAP_TYPE_PERCPU_HASH,
            map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH,
        ])
    }

    /// Whether it is a hash with one value for all CPUs that evicts nothing.
    pub(crate) fn is_plain_hash(self) -> bool {
        self.is_one_of(&[map_type::BPF_MAP_TYPE_HASH])
    }

    /// Whether a key that is inserted into the full map makes another one go.
    pub fn evicts(self) -> bool {
        self.is_one_of(&[map_type::BPF_MAP_TYPE_LRU_HASH, map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH])
    }

    /// Whether its entries belong to kernel objects, so that it has no maximum.
    pub(crate) fn is_storage(self) -> bool {
        self.is_one_of(&[
            map_type::BPF_MAP_TYPE_SK_STORAGE,
            map_type::BPF_MAP_TYPE_INODE_STORAGE,
            map_type::BPF_MAP_TYPE_TASK_STORAGE,
            map_type::BPF_MAP_TYPE_CGRP_STORAGE,
        ])
    }

    pub(crate) fn is_lpm_trie(self) -> bool {
        self.is_one_of(&[map_type::BPF_MAP_TYPE_LPM_TRIE])
    }

    /// Whether memory is taken for each entry when it is inserted; otherwise all of it is there from the beginning.
    pub(crate) fn is_allocated_as_it_fills(self) -> bool {
        const BPF_F_NO_PREALLOC: u32 = 1;
        self.flags & BPF_F_NO_PREALLOC != 0
    }

    /// Whether its values can be mapped into user space: a plain array with `BPF_F_MMAPABLE`.
    pub(crate) fn is_mmapable_array(self) -> bool {
        const BPF_F_MMAPABLE: u32 = 1 << 10;
        self.is_one_of(&[map_type::BPF_MAP_TYPE_ARRAY]) && self.flags & BPF_F_MMAPABLE != 0
    }

    pub(crate) fn is_one_of(self, kinds: &[map_type]) -> bool {
        kinds.iter().any(|kind| *kind as u32 == self.kind)
    }
}

impl fmt::Display for MapShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key_size, value_size, max_entries, flags } = self;
        write!(
            f,
            "map type {kind}, keys of {key_size} bytes, values of {value_size} bytes, {max_entries} entries, flags {flags:#x}"
        )
    }
}
