//! Decimal digits, eight at a time in one word: no table, no loop, no copy of a length that is known only then. In the sandbox
//! such a copy is a call.

/// Numbers of so many digits are one word.
const EIGHT: u64 = 100_000_000;

/// Appends a number's digits and says where they begin; there may be zeros before them.
#[inline]
pub(crate) fn append(bytes: &mut Vec<u8>, number: u64) -> usize {
    if number < EIGHT {
        let number = number as u32;
        bytes.extend_from_slice(&eight(number));
        return bytes.len() - number.checked_ilog10().map_or(1, |log| log as usize + 1);
    }
    longer(bytes, number)
}

#[inline(never)]
fn longer(bytes: &mut Vec<u8>, number: u64) -> usize {
    let start = append(bytes, number / EIGHT);
    bytes.extend_from_slice(&eight((number % EIGHT) as u32));
    start
}

/// The digits of a number below 10^8, zeros first: halves it into lanes of four digits, of two, of one. A lane's quotient comes
/// from a product with a power of two's share, which is exact for numbers so small; the mask cuts off what the next lane left.
#[inline]
fn eight(number: u32) -> [u8; 8] {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = (fours * 10_486) >> 20 & 0x7f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = (twos * 103) >> 10 & 0xf_000f_000f_000f;
    let ones = tens | (twos - tens * 10) << 8;
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_as_rust_prints_them() {
        let near = |power: u32| [10u64.pow(power) - 1, 10u64.pow(power), 10u64.pow(power) + 1];
        let all = (0..=19).flat_map(near).chain([u64::MAX, 1 << 32]).chain((0..EIGHT).step_by(997)).chain(0..20_000);
        let mut bytes = Vec::new();
        for number in all {
            bytes.clear();
            let start = append(&mut bytes, number);
            assert_eq!(&bytes[start..], number.to_string().as_bytes());
        }
    }
}
