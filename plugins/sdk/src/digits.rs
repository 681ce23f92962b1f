//! Formats integers as decimal digits, eight digits at a time in one 64-bit word. There is no table, no loop and no copy of variable
//! length: in WebAssembly such a copy is a call.

/// 10^8: smaller numbers have at most eight digits, which fit into one word.
const TEN_TO_8: u64 = 100_000_000;

/// Appends the digits of `number`, possibly after leading zeros; returns the position of its first digit in `bytes`.
#[inline]
pub(crate) fn append(bytes: &mut Vec<u8>, number: u64) -> usize {
    if number < TEN_TO_8 {
        let number = number as u32;
        bytes.extend_from_slice(&eight_digits(number));
        return bytes.len() - number.checked_ilog10().map_or(1, |log| log as usize + 1);
    }
    append_long(bytes, number)
}

#[inline(never)]
fn append_long(bytes: &mut Vec<u8>, number: u64) -> usize {
    let start = append(bytes, number / TEN_TO_8);
    bytes.extend_from_slice(&eight_digits((number % TEN_TO_8) as u32));
    start
}

/// The eight digits of a number below 10^8, with leading zeros. SIMD within a register: splits the number into two lanes of four
/// digits, then four lanes of two, then eight of one. Each lane is divided by multiplying with a fixed-point reciprocal, which is
/// exact for numbers this small; the mask removes the bits that the neighbouring lane left behind.
#[inline]
fn eight_digits(number: u32) -> [u8; 8] {
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
    fn digits_are_those_that_rust_prints() {
        let near = |power: u32| [10u64.pow(power) - 1, 10u64.pow(power), 10u64.pow(power) + 1];
        let all = (0..=19).flat_map(near).chain([u64::MAX, 1 << 32]).chain((0..TEN_TO_8).step_by(997)).chain(0..20_000);
        let mut bytes = Vec::new();
        for number in all {
            bytes.clear();
            let start = append(&mut bytes, number);
            assert_eq!(&bytes[start..], number.to_string().as_bytes());
        }
    }
}
