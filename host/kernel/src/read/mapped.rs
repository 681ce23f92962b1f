//! Copies arrays out of memory that they share with the kernel.
//!
//! An array with a part for each possible CPU is mapped and copied only as far as CPUs are present: virtual machines are often built for
//! hundreds of CPUs and have four. The parts of the others hold zeros, which cost memory and time and say nothing.

use std::{io, path::Path, sync::Arc};

use crate::{
    perf::last_cpu,
    sys::{KernelMap, MappedArray},
};

/// The CPUs that can be brought online without plugging one in.
const PRESENT: &str = "/sys/devices/system/cpu/present";

/// An array, mapped as far as it can have been written.
#[derive(Debug)]
pub(super) struct MappedEntries {
    map: Arc<KernelMap>,
    array: MappedArray,
    /// The number of entries that are mapped.
    len: usize,
    /// Entries of each CPU; `None`: an array without such parts.
    per_cpu: Option<u32>,
}

impl MappedEntries {
    /// Maps an array. `per_cpu`: the number of entries that belong to each CPU, in the order of the CPUs' numbers.
    ///
    /// # Errors
    /// The array cannot be mapped.
    pub(super) fn new(map: Arc<KernelMap>, per_cpu: Option<u32>) -> io::Result<Self> {
        let len = used(&map, per_cpu);
        Ok(Self { array: map.map_array(len)?, map, len, per_cpu })
    }

    /// The number of entries that [`copy_to`](Self::copy_to) copies. Maps more of the array if CPUs were plugged in.
    ///
    /// # Errors
    /// More of it cannot be mapped.
    pub(super) fn look(&mut self) -> io::Result<usize> {
        if self.len < self.map.shape().max_entries as usize {
            let len = used(&self.map, self.per_cpu);
            // A CPU that was unplugged leaves its counts.
            if len > self.len {
                self.array = self.map.map_array(len)?;
                self.len = len;
            }
        }
        Ok(self.len)
    }

    /// Bytes of all mapped values.
    pub(super) fn bytes(&self) -> usize {
        self.array.len()
    }

    /// Copies the values; `to` is [`bytes`](Self::bytes) long.
    pub(super) fn copy_to(&self, to: &mut [u8]) {
        self.array.copy_to(to);
    }
}

/// The entries of an array that can have been written: all, unless they belong to CPUs.
fn used(map: &KernelMap, per_cpu: Option<u32>) -> usize {
    let all = map.shape().max_entries as usize;
    let of_cpus = per_cpu.and_then(|entries| Some((last_cpu(Path::new(PRESENT))? as usize + 1) * entries as usize));
    of_cpus.map_or(all, |entries| entries.min(all))
}
