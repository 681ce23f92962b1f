//! A map of a running host, opened a second time by its id: tests and the benchmark fill it as programs would, and read it as
//! nobody should have to.
//!
//! It goes through bpf(2) itself: what tests the reader must not share the reader's code.

#![allow(unsafe_code, reason = "bpf(2) and mmap(2) have no safe form here")]

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    program::Program,
    sys::{bpf, bpf_fd},
};

const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const MAP_GET_NEXT_KEY: libc::c_long = 4;
const MAP_GET_FD_BY_ID: libc::c_long = 14;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const MAP_LOOKUP_BATCH: libc::c_long = 24;
const MAP_UPDATE_BATCH: libc::c_long = 26;
const MAP_DELETE_BATCH: libc::c_long = 27;

const MAP_TYPE_ARRAY: u32 = 2;
const PER_CPU_TYPES: [u32; 3] = [5, 6, 10];

/// One map.
#[derive(Debug)]
pub struct KernelMap {
    fd: OwnedFd,
    key: usize,
    /// Bytes of a whole value: of a per-CPU map all CPUs'.
    value: usize,
    cpus: usize,
    max_entries: u32,
    has_types: bool,
}

/// Entries as a read gave them. Kept from read to read, it allocates nothing.
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
        let fd = unsafe { bpf_fd(MAP_GET_FD_BY_ID, &mut IdAttr { id, next_id: 0, flags: 0 }) }?;
        let mut info = MapInfo::default();
        let address = std::ptr::from_mut(&mut info) as u64;
        let mut attr = InfoAttr { fd: raw(&fd), len: size_of::<MapInfo>() as u32, info: address };
        // SAFETY: `info` has the stated length and outlives the call.
        unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }?;
        let end = info.name.iter().position(|byte| *byte == 0).unwrap_or(info.name.len());
        if &info.name[..end] != name.as_bytes() {
            return Ok(None);
        }
        let cpus = if PER_CPU_TYPES.contains(&info.kind) { possible_cpus() } else { 1 };
        let one = if cpus > 1 { info.value_size.next_multiple_of(8) } else { info.value_size } as usize;
        let (key, max_entries, has_types) = (info.key_size as usize, info.max_entries, info.types != 0);
        Ok(Some(Self { fd, key, value: one * cpus, cpus, max_entries, has_types }))
    }

    /// Values an entry: 1, or the machine's possible CPUs.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Whether the kernel knows the types of its keys and values.
    pub fn has_types(&self) -> bool {
        self.has_types
    }

    /// Puts an entry in, replacing one that is there. False: the map is full, or memory for it was not to be had at once.
    pub fn update(&self, key: &[u8], value: &[u8]) -> bool {
        assert!(key.len() == self.key && value.len() == self.value, "an entry has its map's sizes");
        let mut attr = self.elem(key.as_ptr() as u64, value.as_ptr() as u64);
        // SAFETY: key and value have the map's sizes and outlive the call.
        match unsafe { bpf(MAP_UPDATE_ELEM, &mut attr) } {
            Ok(_) => true,
            Err(error) if matches!(error.raw_os_error(), Some(libc::E2BIG | libc::ENOMEM)) => false,
            Err(error) => panic!("update: {error}"),
        }
    }

    /// Takes an entry out; false: it was not there.
    pub fn delete(&self, key: &[u8]) -> bool {
        assert_eq!(key.len(), self.key, "a key has its map's size");
        let mut attr = self.elem(key.as_ptr() as u64, 0);
        // SAFETY: the key has the map's size and outlives the call.
        found(unsafe { bpf(MAP_DELETE_ELEM, &mut attr) })
    }

    /// Reads one value; false: there is no such entry.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> bool {
        assert!(key.len() == self.key && value.len() == self.value, "an entry has its map's sizes");
        let mut attr = self.elem(key.as_ptr() as u64, value.as_mut_ptr() as u64);
        // SAFETY: key and value have the map's sizes and outlive the call.
        found(unsafe { bpf(MAP_LOOKUP_ELEM, &mut attr) })
    }

    /// The key after `after`, or the first; false: there is none.
    pub fn next_key(&self, after: Option<&[u8]>, next: &mut [u8]) -> bool {
        assert!(next.len() == self.key && after.is_none_or(|after| after.len() == self.key), "keys have one size");
        let mut attr = self.elem(after.map_or(0, |key| key.as_ptr() as u64), next.as_mut_ptr() as u64);
        // SAFETY: both keys have the map's size and outlive the call.
        found(unsafe { bpf(MAP_GET_NEXT_KEY, &mut attr) })
    }

    /// Puts many entries in, keys and values back to back.
    pub fn update_all(&self, keys: &[u8], values: &[u8]) {
        let most = 4096;
        for (keys, values) in keys.chunks(most * self.key).zip(values.chunks(most * self.value)) {
            let count = keys.len() / self.key;
            assert_eq!(values.len(), count * self.value, "a value for each key");
            let mut attr = self.batch(keys.as_ptr() as u64, values.as_ptr() as u64, count);
            // SAFETY: the buffers hold `count` keys and values and outlive the call.
            unsafe { bpf(MAP_UPDATE_BATCH, &mut attr) }.unwrap_or_else(|error| panic!("update batch: {error}"));
        }
    }

    /// Takes many entries out, all of which are there.
    pub fn delete_all(&self, keys: &[u8]) {
        for keys in keys.chunks(4096 * self.key) {
            let mut attr = self.batch(keys.as_ptr() as u64, 0, keys.len() / self.key);
            // SAFETY: the buffer holds that many keys and outlives the call.
            unsafe { bpf(MAP_DELETE_BATCH, &mut attr) }.unwrap_or_else(|error| panic!("delete batch: {error}"));
        }
    }

    /// Reads all entries in batches of 4 096, and does nothing with them: the least that reading the map can cost.
    pub fn read(&self, entries: &mut Entries) {
        self.read_by(entries, 4096, |_, _| false);
    }

    /// The same, `size` at a time, until `stop` says so of a batch that gave fewer than were asked for: none is a good reason.
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
            let result = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attr) };
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

    /// The array's memory, for a `BPF_F_MMAPABLE` one of 8-byte values.
    pub fn memory(&self) -> Memory {
        Memory::new(&self.fd, self.max_entries as usize)
    }

    fn elem(&self, key: u64, value: u64) -> ElemAttr {
        ElemAttr { fd: raw(&self.fd), key, value, flags: 0 }
    }

    fn batch(&self, keys: u64, values: u64, count: usize) -> BatchAttr {
        let (fd, count) = (raw(&self.fd), u32::try_from(count).expect("a batch"));
        BatchAttr { in_batch: 0, out_batch: 0, keys, values, count, fd, elem_flags: 0, flags: 0 }
    }
}

/// An array of `u64` in memory.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u64>,
    len: usize,
}

impl Memory {
    fn new(map: &OwnedFd, len: usize) -> Self {
        let protection = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
        // SAFETY: a new mapping, where the kernel chooses, touches nothing of ours.
        let address = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), len * 8, protection, rustix::mm::MapFlags::SHARED, map, 0)
        };
        let address = address.unwrap_or_else(|error| panic!("mmap of a map: {error}"));
        Self { base: NonNull::new(address.cast()).expect("a mapping is not at 0"), len }
    }

    /// The words, which others change too.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `len` aligned words lie there as long as `self` lives, and are reached through atomics alone.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.len) }
    }

    /// Copies all words out: the least that reading the array can cost.
    pub fn read(&self, to: &mut Vec<u64>) {
        to.clear();
        to.extend(self.words().iter().map(|word| word.load(Ordering::Relaxed)));
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this address and length, and nothing refers to it any more.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len * 8) };
    }
}

/// A BPF program that adds 1 to entries in place, as programs do; an update from user space would put another entry in its place,
/// elsewhere in the bucket. It goes over the ids from a first one on; keys are what [`key`] makes of an id.
#[derive(Debug)]
pub struct Counting {
    program: Program,
    cursor: OwnedFd,
}

/// A key of the package `maps`: `struct key` in bpf/maps.bpf.c.
pub fn key(id: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&id.to_le_bytes());
    key[8..12].copy_from_slice(&group(id).to_le_bytes());
    key[12..].copy_from_slice(&((id & 7) as u32).to_le_bytes());
    key
}

/// The group of a key's id.
pub fn group(id: u64) -> u32 {
    (id >> 3 & 0xff) as u32
}

impl Counting {
    /// For a map of such keys.
    pub fn of(map: &KernelMap) -> Self {
        #[repr(C)]
        struct CreateAttr {
            kind: u32,
            key_size: u32,
            value_size: u32,
            max_entries: u32,
            flags: u32,
        }
        let mut attr = CreateAttr { kind: MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 1, flags: 0 };
        // SAFETY: the kernel reads the attributes alone.
        let cursor = unsafe { bpf_fd(MAP_CREATE, &mut attr) }.unwrap_or_else(|error| panic!("map create: {error}"));
        let code = Self::code(raw(&cursor), raw(&map.fd));
        let program = Program::load(&code).unwrap_or_else(|error| panic!("{error}"));
        Self { program, cursor }
    }

    /// Adds 1 to the entries that are there among the ids from `first` on.
    pub fn add(&self, first: u64, ids: u32) {
        let slot = 0u32;
        let (key, value) = (std::ptr::from_ref(&slot) as u64, std::ptr::from_ref(&first) as u64);
        let mut attr = ElemAttr { fd: raw(&self.cursor), key, value, flags: 0 };
        // SAFETY: key and value have the cursor's sizes and outlive the call.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut attr) }.expect("our own array takes a value");
        self.program.run(ids).unwrap_or_else(|error| panic!("program run: {error}"));
    }

    /// id = cursor++; key = [`key`] of id; if map[key] is there, add 1 to it.
    fn code(cursor: u32, map: u32) -> Vec<u64> {
        let op = |code: u8, to: u8, from: u8, offset: i16, number: i32| {
            u64::from(code)
                | u64::from(to | from << 4) << 8
                | u64::from(offset as u16) << 16
                | u64::from(number as u32) << 32
        };
        const STORE_NUMBER_32: u8 = 0x62;
        const STORE_32: u8 = 0x63;
        const STORE_64: u8 = 0x7b;
        const LOAD_64: u8 = 0x79;
        const ATOMIC_64: u8 = 0xdb;
        const MOVE: u8 = 0xbf;
        const MOVE_NUMBER: u8 = 0xb7;
        const ADD: u8 = 0x07;
        const AND: u8 = 0x57;
        const SHIFT_RIGHT: u8 = 0x77;
        const IF_ZERO: u8 = 0x15;
        const CALL: u8 = 0x85;
        const EXIT: u8 = 0x95;
        const LOOKUP: i32 = 1;
        let fd = |to: u8, fd: u32| [op(0x18, to, 1, 0, fd as i32), 0];
        let mut code = vec![op(STORE_NUMBER_32, 10, 0, -4, 0), op(MOVE, 2, 10, 0, 0), op(ADD, 2, 0, 0, -4)];
        code.extend(fd(1, cursor));
        code.extend([
            op(CALL, 0, 0, 0, LOOKUP),
            op(IF_ZERO, 0, 0, 19, 0),
            op(LOAD_64, 7, 0, 0, 0),
            op(MOVE, 1, 7, 0, 0),
            op(ADD, 1, 0, 0, 1),
            op(STORE_64, 0, 1, 0, 0),
            op(STORE_64, 10, 7, -24, 0),
            op(MOVE, 1, 7, 0, 0),
            op(SHIFT_RIGHT, 1, 0, 0, 3),
            op(AND, 1, 0, 0, 0xff),
            op(STORE_32, 10, 1, -16, 0),
            op(AND, 7, 0, 0, 7),
            op(STORE_32, 10, 7, -12, 0),
            op(MOVE, 2, 10, 0, 0),
            op(ADD, 2, 0, 0, -24),
        ]);
        code.extend(fd(1, map));
        code.extend([
            op(CALL, 0, 0, 0, LOOKUP),
            op(IF_ZERO, 0, 0, 2, 0),
            op(MOVE_NUMBER, 1, 0, 0, 1),
            op(ATOMIC_64, 0, 1, 0, 0),
            op(MOVE_NUMBER, 0, 0, 0, 0),
            op(EXIT, 0, 0, 0, 0),
        ]);
        code
    }
}

/// What the kernel makes room for in per-CPU maps.
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
