//! Decoders whose answer is a name that the host finds for bytes of the key, and what they say when it finds none.

use std::borrow::Cow;

use crate::decoder::uint;

/// Such a decoder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    Ksym,
    Kstack,
    MajorMinor,
    IfName,
    Cgroup,
    PciVendor,
    PciDevice,
    PciClass,
    PciSubclass,
}

use Lookup::{Cgroup, IfName, Kstack, Ksym, MajorMinor, PciClass, PciDevice, PciSubclass, PciVendor};

const ALL: [(Lookup, &str, &str); 9] = [
    (Ksym, "ksym", "kernel-symbol-exact"),
    (Kstack, "kstack", "kernel-stack"),
    (MajorMinor, "majorminor", "block-device-user"),
    (IfName, "ifname", "network-interface"),
    (Cgroup, "cgroup", "cgroup-folder"),
    (PciVendor, "pci_vendor", "pci-vendor"),
    (PciDevice, "pci_device", "pci-device"),
    (PciClass, "pci_class", "pci-class"),
    (PciSubclass, "pci_subclass", "pci-subclass"),
];

/// What the `pci_*` decoders say where no database is installed.
const NO_DATABASE: &str = "missing pci.ids db";

impl Lookup {
    /// By the decoder's name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, decoder, _)| *decoder == name).map(|(lookup, ..)| *lookup)
    }

    pub(crate) fn name(self) -> &'static str {
        self.entry().1
    }

    /// The host's table.
    pub(crate) fn table(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> &'static (Self, &'static str, &'static str) {
        ALL.iter().find(|(lookup, ..)| *lookup == self).expect("each is there")
    }

    /// Whether it stands behind `uint`.
    pub(crate) fn takes_text(self) -> bool {
        matches!(self, Cgroup | PciVendor | PciDevice | PciClass | PciSubclass)
    }

    pub(crate) fn takes(self, size: u32) -> bool {
        match self {
            Ksym => size == 8,
            Kstack => size >= 8 && size.is_multiple_of(8),
            MajorMinor | IfName => size == 4,
            Cgroup => size == 4 || size == 8,
            PciVendor | PciDevice | PciClass | PciSubclass => matches!(size, 1 | 2 | 4 | 8),
        }
    }

    /// The same in words.
    pub(crate) fn sizes(self) -> &'static str {
        match self {
            Ksym => "a `size` of 8",
            Kstack => "a `size` of 8 for each address",
            MajorMinor | IfName => "a `size` of 4",
            Cgroup => "a `size` of 4 or 8",
            PciVendor | PciDevice | PciClass | PciSubclass => "a `size` of 1, 2, 4 or 8",
        }
    }

    /// The name, or what stands for it.
    pub(crate) fn text<'a>(self, bytes: &[u8], found: Option<&'a str>) -> Cow<'a, [u8]> {
        match (self, found) {
            // The database is there and does not have it.
            (PciVendor | PciDevice | PciClass | PciSubclass, Some("")) => {}
            (_, Some(name)) => return Cow::Borrowed(name.as_bytes()),
            (PciVendor | PciDevice | PciClass | PciSubclass, None) => return Cow::Borrowed(NO_DATABASE.as_bytes()),
            (_, None) => {}
        }
        Cow::Owned(self.otherwise(uint(bytes).unwrap_or_default()).into_bytes())
    }

    fn otherwise(self, number: u64) -> String {
        match self {
            Ksym => format!("unknown_addr:{number:#x}"),
            // The host knows no symbol at all.
            Kstack => "??".into(),
            MajorMinor => {
                let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00));
                format!("unknown:{major}:{minor}")
            }
            IfName => format!("unknown:{number}"),
            Cgroup => format!("unknown_cgroup_id:{number}"),
            PciVendor => format!("unknown pci vendor: 0x{number:04x}"),
            PciDevice => format!("unknown pci device: 0x{number:04x}"),
            PciClass => format!("unknown pci class: 0x{number:02x}"),
            PciSubclass => format!("unknown pci subclass: 0x{:02x} (class 0x{:02x})", number & 0xff, number >> 8),
        }
    }
}
