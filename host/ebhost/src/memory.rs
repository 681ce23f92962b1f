//! How the C library's allocator is to keep memory: great buffers are given back when they are freed.
//!
//! Left alone it learns from each great buffer that is freed to keep those of its size within its heap, where they leave holes.
//! After a burst of a million new series that was 60 MB that nothing used.

#![allow(unsafe_code, reason = "the C library's setting has no safe form")]

use ebhost_limits as limits;

/// To be called once, before memory is used. It changes how memory is kept and nothing else.
pub fn give_back_great_buffers() {
    #[cfg(target_env = "gnu")]
    for (setting, bytes) in
        [(libc::M_MMAP_THRESHOLD, limits::HEAP_BUFFER_BYTES), (libc::M_TRIM_THRESHOLD, limits::HEAP_SPARE_BYTES)]
    {
        // SAFETY: two numbers for the allocator; one that it does not take changes nothing.
        unsafe { libc::mallopt(setting, bytes) };
    }
}
