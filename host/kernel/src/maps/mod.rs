//! The maps of an object in the kernel.
//!
//! A declaration is used twice, to create the map and to check a pinned one, and then it is gone: everything else works on
//! [`KernelMap`], which has the kernel's own sizes.

mod create;
mod memory;
mod pin;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
};

use aya::maps::{Map, MapData};

use crate::sys::{KernelMap, possible_cpus};
pub(crate) use create::Created;
pub(crate) use memory::full_size;
pub use pin::{PinError, pin_folders};

/// An object's maps in the kernel, by name.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    maps: BTreeMap<String, Arc<KernelMap>>,
    /// Perf event arrays that the host puts events into: their contents are no events to read.
    filled: BTreeSet<String>,
}

/// Why a map of an object is not in the kernel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MapError {
    #[error(transparent)]
    Refused(#[from] io::Error),
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The object leaves `max_entries` to its loader.
    #[error("its `max_entries` is 0")]
    NoEntries,
}

impl Maps {
    /// Creates the declared maps, or opens those that are pinned. `types`: the object's BTF in the kernel.
    ///
    /// # Errors
    /// With the name of the map that failed.
    pub(crate) fn create(
        declared: &mut [ebhost_object::Map],
        types: Option<BorrowedFd<'_>>,
    ) -> Result<Self, (String, MapError)> {
        let mut maps = BTreeMap::new();
        for map in declared {
            let created = Created::new(map, types).map_err(|error| (map.name.clone(), error))?;
            maps.insert(map.name.clone(), Arc::new(created.0));
        }
        Ok(Self { maps, filled: BTreeSet::new() })
    }

    /// The memory that each map takes now, by the kernel's own account.
    pub(crate) fn memory(&self) -> impl Iterator<Item = (&str, u64)> {
        self.maps.iter().filter_map(|(name, map)| Some((name.as_str(), map.memory_bytes()?)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<KernelMap>> {
        self.maps.get(name)
    }

    /// The map for its reader; the map stays here, so a reader that fails loses nothing.
    ///
    /// # Errors
    /// There is no such map, or the host fills it with perf events.
    pub(crate) fn for_reader(&self, name: &str) -> io::Result<Arc<KernelMap>> {
        if self.filled.contains(name) {
            return Err(io::Error::other("found a perf event array that `perf` in plugin.yaml has filled with events"));
        }
        self.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The perf event array for the source that fills it with its events: only one source may.
    ///
    /// # Errors
    /// There is no such map, it is no perf event array, or another source fills it.
    pub(crate) fn for_events(&mut self, name: &str) -> io::Result<Arc<KernelMap>> {
        let map = self.get(name).filter(|map| map.shape().is_perf_event_array()).cloned();
        let map = map.filter(|_| self.filled.insert(name.to_owned()));
        map.ok_or_else(|| io::Error::other("expected a perf event array, named by one event alone"))
    }
}

/// A map as aya has it, which reads its ring buffers and perf event arrays. It has a descriptor of its own.
pub(crate) fn to_aya(map: &KernelMap) -> io::Result<Map> {
    let data = MapData::from_fd(map.as_fd().try_clone_to_owned()?).map_err(io::Error::other)?;
    Map::from_map_data(data).map_err(io::Error::other)
}

/// Gives declarations what they leave to the loader: sizes that depend on the machine.
///
/// # Errors
/// A ring buffer is larger than a map can be, or the number of CPUs cannot be read.
fn fit(map: &mut ebhost_object::Map) -> io::Result<()> {
    let shape = crate::MapShape::declared(map);
    if shape.is_perf_event_array() {
        // An entry for each CPU: with fewer, events of the others would be lost.
        map.max_entries = shape.max_entries.max(u32::try_from(possible_cpus()?).unwrap_or(u32::MAX));
    }
    if shape.is_ring_buffer() {
        map.max_entries = ring_size(shape.max_entries, crate::sys::page_size())?;
        map.value_size = 0;
    }
    Ok(())
}

/// The bytes of a ring buffer: a power of two of whole pages.
fn ring_size(declared: u32, page: u32) -> io::Result<u32> {
    let size = declared.div_ceil(page).checked_next_power_of_two().and_then(|pages| pages.checked_mul(page));
    size.ok_or_else(|| {
        io::Error::other(format!("found a ring buffer of {declared} bytes, expected at most {} (2 GiB)", 1u32 << 31))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_buffers_are_powers_of_two_of_pages() {
        let size = |declared| ring_size(declared, 4096).ok();
        assert_eq!(size(0), Some(4096));
        assert_eq!(size(4097), Some(8192));
        assert_eq!(size(1 << 31), Some(1 << 31));
    }

    #[test]
    fn a_ring_buffer_beyond_two_gigabytes_is_refused_and_does_not_become_empty() {
        let error = ring_size((1 << 31) + 1, 4096).unwrap_err().to_string();
        assert!(error.contains("found a ring buffer of 2147483649 bytes, expected at most 2147483648"), "{error}");
    }
}
