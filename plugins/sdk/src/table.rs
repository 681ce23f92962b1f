//! The host's lookup tables by name, written from the host's registry.
//!
//! A newer host may have more: any name can be given to [`View::lookup`](crate::View::lookup). One that the
//! host does not have, or that is not among the package's `grants`, is refused when the package is loaded.

/// Finds the name of a disk or partition.
///
/// The key: the kernel's `dev_t`, `major << 20 | minor`; 4 bytes.
pub const BLOCK_DEVICE: &str = "block-device";
/// Finds the name of a disk or partition.
///
/// The key: the device number of stat(2); 4 bytes.
pub const BLOCK_DEVICE_USER: &str = "block-device-user";
/// Finds the name of a disk, for a path below NVMe multipath that of the multipath disk; empty once the disk is gone and was collected once more.
///
/// The key: the inode of `/sys/block/NAME` (8 bytes; 0: any), then `gendisk.disk_name` (32 bytes); 40 bytes.
pub const DISK: &str = "disk";
/// Finds the name of a network interface in the host's own network namespace.
///
/// The key: the interface's index; 4 bytes.
pub const NETWORK_INTERFACE: &str = "network-interface";
/// Finds the reason as the tracepoint `kfree_skb` prints it, such as `NO_SOCKET`; the subsystem's name if it has reasons of its own; `NOT_SPECIFIED` if the kernel gives none.
///
/// The key: `enum skb_drop_reason`, whose numbers differ between kernels; 4 bytes.
pub const DROP_REASON: &str = "drop-reason";
/// Finds the path of a cgroup below the cgroup2 mount, also after it was removed; the root is `/`.
///
/// The key: the cgroup's id; 4 or 8 bytes.
pub const CGROUP: &str = "cgroup";
/// Finds the folder of a cgroup, from the root of the file system on, also after it was removed.
///
/// The key: the cgroup's id; 4 or 8 bytes.
pub const CGROUP_FOLDER: &str = "cgroup-folder";
/// Finds the path of a cgroup below the cgroup2 mount; empty once it is gone and was collected once more.
///
/// The key: the cgroup's id; 4 or 8 bytes.
pub const LIVE_CGROUP: &str = "live-cgroup";
/// Finds the systemd unit that a cgroup belongs to: the first one below its slices, or else the innermost slice; empty if its path names none. Also after the cgroup was removed.
///
/// The key: the cgroup's id; 4 or 8 bytes.
pub const UNIT: &str = "unit";
/// Finds the name of the container that a cgroup belongs to, without one the first 12 digits of its id, `POD` for the one that holds a pod's namespaces; empty outside of containers. Also after the cgroup was removed.
///
/// The key: the cgroup's id; 4 or 8 bytes.
pub const CONTAINER: &str = "container";
/// Finds the name of the Kubernetes pod that a cgroup belongs to; empty outside of pods. Also after the cgroup was removed.
///
/// The key: the cgroup's id; 4 or 8 bytes.
pub const POD: &str = "pod";
/// Finds the namespace of the Kubernetes pod that a cgroup belongs to, as in `pod`.
///
/// The key: the cgroup's id; 4 or 8 bytes.
pub const POD_NAMESPACE: &str = "pod-namespace";
/// Finds the uid of the Kubernetes pod that a cgroup belongs to, as in `pod`.
///
/// The key: the cgroup's id; 4 or 8 bytes.
pub const POD_UID: &str = "pod-uid";
/// Finds the kernel symbols at the addresses, as lines of `name` or `name+0x1a`.
///
/// The key: addresses, up to the first 0; 8 bytes each.
pub const KERNEL_SYMBOL: &str = "kernel-symbol";
/// Finds the kernel symbol that begins at that address.
///
/// The key: an address; 8 bytes.
pub const KERNEL_SYMBOL_EXACT: &str = "kernel-symbol-exact";
/// Finds the function names of a kernel stack, one line each; `??` below the first symbol.
///
/// The key: addresses, up to the first 0; 8 bytes each.
pub const KERNEL_STACK: &str = "kernel-stack";
/// Finds the name of a PCI vendor in pci.ids; empty if it is not in it, none without pci.ids.
///
/// The key: `vendor`; 1, 2, 4 or 8 bytes.
pub const PCI_VENDOR: &str = "pci-vendor";
/// Finds the name of a PCI device, as in `pci-vendor`.
///
/// The key: `vendor << 16 | device`; 1, 2, 4 or 8 bytes.
pub const PCI_DEVICE: &str = "pci-device";
/// Finds the name of a PCI class, as in `pci-vendor`.
///
/// The key: `class`; 1, 2, 4 or 8 bytes.
pub const PCI_CLASS: &str = "pci-class";
/// Finds the name of a PCI subclass, as in `pci-vendor`.
///
/// The key: `class << 8 | subclass`; 1, 2, 4 or 8 bytes.
pub const PCI_SUBCLASS: &str = "pci-subclass";
