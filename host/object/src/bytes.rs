//! Little-endian numbers and strings out of bytes that may be anything.

/// `N` bytes from `at` on; none if they are not there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// `length` bytes from `at` on; none if they are not all there.
pub(crate) fn range(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

/// No name in an object is longer: the kernel's symbols have at most 511 bytes. Without a bound a damaged file of overlapping texts would cost the square
/// of its length.
const LONGEST_TEXT_BYTES: usize = 1024;

/// The text that ends with the first NUL at or after `at`; none without one within [`LONGEST_TEXT_BYTES`], or if it is not UTF-8.
pub(crate) fn text_at(bytes: &[u8], at: usize) -> Option<&str> {
    let rest = bytes.get(at..)?;
    let rest = &rest[..rest.len().min(LONGEST_TEXT_BYTES)];
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// Writes a 32-bit number at `at`; none if there is no room.
pub(crate) fn put_u32(bytes: &mut [u8], at: usize, number: u32) -> Option<()> {
    *bytes.get_mut(at..)?.first_chunk_mut()? = number.to_le_bytes();
    Some(())
}
