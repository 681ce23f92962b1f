//! A map of a running host, opened again by its id: tests and the benchmark fill it as programs would, and read it directly.
//!
//! It calls bpf(2) itself: a test of the host's reader must not share the reader's code.

#![allow(unsafe_code, reason = "bpf(2) and mmap(2) have no safe form here")]

mod counting;
mod memory;

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
};

use crate::sys::{bpf, bpf_fd};
pub use counting::{Counting, group, key};
pub use memory::Memory;

const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;
const BPF_MAP_GET_FD_BY_ID: libc::c_long = 14;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
const BPF_MAP_DELETE_BATCH: libc::c_long = 27;

const PER_CPU_TYPES: [u32; 3] = [5, 6, 10];

/// A map that a process holds.
#[derive(Debug)]
pub struct KernelMap {
    fd: OwnedFd,
    key: usize,
    /// Bytes of a whole value: in a per-CPU map those of all CPUs.
    value: usize,
    cpus: usize,
    max_entries: u32,
    has_types: bool,
}

/// The entries of a read. Its buffers are kept from read to read, so that reads allocate nothing.
#[derive(Debug, Default)]
pub struct Entries {
    pub keys: Vec<u8>,
    pub values: Vec<u8>,
    pub len: usize,
    token: Vec<u8>,
}

#[derive(Default)]
#[repr(C)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    kernel_value_type: u32,
    network: [u64; 2],
    types: u32,
    key_type: u32,
    value_type: u32,
    rest: u32,
}

#[repr(C)]
struct ElemAttr {
    fd: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    fd: u32,
    elem_flags: u64,
    flags: u64,
}

impl KernelMap {
    /// The map of that name that a process holds. Panics if there is none, or more.
    pub fn of(pid: u32, name: &str) -> Self {
        let folder = format!("/proc/{pid}/fdinfo");
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}")) {
            let info = entry.and_then(|entry| fs::read_to_string(entry.path())).unwrap_or_default();
            let id = info.lines().find_map(|line| line.strip_prefix("map_id:"));
            let map = id.and_then(|id| Self::open(id.trim().parse().ok()?, name).ok()?);
            found.extend(map);
        }
        assert_eq!(found.len(), 1, "process {pid} holds {} maps `{name}`", found.len());
        found.remove(0)
    }

    /// A map by its id, if that is its name.
    fn open(id: u32, name: &str) -> io::Result<Option<Self>> {
        #[repr(C)]
        struct IdAttr {
            id: u32,
            next_id: u32,
            flags: u32,
        }
        #[repr(C)]
        struct InfoAttr {
            fd: u32,
            len: u32,
            info: u64,
        }
        // SAFETY: the kernel reads the attributes alone.
        let fd = unsafe { bpf_fd(BPF_MAP_GET_FD_BY_ID, &mut IdAttr { id, next_id: 0, flags: 0 }) }?;
        let mut info = MapInfo::default();
        let address = std::ptr::from_mut(&mut info) as u64;
        let mut attr = InfoAttr { fd: raw(&fd), len: size_of::<MapInfo>() as u32, info: address };
        // SAFETY: `info` has the stated length and outlives the call.
        unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
        let end = info.name.iter().position(|byte| *byte == 0).unwrap_or(info.name.len());
        if &info.name[..end] != name.as_bytes() {
            return Ok(None);
        }
        let cpus = if PER_CPU_TYPES.contains(&info.kind) { possible_cpus() } else { 1 };
        let one = if cpus > 1 { info.value_size.next_multiple_of(8) } else { info.value_size } as usize;
        let (key, max_entries, has_types) = (info.key_size as usize, info.max_entries, info.types != 0);
        Ok(Some(Self { fd, key, value: one * cpus, cpus, max_entries, has_types }))
    }

    /// Values of an entry: 1, or the number of possible CPUs.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Whether the kernel has BTF types of its keys and values.
    pub fn has_types(&self) -> bool {
        self.has_types
    }

    /// Inserts or replaces an entry. False: the map is full, or the kernel had no memory for it at once.
    pub fn update(&self, key: &[u8], value: &[u8]) -> bool {
        assert!(key.len() == self.key && value.len() == self.value, "an entry has its map's sizes");
        let mut attr = self.elem(key.as_ptr() as u64, value.as_ptr() as u64);
        // SAFETY: key and value have the map's sizes and outlive the call.
        match unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) } {
            Ok(_) => true,
            Err(error) if matches!(error.raw_os_error(), Some(libc::E2BIG | libc::ENOMEM)) => false,
            Err(error) => panic!("update: {error}"),
        }
    }

    /// Deletes an entry; false: there was none.
    pub fn delete(&self, key: &[u8]) -> bool {
        assert_eq!(key.len(), self.key, "a key has its map's size");
        let mut attr = self.elem(key.as_ptr() as u64, 0);
        // SAFETY: the key has the map's size and outlives the call.
        found(unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut attr) })
    }

    /// Reads one value; false: there is no such entry.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> bool {
        assert!(key.len() == self.key && value.len() == self.value, "an entry has its map's sizes");
        let mut attr = self.elem(key.as_ptr() as u64, value.as_mut_ptr() as u64);
        // SAFETY: key and value have the map's sizes and outlive the call.
        found(unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) })
    }

    /// The key after `after`, or the first; false: there is none.
    pub fn next_key(&self, after: Option<&[u8]>, next: &mut [u8]) -> bool {
        assert!(next.len() == self.key && after.is_none_or(|after| after.len() == self.key), "keys have one size");
        let mut attr = self.elem(after.map_or(0, |key| key.as_ptr() as u64), next.as_mut_ptr() as u64);
        // SAFETY: both keys have the map's size and outlive the call.
        found(unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attr) })
    }

    /// Inserts or replaces many entries. Keys and values are concatenated.
    pub fn update_all(&self, keys: &[u8], values: &[u8]) {
        let most = 4096;
        for (keys, values) in keys.chunks(most * self.key).zip(values.chunks(most * self.value)) {
            let count = keys.len() / self.key;
            assert_eq!(values.len(), count * self.value, "a value for each key");
            let mut attr = self.batch(keys.as_ptr() as u64, values.as_ptr() as u64, count);
            // SAFETY: the buffers hold `count` keys and values and outlive the call.
            unsafe { bpf(BPF_MAP_UPDATE_BATCH, &mut attr) }.unwrap_or_else(|error| panic!("update batch: {error}"));
        }
    }

    /// Deletes many entries, all of which must exist.
    pub fn delete_all(&self, keys: &[u8]) {
        for keys in keys.chunks(4096 * self.key) {
            let mut attr = self.batch(keys.as_ptr() as u64, 0, keys.len() / self.key);
            // SAFETY: the buffer holds that many keys and outlives the call.
            unsafe { bpf(BPF_MAP_DELETE_BATCH, &mut attr) }.unwrap_or_else(|error| panic!("delete batch: {error}"));
        }
    }

    /// Reads all entries in batches of 4 096 and does nothing with them: the least that reading the map can cost.
    pub fn read(&self, entries: &mut Entries) {
        self.read_by(entries, 4096, |_, _| false);
    }

    /// Reads entries in batches of `size` until the end, or until `stop(entries read, room)` of a batch returns true. No reader should stop
    /// before the end: tests use it to imitate one that does.
    pub fn read_by(&self, entries: &mut Entries, size: usize, stop: impl Fn(usize, usize) -> bool) {
        entries.token.resize(self.key.max(8), 0);
        entries.len = 0;
        let (mut room, mut is_first) = (size.min(self.max_entries as usize), true);
        loop {
            let needed = entries.len + room;
            if entries.keys.len() < needed * self.key {
                entries.keys.resize(needed * self.key, 0);
                entries.values.resize(needed * self.value, 0);
            }
            let keys = entries.keys[entries.len * self.key..].as_mut_ptr() as u64;
            let values = entries.values[entries.len * self.value..].as_mut_ptr() as u64;
            let mut attr = self.batch(keys, values, room);
            attr.out_batch = entries.token.as_mut_ptr() as u64;
            attr.in_batch = if is_first { 0 } else { attr.out_batch };
            // SAFETY: the buffers have room for `count` keys and values behind those addresses; the token holds a key or a
            // bucket's number; all outlive the call.
            let result = unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) };
            match result.map_err(|error| error.raw_os_error()) {
                Ok(_) => entries.len += attr.count as usize,
                Err(Some(libc::ENOENT)) => {
                    entries.len += attr.count as usize;
                    return;
                }
                Err(Some(libc::ENOSPC)) => {
                    room *= 2;
                    continue;
                }
                Err(error) => panic!("lookup batch: {error:?}"),
            }
            is_first = false;
            if stop(attr.count as usize, room) {
                return;
            }
        }
    }

    /// The array's memory, for a `BPF_F_MMAPABLE` one whose values are whole words.
    pub fn memory(&self) -> Memory {
        Memory::new(&self.fd, self.max_entries as usize * (self.value / 8))
    }

    fn elem(&self, key: u64, value: u64) -> ElemAttr {
        ElemAttr { fd: raw(&self.fd), key, value, flags: 0 }
    }

    fn batch(&self, keys: u64, values: u64, count: usize) -> BatchAttr {
        let (fd, count) = (raw(&self.fd), u32::try_from(count).expect("a batch"));
        BatchAttr { in_batch: 0, out_batch: 0, keys, values, count, fd, elem_flags: 0, flags: 0 }
    }
}

/// The number of CPUs that per-CPU maps have values for.
fn possible_cpus() -> usize {
    let text = fs::read_to_string("/sys/devices/system/cpu/possible").expect("every kernel shows its CPUs");
    let last = text.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<usize>().ok());
    last.expect("a list of numbers") + 1
}

fn raw(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd() as u32
}

fn found(result: io::Result<libc::c_long>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => false,
        Err(error) => panic!("bpf(2): {error}"),
    }
}
