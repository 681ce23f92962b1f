//! The lookup tables that exist: their names in `plugin.yaml` and in manifests, and the bytes that each takes.
//!
//! A grant is the right to name one of them; finding the names is `lookup`'s.

/// A table of names that the host can find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LookupTable {
    /// 4 bytes, the kernel's `major << 20 | minor`.
    BlockDevice,
    /// 4 bytes, as stat(2) has it.
    BlockDeviceUser,
    /// 4 bytes, an interface index.
    NetworkInterface,
    /// 4 or 8 bytes, a cgroup id.
    Cgroup,
    /// Addresses of 8 bytes each.
    KernelSymbol,
}

impl LookupTable {
    pub const ALL: [Self; 5] =
        [Self::BlockDevice, Self::BlockDeviceUser, Self::NetworkInterface, Self::Cgroup, Self::KernelSymbol];

    /// Its name in manifests and grants.
    pub fn name(self) -> &'static str {
        match self {
            Self::BlockDevice => "block-device",
            Self::BlockDeviceUser => "block-device-user",
            Self::NetworkInterface => "network-interface",
            Self::Cgroup => "cgroup",
            Self::KernelSymbol => "kernel-symbol",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether an identity field of so many bytes can be looked up in it.
    pub fn takes(self, bytes: usize) -> bool {
        match self {
            Self::BlockDevice | Self::BlockDeviceUser | Self::NetworkInterface => bytes == 4,
            Self::Cgroup => bytes == 4 || bytes == 8,
            Self::KernelSymbol => bytes >= 8 && bytes.is_multiple_of(8),
        }
    }
}
