//! The owner of a bank, as `bpf/banks.h` writes it.

use ebhost_plugin::{layout, text};

layout! {
    /// The disk of a bank, which is the key of the lookup table `disk`: the inode of its folder in /sys, and its name, filled up with
    /// zeros. `struct owner` in bpf/banks.h.
    pub(crate) struct Disk: 40 bytes {
        inode: u64,
        name: [u64; 4],
    }
}

layout! {
    /// The key of a bank, and its disk.
    pub(crate) struct Owner: 48 bytes {
        key: u64,
        pub(crate) disk: Disk,
    }
}

impl Disk {
    /// The name that the kernel gave the disk.
    pub(crate) fn name(&self) -> String {
        let mut bytes = [0; 32];
        for (part, word) in bytes.chunks_exact_mut(8).zip(self.name) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        text::c_string(&bytes).into_owned()
    }
}

impl Owner {
    /// The number of the request's operation.
    pub(crate) fn operation(&self) -> u8 {
        (self.key as u8).wrapping_sub(1)
    }

    /// The request's flags.
    pub(crate) fn flags(&self) -> u16 {
        (self.key >> 8) as u16
    }
}
