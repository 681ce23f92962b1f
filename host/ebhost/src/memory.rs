//! Settings of the C library's allocator: large buffers are returned to the kernel when they are freed.
//!
//! By default it adapts: after a large buffer was freed, buffers of that size are kept in the heap, where they leave holes. After a burst
//! of a million new series that was 60 MB that nothing used.

#![allow(unsafe_code, reason = "the C library's setting has no safe form")]

use ebhost_limits as limits;

/// Sets the sizes above which memory is returned. Call it once, before memory is used.
pub fn return_large_buffers() {
    #[cfg(target_env = "gnu")]
    for (setting, bytes) in
        [(libc::M_MMAP_THRESHOLD, limits::HEAP_BUFFER_BYTES), (libc::M_TRIM_THRESHOLD, limits::HEAP_SPARE_BYTES)]
    {
        // SAFETY: two numbers for the allocator; one that it does not take changes nothing.
        unsafe { libc::mallopt(setting, bytes) };
    }
}

/// Returns free memory that lies between buffers in use, which the allocator would keep: a package that took a lot of it may be gone.
pub fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}
