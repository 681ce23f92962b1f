//! Decoders whose result is a name that the host looks up by bytes of the key, and their result if the host finds none.

use std::borrow::Cow;

use crate::decoder::{Decoded, Refused, uint};
use crate::machine::Machine;

/// A decoder that is a lookup.
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
    /// The path of a cgroup, until it is gone.
    LiveCgroup,
    /// The systemd unit that a cgroup belongs to, until the cgroup is gone.
    SystemdUnit,
    /// The kernel's name of the reason for which it dropped a packet.
    DropReason,
    /// The container, the pod and the pod's namespace that a cgroup belongs to, until the cgroup is gone.
    Container,
    Pod,
    PodNamespace,
}

use Lookup::{
    Cgroup, Container, DropReason, IfName, Kstack, Ksym, LiveCgroup, MajorMinor, PciClass, PciDevice, PciSubclass,
    PciVendor, Pod, PodNamespace, SystemdUnit,
};

/// The names that the host found for a label.
#[derive(Clone, Copy, Default)]
pub(crate) struct Found<'a> {
    /// The name of the label's bytes. PCI names are empty if the database does not have the number.
    pub(crate) name: Option<&'a str>,
    /// The name in the second table, if the host was asked for it: of the PCI class, or of the unit or container.
    pub(crate) second: Option<&'a str>,
}

/// Each lookup with the decoder's name in a configuration and the host's lookup table.
const ALL: [(Lookup, &str, &str); 15] = [
    (Ksym, "ksym", "kernel-symbol-exact"),
    (Kstack, "kstack", "kernel-stack"),
    (MajorMinor, "majorminor", "block-device-user"),
    (IfName, "ifname", "network-interface"),
    (Cgroup, "cgroup", "cgroup-folder"),
    (PciVendor, "pci_vendor", "pci-vendor"),
    (PciDevice, "pci_device", "pci-device"),
    (PciClass, "pci_class", "pci-class"),
    (PciSubclass, "pci_subclass", "pci-subclass"),
    (LiveCgroup, "live_cgroup", "live-cgroup"),
    (DropReason, "drop_reason", "drop-reason"),
    // Their names are in a second table; the first tells whether the cgroup is there.
    (SystemdUnit, "systemd_unit", "live-cgroup"),
    (Container, "container", "live-cgroup"),
    (Pod, "pod", "live-cgroup"),
    (PodNamespace, "pod_namespace", "live-cgroup"),
];

/// The result of the `pci_*` decoders if no database is installed.
const NO_DATABASE: &str = "missing pci.ids db";

impl Lookup {
    /// The lookup with this decoder name. Files of ebpf_exporter have no others than ebpf_exporter has.
    pub(crate) fn named(name: &str, machine: &Machine) -> Option<Self> {
        let lookup = ALL.iter().find(|(_, decoder, _)| *decoder == name).map(|(lookup, ..)| *lookup)?;
        let is_known = match lookup {
            // Labels of a `cgroup:` key alone.
            Container | Pod | PodNamespace => false,
            LiveCgroup | SystemdUnit | DropReason => !machine.is_ebpf_exporter,
            _ => true,
        };
        is_known.then_some(lookup)
    }

    pub(crate) fn name(self) -> &'static str {
        self.entry().1
    }

    /// The host's lookup table.
    pub(crate) fn table(self) -> &'static str {
        self.entry().2
    }

    /// The table in which the same bytes are looked up, too.
    pub(crate) fn second_table(self) -> Option<&'static str> {
        match self {
            SystemdUnit => Some("unit"),
            Container => Some("container"),
            Pod => Some("pod"),
            PodNamespace => Some("pod-namespace"),
            _ => None,
        }
    }

    fn entry(self) -> &'static (Self, &'static str, &'static str) {
        ALL.iter().find(|(lookup, ..)| *lookup == self).expect("every variant is in the table")
    }

    /// Whether a configuration writes `uint` before it.
    pub(crate) fn follows_uint(self) -> bool {
        matches!(self, Cgroup | PciVendor | PciDevice | PciClass | PciSubclass)
    }

    /// Whether the label may have this size, in bytes.
    pub(crate) fn takes(self, size: u32) -> bool {
        match self {
            Ksym | LiveCgroup | SystemdUnit | Container | Pod | PodNamespace => size == 8,
            Kstack => size >= 8 && size.is_multiple_of(8),
            MajorMinor | IfName | DropReason => size == 4,
            Cgroup => size == 4 || size == 8,
            PciVendor | PciDevice | PciClass | PciSubclass => matches!(size, 1 | 2 | 4 | 8),
        }
    }

    /// The sizes for which [`takes`](Self::takes) holds, for an error message.
    pub(crate) fn sizes(self) -> &'static str {
        match self {
            Ksym | LiveCgroup | SystemdUnit | Container | Pod | PodNamespace => "a `size` of 8",
            Kstack => "a `size` of 8 for each address",
            MajorMinor | IfName | DropReason => "a `size` of 4",
            Cgroup => "a `size` of 4 or 8",
            PciVendor | PciDevice | PciClass | PciSubclass => "a `size` of 1, 2, 4 or 8",
        }
    }

    /// The name that the host found, or the text that replaces it.
    pub(crate) fn text<'a>(self, bytes: &[u8], found: Found<'a>) -> Decoded<'a> {
        match (self, found.name) {
            // Counts of a cgroup wait until the host knows its path, and end after it is gone, when it has none.
            (LiveCgroup | SystemdUnit | Container | Pod | PodNamespace, None | Some("")) => return Err(Refused::Skip),
            (SystemdUnit | Container | Pod | PodNamespace, Some(_)) => {
                return found.second.map(|name| Cow::Borrowed(name.as_bytes())).ok_or(Refused::Skip);
            }
            // There is a database, but it does not contain the number.
            (PciVendor | PciDevice | PciClass | PciSubclass, Some("")) => {}
            (_, Some(name)) => return Ok(Cow::Borrowed(name.as_bytes())),
            (PciVendor | PciDevice | PciClass | PciSubclass, None) => return Ok(Cow::Borrowed(NO_DATABASE.as_bytes())),
            (_, None) => {}
        }
        Ok(Cow::Owned(self.unknown(uint(bytes).unwrap_or_default(), found).into_bytes()))
    }

    fn unknown(self, number: u64, found: Found<'_>) -> String {
        match self {
            Ksym => format!("unknown_addr:{number:#x}"),
            // The host has no symbols at all.
            Kstack => "??".into(),
            MajorMinor => {
                let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00));
                format!("unknown:{major}:{minor}")
            }
            IfName | DropReason => format!("unknown:{number}"),
            Cgroup | LiveCgroup | SystemdUnit | Container | Pod | PodNamespace => format!("unknown_cgroup_id:{number}"),
            PciVendor => format!("unknown pci vendor: 0x{number:02x}"),
            PciDevice => format!("unknown pci device: 0x{number:04x}"),
            PciClass => format!("unknown pci class: 0x{number:02x}"),
            PciSubclass if found.second == Some("") || number > 0xffff => PciClass.unknown(number >> 8, found),
            PciSubclass => format!("unknown pci subclass: 0x{:02x} (class 0x{:02x})", number & 0xff, number >> 8),
        }
    }
}
