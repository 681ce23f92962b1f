//! The host's lookup tables by name. A host may know more: any name can be given to [`View::lookup`](crate::View::lookup), and one
//! that is not known or not granted is refused at load.

/// A disk's name, by the kernel's `dev_t`: 4 bytes, `major << 20 | minor`.
pub const BLOCK_DEVICE: &str = "block-device";
/// A disk's name, by the number that stat(2) gives: 4 bytes.
pub const BLOCK_DEVICE_USER: &str = "block-device-user";
/// An interface's name, by its index: 4 bytes.
pub const NETWORK_INTERFACE: &str = "network-interface";
/// A cgroup's path, by its id: 4 or 8 bytes.
pub const CGROUP: &str = "cgroup";
/// Kernel symbols, by addresses of 8 bytes each up to the first 0: lines `name` or `name+0x1a`.
pub const KERNEL_SYMBOL: &str = "kernel-symbol";
