//! Formatting of numbers, in the form that Prometheus users know.
//!
//! Floats print as Go prints them, so that a `le` label is the same text that every other exporter gives and dashboards
//! match it: the shortest digits that read back as the same number, with an exponent (sign and two digits at least)
//! when the decimal exponent is below -4 or above 5. Counts stay plain digits: exact, and legal in both formats.

/// Appends an integer's digits.
#[inline]
pub fn integer(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The longest end of a line.
const TAIL_BYTES: usize = 24;

/// The end of a line with labels and a whole number, `} 1234` and a line feed, and its length; bytes behind it mean nothing.
#[inline]
pub(super) fn tail(number: u64) -> ([u8; TAIL_BYTES], usize) {
    let mut tail = [0; TAIL_BYTES];
    tail[..2].copy_from_slice(b"} ");
    let count = if number < 100_000_000 {
        let digits = eight_digits(number as u32);
        let zeros = (digits.trailing_zeros() / 8).min(7);
        let ascii = (digits | 0x3030_3030_3030_3030) >> (8 * zeros);
        tail[2..10].copy_from_slice(&ascii.to_le_bytes());
        8 - zeros as usize
    } else {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number).as_bytes();
        tail[2..2 + digits.len()].copy_from_slice(digits);
        digits.len()
    };
    tail[2 + count] = b'\n';
    (tail, 3 + count)
}

/// Overwrites a number of `length` bytes at the end of `text` with a whole number below 10^8 of the same length. False: it is longer or shorter,
/// and nothing was written.
#[inline]
pub(crate) fn overwrite(number: u64, text: &mut [u8], length: usize) -> bool {
    let Some(last) = text.last_chunk_mut::<8>() else { return false };
    if number >= 100_000_000 {
        return false;
    }
    let digits = eight_digits(number as u32);
    let zeros = (digits.trailing_zeros() / 8).min(7);
    if length != 8 - zeros as usize {
        return false;
    }
    // Bytes before the number stay.
    let kept = (1u64 << (8 * zeros)) - 1;
    let ascii = (digits | 0x3030_3030_3030_3030) & !kept;
    *last = (u64::from_le_bytes(*last) & kept | ascii).to_le_bytes();
    true
}

/// The decimal digits of a number below 10^8, one in a byte, the first in the lowest.
#[inline]
pub(crate) fn eight_digits(number: u32) -> u64 {
    // All numbers of a step are divided at once, each in a lane of its own; the factors are exact for as many digits.
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - 10 * tens) << 8
}

/// Appends a signed integer's digits.
#[inline]
pub fn signed(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a whole number as Go prints it as a float: as [`float`] does, in less time.
#[inline]
pub fn integer_as_float(number: u64, out: &mut Vec<u8>) {
    if number < GO_EXPONENT_FROM {
        return integer(number, out);
    }
    if let Some(exponential) = Exponential::new(number) {
        let bytes = exponential.text.to_le_bytes();
        out.extend_from_slice(&bytes);
        return out.truncate(out.len() - (bytes.len() - exponential.length()));
    }
    if number > MOST_EXACT {
        return float(number as f64, out);
    }
    // All digits are needed to tell it from its neighbours, except for zeros at the end.
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    out.push(digits[0]);
    if significant > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..significant]);
    }
    let exponent = digits.len() as u8 - 1;
    out.extend_from_slice(&[b'e', b'+', b'0' + exponent / 10, b'0' + exponent % 10]);
}

/// A whole number of 7 or 8 digits as Go prints it as a float: `1.287408e+06`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exponential {
    /// The characters, the first in the lowest byte.
    pub(crate) text: u128,
    /// Digits before the exponent.
    pub(crate) significant: u32,
}

/// Characters of an exponent, `e+06`.
pub(crate) const EXPONENT: u32 = 4;

impl Exponential {
    /// `None`: the number is less or more.
    #[inline]
    pub(crate) fn new(number: u64) -> Option<Self> {
        if !(GO_EXPONENT_FROM..100_000_000).contains(&number) {
            return None;
        }
        let digits = eight_digits(number as u32);
        let zeros = u32::from(number < 10_000_000);
        let digits = digits >> (8 * zeros);
        let significant = 8 - digits.leading_zeros() / 8; // without the zeros at the end
        let ascii = digits | (0x3030_3030_3030_3030 & u64::MAX >> (64 - 8 * significant));
        let exponent = u128::from(u32::from_le_bytes(*b"e+06") + ((1 - zeros) << 24));
        let (first, rest) = (u128::from(ascii & 0xff), u128::from(ascii >> 8));
        let text = if significant == 1 {
            first | exponent << 8
        } else {
            first | u128::from(b'.') << 8 | rest << 16 | exponent << (8 * (significant + 1))
        };
        Some(Self { text, significant })
    }

    /// The number of characters before the exponent.
    #[inline]
    pub(crate) fn mantissa(self) -> u32 {
        self.significant + u32::from(self.significant > 1)
    }

    /// The number of characters.
    #[inline]
    pub(crate) fn length(self) -> usize {
        (self.mantissa() + EXPONENT) as usize
    }
}

/// Go prints whole floats from here on with an exponent.
pub(crate) const GO_EXPONENT_FROM: u64 = 1_000_000;

/// Up to here every whole number is a float.
const MOST_EXACT: u64 = 1 << 53;

/// Appends a float as Go's shortest `%g`.
pub fn float(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if number.is_infinite() {
        return out.extend_from_slice(if number > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(number).as_bytes();
    let size = number.abs();
    if size == 0.0 || (1e-4..1e6).contains(&size) {
        return out.extend_from_slice(text.strip_suffix(b".0").unwrap_or(text));
    }
    exponential(text, out);
}

/// Appends a float as OpenMetrics writes it: whole numbers have a fraction or an exponent.
pub fn openmetrics_float(number: f64, out: &mut Vec<u8>) {
    let from = out.len();
    float(number, out);
    let is_plain = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    if out[from..].iter().all(is_plain) {
        out.extend_from_slice(b".0");
    }
}

/// Lays the digits of `text` (with or without an exponent) out as `d.ddde+dd`.
fn exponential(text: &[u8], out: &mut Vec<u8>) {
    let (sign, text) = text.strip_prefix(b"-").map_or((&b""[..], text), |rest| (&b"-"[..], rest));
    let (mantissa, given) = match text.iter().position(|&byte| byte == b'e') {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])),
        None => (text, 0),
    };
    let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
    let digits = || mantissa.iter().copied().filter(u8::is_ascii_digit);
    let leading = digits().take_while(|&digit| digit == b'0').count();
    let trailing = digits().rev().take_while(|&digit| digit == b'0').count();
    let significant = digits().count() - leading - trailing;
    out.extend_from_slice(sign);
    for (index, digit) in digits().skip(leading).take(significant).enumerate() {
        if index == 1 {
            out.push(b'.');
        }
        out.push(digit);
    }
    let exponent = given + point as i32 - 1 - leading as i32;
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    integer(u64::from(exponent.unsigned_abs()), out);
}

fn parse_exponent(digits: &[u8]) -> i32 {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(number: f64, print: fn(f64, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        let table = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (0.5, "0.5"),
            (134.217728, "134.217728"),
            (0.000128, "0.000128"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e-6, "1e-06"),
            (1.6e-5, "1.6e-05"),
            (-1.6e-5, "-1.6e-05"),
            (9.999999999999999e-5, "9.999999999999999e-05"),
            (1e-10, "1e-10"),
            (100_000.0, "100000"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (1_287_408.0, "1.287408e+06"),
            (123_456_789.25, "1.2345678925e+08"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (18446744073709551615.0, "1.8446744073709552e+19"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (number, text) in table {
            assert_eq!(printed(number, float), text);
        }
    }

    #[test]
    fn openmetrics_wants_a_fraction() {
        let table =
            [(1.0, "1.0"), (0.0, "0.0"), (-3.0, "-3.0"), (0.25, "0.25"), (1e6, "1e+06"), (f64::INFINITY, "+Inf")];
        for (number, text) in table {
            assert_eq!(printed(number, openmetrics_float), text);
        }
        assert_eq!(printed(f64::NAN, openmetrics_float), "NaN");
    }

    #[test]
    fn the_end_of_a_line_has_the_digits() {
        let powers = (0..20).map(|power| 10u64.pow(power)).flat_map(|power| [power - 1, power, power + 1]);
        for number in powers.chain((0..1_000_000).step_by(7)).chain([u64::MAX]) {
            let (tail, length) = tail(number);
            assert_eq!(std::str::from_utf8(&tail[..length]).unwrap(), format!("}} {number}\n"));
        }
    }

    #[test]
    fn a_number_is_overwritten_by_one_of_its_length_only() {
        for number in (0..8).map(|power| 10u64.pow(power)).flat_map(|power| [power - 1, power, power + 1, power * 9]) {
            let mut text = b"calls 12345678".to_vec();
            let digits = number.to_string();
            for length in 1..=8 {
                let before = text.clone();
                let is_written = overwrite(number, &mut text, length);
                assert_eq!(is_written, length == digits.len());
                let expected = if is_written { [&before[..14 - length], digits.as_bytes()].concat() } else { before };
                assert_eq!(text, expected);
            }
        }
        assert!(!overwrite(100_000_000, &mut [b'x'; 20], 9) && !overwrite(1, &mut [b'x'; 4], 1));
    }

    #[test]
    fn whole_numbers_print_as_floats_do() {
        let powers = (0..20).map(|power| 10u64.pow(power)).chain((0..64).map(|power| 1 << power));
        let near = powers.flat_map(|power| (0..40u64).map(move |beside| power.wrapping_add(beside).wrapping_sub(20)));
        let random = (1..200_000u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (at % 60));
        for number in near.chain(random) {
            let mut text = Vec::new();
            integer_as_float(number, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), printed(number as f64, float), "{number}");
        }
    }

    proptest! {
        #[test]
        fn every_float_reads_back(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let text = printed(number, float);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            let scientific = format!("{number:e}");
            let exponent: i32 = scientific.split_once('e').unwrap().1.parse().unwrap();
            prop_assert_eq!(text.contains('e'), !(-4..6).contains(&exponent));
        }
    }
}
