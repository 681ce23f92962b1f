//! Batched reads of a map (`BPF_MAP_LOOKUP_BATCH`, Linux 5.6).

use std::io;

use super::{KernelMap, bpf};

const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;

/// The outcome of one batched read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// This many entries were read, and more follow.
    More(usize),
    /// This many entries were read, and they were the last.
    Last(usize),
    /// Not even one bucket fits: ask again at the same position with larger buffers.
    TooSmall,
}

impl Batch {
    /// Entries that were read.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::More(count) | Self::Last(count) => count,
            Self::TooSmall => 0,
        }
    }
}

/// The position of a batched read in its map. The kernel keeps a bucket number or a key in it.
#[derive(Debug)]
pub(crate) struct BatchCursor {
    token: Vec<u8>,
    is_started: bool,
}

impl BatchCursor {
    pub(crate) fn new(map: &KernelMap) -> Self {
        Self { token: vec![0; token_size(map)], is_started: false }
    }

    /// Starts again at the first entry.
    pub(crate) fn rewind(&mut self) {
        self.is_started = false;
    }
}

#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

fn token_size(map: &KernelMap) -> usize {
    map.key_size().max(8)
}

impl KernelMap {
    /// Reads as many entries as both `keys` and `values` have room for, and moves the cursor behind them.
    ///
    /// # Errors
    /// `EINVAL`, `EOPNOTSUPP` or `ENOTSUPP`: this type of map has no batched reads.
    pub(crate) fn lookup_batch(
        &self,
        cursor: &mut BatchCursor,
        keys: &mut [u8],
        values: &mut [u8],
    ) -> io::Result<Batch> {
        if cursor.token.len() != token_size(self) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "found the cursor of another map"));
        }
        let room = (keys.len() / self.key_size().max(1)).min(values.len() / self.entry_size().max(1));
        let mut attr = BatchAttr {
            in_batch: if cursor.is_started { cursor.token.as_ptr() as u64 } else { 0 },
            out_batch: cursor.token.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(room).unwrap_or(u32::MAX),
            map_fd: self.raw_fd(),
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: by the division above the buffers have room for `count` keys and values of the sizes that the kernel copies; the
        // token holds a key or a bucket number, whichever this type of map keeps in it; all of them outlive the call.
        let result = unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) };
        let count = attr.count as usize;
        let Err(error) = result else {
            cursor.is_started = true;
            return Ok(Batch::More(count));
        };
        match error.raw_os_error() {
            Some(libc::ENOENT) => Ok(Batch::Last(count)),
            // Keys of a trie were deleted during the read, and older kernels stop there; the entries before are sound.
            Some(libc::EINTR) => {
                cursor.is_started |= count > 0;
                Ok(Batch::More(count))
            }
            Some(libc::ENOSPC) => Ok(Batch::TooSmall),
            _ => Err(error),
        }
    }
}
