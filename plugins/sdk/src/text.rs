//! Turns the kernel's bytes into label values: C strings, IP addresses, numbers in network byte order, device numbers.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;

/// A C string: the bytes up to the first NUL, or all of them. Bytes that are not UTF-8 become U+FFFD: any user can set a `comm` that is
/// not UTF-8.
///
/// ```
/// assert_eq!(ebhost_plugin::text::c_string(b"fio\0junk"), "fio");
/// ```
pub fn c_string(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end])
}

/// An IPv4 address in network byte order, as in `struct in_addr`.
pub fn ipv4(bytes: [u8; 4]) -> String {
    Ipv4Addr::from(bytes).to_string()
}

/// An IPv6 address in network byte order. An IPv4-mapped address is written as the IPv4 address.
pub fn ipv6(bytes: [u8; 16]) -> String {
    let address = Ipv6Addr::from(bytes);
    address.to_ipv4_mapped().map_or_else(|| address.to_string(), |mapped| mapped.to_string())
}

/// Converts a number from network byte order, such as a port.
pub fn network_order(number: u16) -> u16 {
    u16::from_be(number.to_le())
}

/// Lower-case hexadecimal digits, two for each byte.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A device number. In the kernel (`dev_t`) it is 12 bits of major number and 20 bits of minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The major number, which identifies the driver.
    pub major: u32,
    /// The minor number, which identifies the device.
    pub minor: u32,
}

impl Device {
    /// Splits the kernel's `dev_t`: `major << 20 | minor`.
    pub fn from_kernel(number: u32) -> Self {
        Self { major: number >> 20, minor: number & 0xf_ffff }
    }

    /// The kernel's `dev_t`.
    pub fn to_kernel(self) -> u32 {
        self.major << 20 | self.minor & 0xf_ffff
    }
}

/// Formats the number as in /sys/dev: `8:16`.
impl core::fmt::Display for Device {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_strings_end_at_the_first_nul_and_are_utf8() {
        assert_eq!(c_string(b"fio\0junk"), "fio");
        assert_eq!(c_string(b"full"), "full");
        assert_eq!(c_string(b"a\xffb\0"), "a\u{fffd}b");
    }

    #[test]
    fn addresses_are_formatted_in_the_usual_notation() {
        assert_eq!(ipv4([127, 0, 0, 1]), "127.0.0.1");
        assert_eq!(ipv6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]), "10.0.0.1");
        assert_eq!(ipv6([0; 16]), "::");
        assert_eq!(network_order(u16::from_le_bytes([0x01, 0xbb])), 443);
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }

    #[test]
    fn device_numbers_split_at_bit_20() {
        let device = Device::from_kernel(259 << 20 | 7);
        assert_eq!(device, Device { major: 259, minor: 7 });
        assert_eq!((device.to_kernel(), device.to_string()), (259 << 20 | 7, "259:7".into()));
    }
}
