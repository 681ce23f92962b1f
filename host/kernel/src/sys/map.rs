//! A map in the kernel, with the sizes that the kernel reports for it.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    sync::OnceLock,
};

use super::{bpf, new_file, object_info, possible_cpus};
use crate::map_shape::MapShape;

const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_MAP_FREEZE: libc::c_long = 22;

/// A map in the kernel.
///
/// Its sizes come from `BPF_OBJ_GET_INFO_BY_FD` and nowhere else: a declaration in an object is a wish, and a pinned map may be anybody's.
/// Every method checks the buffers that it is given against them before the kernel copies, so no caller can make the kernel
/// write past a buffer. See <https://docs.kernel.org/bpf/maps.html>.
#[derive(Debug)]
pub(crate) struct KernelMap {
    fd: OwnedFd,
    shape: MapShape,
    /// Values of an entry: 1, or the number of possible CPUs.
    cpus: usize,
    /// The memory of a map that always takes the same.
    memory_bytes: OnceLock<Option<u64>>,
}

/// The part of `union bpf_attr` that `BPF_MAP_*_ELEM` and `BPF_MAP_GET_NEXT_KEY` use.
#[repr(C)]
struct ElemAttr {
    map_fd: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ObjectAttr {
    path: u64,
    fd: u32,
    file_flags: u32,
}

/// The first fields of `struct bpf_map_info`; they are the same in every kernel.
#[repr(C)]
#[derive(Default)]
struct RawInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

impl KernelMap {
    /// Asks the kernel what kind of map this is.
    ///
    /// # Errors
    /// The descriptor is no map, or the number of possible CPUs of a per-CPU map cannot be read.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let mut info = RawInfo::default();
        // SAFETY: `info` is zeroed and holds no address.
        unsafe { object_info(fd.as_fd(), &mut info) }?;
        let RawInfo { kind, id: _, key_size, value_size, max_entries, flags } = info;
        let shape = MapShape { kind, key_size, value_size, max_entries, flags };
        let cpus = if shape.is_per_cpu() { possible_cpus()? } else { 1 };
        Ok(Self { fd, shape, cpus, memory_bytes: OnceLock::new() })
    }

    /// Opens the map that is pinned at `path`; `None`: nothing is pinned there.
    pub(crate) fn from_pin(path: &CStr) -> io::Result<Option<Self>> {
        let mut attr = ObjectAttr { path: path.as_ptr() as u64, fd: 0, file_flags: 0 };
        // SAFETY: the path ends in a zero byte and outlives the call, which only reads it.
        match unsafe { new_file(BPF_OBJ_GET, &mut attr) } {
            Ok(fd) => Self::from_fd(fd).map(Some),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Pins the map at a path in a BPF file system.
    pub(crate) fn pin(&self, path: &CStr) -> io::Result<()> {
        let mut attr = ObjectAttr { path: path.as_ptr() as u64, fd: self.raw_fd(), file_flags: 0 };
        // SAFETY: the path ends in a zero byte and outlives the call, which only reads it.
        unsafe { bpf(BPF_OBJ_PIN, &mut attr) }
    }

    /// What the kernel says of the map.
    pub(crate) fn shape(&self) -> MapShape {
        self.shape
    }

    /// Values of an entry: 1, or the number of possible CPUs.
    pub(crate) fn cpus(&self) -> usize {
        self.cpus
    }

    /// The memory that the kernel charges for it, from its `fdinfo`; none: the kernel does not say.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        if self.shape.is_allocated_as_it_fills() {
            self.charged_bytes()
        } else {
            *self.memory_bytes.get_or_init(|| self.charged_bytes())
        }
    }

    fn charged_bytes(&self) -> Option<u64> {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.raw_fd())).ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix("memlock:"))?;
        line.trim().parse().ok()
    }

    /// Bytes of a key.
    pub(crate) fn key_size(&self) -> usize {
        self.shape.key_size as usize
    }

    /// Bytes that the kernel copies for one entry: the value, or for a per-CPU map one for each CPU, each padded to 8 bytes.
    pub(crate) fn entry_size(&self) -> usize {
        let value = self.shape.value_size as usize;
        if self.shape.is_per_cpu() { value.next_multiple_of(8) * self.cpus } else { value }
    }

    /// Reads the value of `key` into `value`; false: there is no such entry.
    pub(crate) fn lookup(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        self.check_key(key)?;
        self.check_value(value)?;
        let mut attr = self.elem(key.as_ptr(), value.as_mut_ptr());
        // SAFETY: key and value have the sizes that the kernel copies, as checked, and outlive the call.
        found(unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) })
    }

    /// Writes one entry, replacing one that is there. An array of files (`BPF_MAP_TYPE_PERF_EVENT_ARRAY`) takes a descriptor as its value.
    pub(crate) fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.check_key(key)?;
        self.check_value(value)?;
        let mut attr = self.elem(key.as_ptr(), value.as_ptr());
        // SAFETY: key and value have the sizes that the kernel reads, as checked, and outlive the call, which only reads them.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }
    }

    /// Deletes one entry; that there is none is no error.
    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.check_key(key)?;
        let mut attr = self.elem(key.as_ptr(), std::ptr::null());
        // SAFETY: the key has the map's key size, as checked, and outlives the call, which only reads it.
        found(unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut attr) }).map(|_| ())
    }

    /// Writes the key after `after`, or the first key, into `next`; false: there is none.
    pub(crate) fn next_key(&self, after: Option<&[u8]>, next: &mut [u8]) -> io::Result<bool> {
        after.map_or(Ok(()), |after| self.check_key(after))?;
        self.check_key(next)?;
        let mut attr = self.elem(after.map_or(std::ptr::null(), <[u8]>::as_ptr), next.as_mut_ptr());
        // SAFETY: both keys have the map's key size, as checked, and outlive the call.
        found(unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attr) })
    }

    /// Makes the map read-only for system calls, so that the verifier may take its bytes for constants.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        let mut attr = self.raw_fd();
        // SAFETY: the attributes begin with the map's descriptor, and the rest is zero.
        unsafe { bpf(BPF_MAP_FREEZE, &mut attr) }
    }

    pub(crate) fn raw_fd(&self) -> u32 {
        self.fd.as_raw_fd() as u32
    }

    fn elem(&self, key: *const u8, value: *const u8) -> ElemAttr {
        ElemAttr { map_fd: self.raw_fd(), key: key as u64, value: value as u64, flags: 0 }
    }

    fn check_key(&self, key: &[u8]) -> io::Result<()> {
        check_size("a key", key.len(), self.key_size())
    }

    fn check_value(&self, value: &[u8]) -> io::Result<()> {
        check_size("a value", value.len(), self.entry_size())
    }
}

impl AsFd for KernelMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn check_size(what: &str, found: usize, expected: usize) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    let why = format!("found {what} of {found} bytes, expected {expected} as the map in the kernel has");
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

fn found(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}
