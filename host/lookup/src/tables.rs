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
    /// The same, found as the folder in the file system.
    CgroupFolder,
    /// Addresses of 8 bytes each.
    KernelSymbol,
    /// One address of 8 bytes, which is where a symbol begins.
    KernelSymbolExact,
    /// Addresses of 8 bytes each, found as the names of functions alone.
    KernelStack,
    /// 1, 2, 4 or 8 bytes, as are the other numbers of the PCI database: `vendor`.
    PciVendor,
    /// `vendor << 16 | device`.
    PciDevice,
    /// `class`.
    PciClass,
    /// `class << 8 | subclass`.
    PciSubclass,
}

impl LookupTable {
    pub const ALL: [Self; 12] = [
        Self::BlockDevice,
        Self::BlockDeviceUser,
        Self::NetworkInterface,
        Self::Cgroup,
        Self::CgroupFolder,
        Self::KernelSymbol,
        Self::KernelSymbolExact,
        Self::KernelStack,
        Self::PciVendor,
        Self::PciDevice,
        Self::PciClass,
        Self::PciSubclass,
    ];

    /// Its name in manifests and grants.
    pub fn name(self) -> &'static str {
        match self {
            Self::BlockDevice => "block-device",
            Self::BlockDeviceUser => "block-device-user",
            Self::NetworkInterface => "network-interface",
            Self::Cgroup => "cgroup",
            Self::CgroupFolder => "cgroup-folder",
            Self::KernelSymbol => "kernel-symbol",
            Self::KernelSymbolExact => "kernel-symbol-exact",
            Self::KernelStack => "kernel-stack",
            Self::PciVendor => "pci-vendor",
            Self::PciDevice => "pci-device",
            Self::PciClass => "pci-class",
            Self::PciSubclass => "pci-subclass",
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
            Self::Cgroup | Self::CgroupFolder => bytes == 4 || bytes == 8,
            Self::KernelSymbol | Self::KernelStack => bytes >= 8 && bytes.is_multiple_of(8),
            Self::KernelSymbolExact => bytes == 8,
            Self::PciVendor | Self::PciDevice | Self::PciClass | Self::PciSubclass => matches!(bytes, 1 | 2 | 4 | 8),
        }
    }
}
