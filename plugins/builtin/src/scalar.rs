//! Numbers and booleans as YAML 1.1 writes them, which ebpf_exporter's parser takes. The host hands scalars over as they are written.

/// A whole number that is not negative: `12`, `1_000`, `0x1f`, `0b11`, `0o17`, `017`, and `4.0`.
pub(crate) fn integer(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text).replace('_', "");
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, &*digits),
    };
    let whole =
        digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| u64::from_str_radix(digits, radix).ok());
    whole.flatten().or_else(|| whole_number(decimal(text)?))
}

/// A number with or without a fraction: `1.5`, `1e-6`, `.5`, and all that [`integer`] takes.
pub(crate) fn number(text: &str) -> Option<f64> {
    let (negative, magnitude) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let whole = integer(magnitude).filter(|_| !magnitude.starts_with(['+', '-'])).map(|whole| whole as f64);
    whole.map(|whole| if negative { -whole } else { whole }).or_else(|| decimal(text))
}

/// `true`, `yes`, `on`, `y` and their opposites, in lower case, capitals or with a capital.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
        _ => None,
    }
}

/// Digits, a point and an exponent; not the words (`inf`, `nan`) that Rust takes beside.
fn decimal(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-._eE".contains(&byte));
    is_decimal.then(|| text.replace('_', "").parse().ok())?
}

/// The number, if it is whole and a `u64` holds it exactly.
fn whole_number(number: f64) -> Option<u64> {
    let is_whole = number >= 0.0 && number.fract() == 0.0 && number < 9_007_199_254_740_992.0;
    is_whole.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_as_yaml_1_1_writes_them() {
        for (text, expected) in [
            ("0", 0),
            ("12", 12),
            ("+12", 12),
            ("1_000", 1_000),
            ("0x1F", 31),
            ("0b11", 3),
            ("0o17", 15),
            ("017", 15),
            ("08", 8),
            ("4.0", 4),
            ("1e3", 1_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(integer(text), Some(expected), "{text}");
        }
        for text in ["", "-1", "1.5", "x", "0x", "++1", "+-1", "1e99", "inf", "0x-1", "18446744073709551616000", "1 "] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_as_yaml_1_1_writes_them() {
        for (text, expected) in [
            ("0.000001", 1e-6),
            ("1e-6", 1e-6),
            (".5", 0.5),
            ("-2.5", -2.5),
            ("-0x10", -16.0),
            ("1_0.5", 10.5),
            ("7", 7.0),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["", "inf", ".inf", "nan", "NaN", "infinity", "e", "1.2.3", "- 1", "-+1", "--1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn truths_of_yaml_1_1() {
        assert_eq!(["yes", "On", "TRUE", "y"].map(boolean), [Some(true); 4]);
        assert_eq!(["no", "Off", "FALSE", "n"].map(boolean), [Some(false); 4]);
        assert_eq!(["", "1", "tRUE", "ja"].map(boolean), [None; 4]);
    }
}
