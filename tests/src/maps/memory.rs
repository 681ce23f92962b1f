//! A mapped array: what programs write can be read and written in memory.

#![allow(unsafe_code, reason = "mmap(2) has no safe form here")]

use std::{
    os::fd::OwnedFd,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

/// An array of `u64` in memory.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u64>,
    len: usize,
}

impl Memory {
    pub(super) fn new(map: &OwnedFd, len: usize) -> Self {
        let protection = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let address = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), len * 8, protection, rustix::mm::MapFlags::SHARED, map, 0)
        };
        let address = address.unwrap_or_else(|error| panic!("mmap of a map: {error}"));
        Self { base: NonNull::new(address.cast()).expect("a mapping is not at 0"), len }
    }

    /// The words, which others change at the same time.
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
