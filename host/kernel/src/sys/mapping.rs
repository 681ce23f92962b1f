//! Files of the kernel mapped into this process, read without system calls.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags};

use super::KernelMap;

/// A read-only mapping of the first bytes of a file.
#[derive(Debug)]
struct Mapping {
    address: NonNull<libc::c_void>,
    bytes: usize,
}

impl Mapping {
    fn new(file: BorrowedFd<'_>, bytes: usize, flags: MapFlags) -> io::Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let address = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, ProtFlags::READ, flags, file, 0) }?;
        let address = NonNull::new(address).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { address, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this address and length, and nothing refers to it any more.
        let unmapped = unsafe { rustix::mm::munmap(self.address.as_ptr(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "unmapping what was mapped");
    }
}

/// Maps the first `bytes` of a file of sysfs, whose contents never change and which nobody can truncate, for the duration of `read`.
pub(crate) fn with_mapped<T>(file: BorrowedFd<'_>, bytes: usize, read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    let mapping = Mapping::new(file, bytes, MapFlags::PRIVATE)?;
    // SAFETY: this many bytes are mapped there until `mapping` is dropped, of a file that does not change.
    Ok(read(unsafe { std::slice::from_raw_parts(mapping.address.as_ptr().cast::<u8>(), bytes) }))
}

/// A `BPF_F_MMAPABLE` array mapped into this process.
#[derive(Debug)]
pub(crate) struct MappedArray {
    mapping: Mapping,
    words: usize,
}

// SAFETY: the mapping is shared, read-only and lives until drop; it is read through atomics alone.
unsafe impl Send for MappedArray {}

impl KernelMap {
    /// Maps the first `entries` of the array, or all that it has. Its values are padded to 8 bytes there, unlike in what
    /// [`lookup`](Self::lookup) copies.
    ///
    /// # Errors
    /// It is no array with `BPF_F_MMAPABLE`, or the kernel refuses the mapping.
    pub(crate) fn map_array(&self, entries: usize) -> io::Result<MappedArray> {
        let shape = self.shape();
        if !shape.is_mmapable_array() {
            let why = format!("found {shape}, expected an array with BPF_F_MMAPABLE");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let bytes = (shape.value_size as usize).next_multiple_of(8) * entries.min(shape.max_entries as usize);
        Ok(MappedArray { mapping: Mapping::new(self.as_fd(), bytes, MapFlags::SHARED)?, words: bytes / 8 })
    }
}

impl MappedArray {
    /// Bytes of all values.
    pub(crate) fn len(&self) -> usize {
        self.words * 8
    }

    /// Copies the array as it is now; `to` has to be [`len`](Self::len) bytes long. Each 8-byte word is read whole; different words may be
    /// of different moments.
    pub(crate) fn copy_to(&self, to: &mut [u8]) {
        assert_eq!(to.len(), self.len(), "the copy is as large as the array");
        self.copy_part(0, to);
    }

    /// Copies the bytes from `start`, a multiple of 8, in the same way.
    pub(crate) fn copy_part(&self, start: usize, to: &mut [u8]) {
        let mut words = self.words_from(start, to.len());
        let mut chunks = to.chunks_exact_mut(8);
        chunks.by_ref().zip(&mut words).for_each(|(bytes, word)| bytes.copy_from_slice(&word));
        let rest = chunks.into_remainder();
        words.next().into_iter().for_each(|word| rest.copy_from_slice(&word[..rest.len()]));
    }

    /// The words that have the bytes from `start`, a multiple of 8, as they are when each is asked for.
    fn words_from(&self, start: usize, bytes: usize) -> impl Iterator<Item = [u8; 8]> {
        let first = start / 8;
        let end = first + bytes.div_ceil(8);
        assert!(start.is_multiple_of(8) && end <= self.words, "the bytes lie in the array");
        let base = self.mapping.address.cast::<u64>();
        (first..end).map(move |word| {
            // SAFETY: `word` is below `words`, so the address lies in the mapping, aligned to 8; programs write it
            // concurrently, hence the atomic, which never writes.
            unsafe { AtomicU64::from_ptr(base.add(word).as_ptr()) }.load(Ordering::Relaxed).to_ne_bytes()
        })
    }
}
