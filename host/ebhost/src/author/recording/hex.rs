//! Bytes as hex digits.

/// Bytes as pairs of hex digits.
pub(in crate::author) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes of pairs of hex digits, or what is wrong with them.
pub(super) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("found `{text}`, expected pairs of hex digits");
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|nibble| nibble as u8);
    if !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let byte = |pair: &[u8]| Some(nibble(pair[0])? << 4 | nibble(pair[1])?);
    text.as_bytes().chunks_exact(2).map(byte).collect::<Option<_>>().ok_or_else(wrong)
}
