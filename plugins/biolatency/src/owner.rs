//! The owner of a bank, as `bpf/banks.h` writes it.

use ebhost_plugin::{layout, text};

layout! {
    /// The disk of a bank, which is the key of the lookup table `disk`: the inode of its folder in /sys, and its name, filled up with
    /// zeros.
    pub(crate) struct Disk: 40 bytes {
        inode: u64,
        name: [u64; 4],
    }
}

layout! {
    /// `struct owner` in bpf/banks.h.
    pub(crate) struct Owner: 48 bytes {
        pub(crate) disk: Disk,
        pub(crate) operation: u8,
        is_known: u8,
        pub(crate) flags: u16,
        checksum: u32,
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

    /// Its words of 32 bits.
    fn words(&self) -> impl Iterator<Item = u32> {
        [self.inode].into_iter().chain(self.name).flat_map(|word| [word as u32, (word >> 32) as u32])
    }
}

impl Owner {
    /// Whether the bank has an owner, all of which was read. The program writes the words of an owner one by one, and a reader may see
    /// some of them sooner than others.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_known == 1 && self.checksum == self.expected_checksum()
    }

    /// FNV-1a over words instead of bytes.
    fn expected_checksum(&self) -> u32 {
        let last = u32::from(self.operation) | u32::from(self.is_known) << 8 | u32::from(self.flags) << 16;
        self.disk.words().chain([last]).fold(2_166_136_261, |sum, word| (sum ^ word).wrapping_mul(16_777_619))
    }
}
