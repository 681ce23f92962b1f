//! The memory that a map takes when it is full, before it is created.
//!
//! The kernel's own structures are counted by their sizes on 64-bit machines, rounded up: an estimate that is meant to find a map of
//! gigabytes, not to account for bytes. What a map takes in the end is in its `fdinfo`.

use aya_obj::generated::bpf_map_type as map_type;

use crate::MapShape;

/// Bytes of `struct htab_elem` and its allocation; the hash buckets come to another 16 bytes for each entry.
const HASH_ENTRY_BYTES: u64 = 48 + 16;
/// Bytes of `struct lpm_trie_node`, and of the inner nodes between entries.
const TRIE_ENTRY_BYTES: u64 = 2 * 40;
/// A pointer: to a program, a map, an event, or the values of all CPUs.
const POINTER_BYTES: u64 = 8;

/// Bytes of the full map on a machine with that many possible CPUs. Storage of tasks, sockets and the like is not counted: it grows with
/// them and is theirs.
pub(crate) fn full_size(shape: MapShape, cpus: usize) -> u64 {
    let (entries, cpus) = (u64::from(shape.max_entries), cpus as u64);
    let aligned = |bytes: u32| u64::from(bytes).next_multiple_of(8);
    let (key, value) = (aligned(shape.key_size), aligned(shape.value_size));
    let entry = if shape.is_ring_buffer() {
        1
    } else if shape.is_array() {
        if shape.is_per_cpu() { POINTER_BYTES + value * cpus } else { value }
    } else if shape.is_hash() {
        HASH_ENTRY_BYTES + key + if shape.is_per_cpu() { POINTER_BYTES + value * cpus } else { value }
    } else if shape.is_lpm_trie() {
        TRIE_ENTRY_BYTES + key + value
    } else if shape.is_one_of(&[
        map_type::BPF_MAP_TYPE_QUEUE,
        map_type::BPF_MAP_TYPE_STACK,
        map_type::BPF_MAP_TYPE_STACK_TRACE,
    ]) {
        POINTER_BYTES + value
    } else if shape.is_storage() {
        0
    } else {
        POINTER_BYTES
    };
    entries.saturating_mul(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_grows_with_entries_and_cpus() {
        let size = |kind: map_type, value_size, cpus| {
            full_size(MapShape { kind: kind as u32, key_size: 4, value_size, max_entries: 1000, flags: 0 }, cpus)
        };
        assert_eq!(size(map_type::BPF_MAP_TYPE_ARRAY, 12, 64), 16_000);
        assert_eq!(size(map_type::BPF_MAP_TYPE_PERCPU_ARRAY, 8, 64), 520_000);
        assert_eq!(size(map_type::BPF_MAP_TYPE_HASH, 8, 64), 80_000);
        assert_eq!(size(map_type::BPF_MAP_TYPE_RINGBUF, 0, 64), 1_000);
        assert_eq!(size(map_type::BPF_MAP_TYPE_TASK_STORAGE, 8, 64), 0);
    }
}
