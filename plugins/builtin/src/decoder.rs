//! The decoders of a label: each takes bytes and returns bytes, one after the other. A decoder that cannot decode its input refuses the
//! row; there are no other errors.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ebhost_plugin::text;
use regex_lite::Regex;

use crate::code_names::CodeNames;

/// One decoder with its parameters.
pub(crate) enum Decoder {
    Uint,
    String,
    Hex,
    StaticMap { map: HashMap<Vec<u8>, String>, otherwise: Otherwise },
    Regexp(Vec<Regexp>),
    InetIp,
    Dname,
    Errno(CodeNames),
    Syscall(CodeNames),
}

/// The result of a static map for text that is not in it.
#[derive(Clone, Copy)]
pub(crate) enum Otherwise {
    /// `unknown:TEXT`.
    Unknown,
    /// The text itself.
    Unchanged,
}

/// A regular expression, and the group of a match that becomes the text.
pub(crate) struct Regexp {
    pub(crate) regex: Regex,
    /// 0: the whole match; 1: the only group.
    pub(crate) group: usize,
}

/// Why a row has no labels.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No regular expression matches. Not an error: this is how a configuration leaves entries out.
    Skip,
    /// A decoder cannot decode its input.
    Unknown(String),
}

pub(crate) type Decoded<'a> = Result<Cow<'a, [u8]>, Refused>;

impl Decoder {
    pub(crate) fn decode<'a>(&self, input: Cow<'a, [u8]>) -> Decoded<'a> {
        match self {
            Self::Uint => {
                let number = uint(&input).ok_or_else(|| unknown("uint", &input, "1, 2, 4 or 8 bytes"))?;
                Ok(Cow::Owned(number.to_string().into_bytes()))
            }
            Self::String => Ok(until_nul(input)),
            Self::Hex => Ok(Cow::Owned(text::hex(&input).into_bytes())),
            Self::StaticMap { map, otherwise } => Ok(mapped(map, *otherwise, input)),
            Self::Regexp(regexps) => first_match(regexps, &input).map(Cow::Owned),
            Self::InetIp => inet_ip(&input).ok_or_else(|| unknown("inet_ip", &input, "4 or 16 bytes")),
            Self::Dname => Ok(dname(input)),
            Self::Errno(names) => named(names, &input, "errno", "unknown:"),
            Self::Syscall(names) => named(names, &input, "syscall", "unknown_syscall:"),
        }
    }
}

/// An unsigned number of 1, 2, 4 or 8 bytes, little endian.
pub(crate) fn uint(bytes: &[u8]) -> Option<u64> {
    match *bytes {
        [byte] => Some(u64::from(byte)),
        [a, b] => Some(u64::from(u16::from_le_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_le_bytes([a, b, c, d]))),
        _ => Some(u64::from_le_bytes(bytes.try_into().ok()?)),
    }
}

fn unknown(decoder: &str, input: &[u8], expected: &str) -> Refused {
    let found = String::from_utf8_lossy(&input[..input.len().min(64)]);
    Refused::Unknown(format!("`{decoder}` found `{found}` ({} bytes), expected {expected}", input.len()))
}

fn until_nul(input: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    match input {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..end]),
        Cow::Owned(mut bytes) => {
            bytes.truncate(end);
            Cow::Owned(bytes)
        }
    }
}

fn mapped<'a>(map: &HashMap<Vec<u8>, String>, otherwise: Otherwise, input: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
    match (map.get(&*input), otherwise) {
        (Some(value), _) => Cow::Owned(value.clone().into_bytes()),
        (None, Otherwise::Unchanged) => input,
        (None, Otherwise::Unknown) => Cow::Owned([b"unknown:", &*input].concat()),
    }
}

fn first_match(regexps: &[Regexp], input: &[u8]) -> Result<Vec<u8>, Refused> {
    let text = String::from_utf8_lossy(input);
    let captures = regexps.iter().find_map(|regexp| Some((regexp.regex.captures(&text)?, regexp.group)));
    let (captures, group) = captures.ok_or(Refused::Skip)?;
    // A group that did not take part in the match is empty.
    Ok(captures.get(group).map_or("", |found| found.as_str()).into())
}

fn inet_ip<'a>(input: &[u8]) -> Option<Cow<'a, [u8]>> {
    let address = match input.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(input).ok()?).to_string(),
        _ => {
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(input).ok()?);
            address.to_ipv4_mapped().map_or_else(|| address.to_string(), |mapped| mapped.to_string())
        }
    };
    Some(Cow::Owned(address.into_bytes()))
}

/// A DNS name in wire format, where each label follows its length, becomes a name with dots. Other input stays as it is.
fn dname(input: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if input.is_empty() {
        return Cow::Borrowed(b".");
    }
    let (mut labels, mut rest): (Vec<&[u8]>, &[u8]) = (Vec::new(), &input);
    while let [length, after @ ..] = rest {
        let Some((label, after)) = after.split_at_checked(usize::from(*length)) else { return input };
        labels.push(label);
        rest = after;
    }
    Cow::Owned(labels.join(&b'.'))
}

fn named<'a>(names: &CodeNames, input: &[u8], decoder: &str, unknown_prefix: &str) -> Decoded<'a> {
    let number = str::from_utf8(input).ok().and_then(|text| text.parse::<u64>().ok());
    let number = number.ok_or_else(|| unknown(decoder, input, "a number as text: put `uint` before it"))?;
    Ok(match names.get(number) {
        Some(name) => Cow::Borrowed(name.as_bytes()),
        None => Cow::Owned(format!("{unknown_prefix}{number}").into_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code_names::SyscallNames;

    fn decoded(decoder: &Decoder, input: &[u8]) -> Result<String, Refused> {
        decoder.decode(input.into()).map(|bytes| String::from_utf8(bytes.into_owned()).expect("these inputs are UTF-8"))
    }

    fn text(text: &str) -> Result<String, Refused> {
        Ok(text.into())
    }

    #[test]
    fn numbers_of_every_size() {
        for (bytes, number) in
            [(&[0xfe][..], "254"), (&[1, 2], "513"), (&[0xff; 4], "4294967295"), (&[0xff; 8], "18446744073709551615")]
        {
            assert_eq!(decoded(&Decoder::Uint, bytes), text(number));
        }
        let refused = decoded(&Decoder::Uint, b"abc").unwrap_err();
        let why = "`uint` found `abc` (3 bytes), expected 1, 2, 4 or 8 bytes";
        assert_eq!(refused, Refused::Unknown(why.into()));
    }

    #[test]
    fn strings_end_at_the_first_nul() {
        assert_eq!(decoded(&Decoder::String, b"sshd\0d\0"), text("sshd"));
        assert_eq!(decoded(&Decoder::String, b"\0x"), text(""));
        assert_eq!(decoded(&Decoder::String, b"0123456789abcdef"), text("0123456789abcdef"));
        assert_eq!(decoded(&Decoder::Hex, &[0, 0x0a, 0xff]), text("000aff"));
    }

    #[test]
    fn addresses_in_network_order() {
        assert_eq!(decoded(&Decoder::InetIp, &[192, 0, 2, 7]), text("192.0.2.7"));
        let mut address = [0; 16];
        (address[0], address[1], address[15]) = (0xfe, 0x80, 1);
        assert_eq!(decoded(&Decoder::InetIp, &address), text("fe80::1"));
        assert!(matches!(decoded(&Decoder::InetIp, &[1; 5]), Err(Refused::Unknown(_))));
    }

    #[test]
    fn dns_names_in_wire_format() {
        assert_eq!(decoded(&Decoder::Dname, b""), text("."));
        assert_eq!(decoded(&Decoder::Dname, b"\x07example\x03org"), text("example.org"));
        assert_eq!(decoded(&Decoder::Dname, b"\x09example\x03org"), text("\texample\u{3}org"), "a bad length");
    }

    #[test]
    fn the_first_matching_expression_decides() {
        let regexp = |pattern: &str| {
            let regex = Regex::new(pattern).unwrap();
            Regexp { group: usize::from(regex.captures_len() > 1), regex }
        };
        let decoder = Decoder::Regexp(vec![regexp("^nvme[0-9]+"), regexp("^(sd[a-z])[0-9]*$"), regexp("^(x)?y")]);
        assert_eq!(decoded(&decoder, b"nvme10n1"), text("nvme10"));
        assert_eq!(decoded(&decoder, b"sdb7"), text("sdb"));
        assert_eq!(decoded(&decoder, b"y"), text(""));
        assert_eq!(decoded(&decoder, b"vda"), Err(Refused::Skip));
    }

    #[test]
    fn a_static_map_marks_or_keeps_text_that_is_not_in_it() {
        let map: HashMap<_, _> = [(b"1".to_vec(), "read".to_owned())].into();
        let strict = Decoder::StaticMap { map: map.clone(), otherwise: Otherwise::Unknown };
        assert_eq!((decoded(&strict, b"1"), decoded(&strict, b"9")), (text("read"), text("unknown:9")));
        let lax = Decoder::StaticMap { map, otherwise: Otherwise::Unchanged };
        assert_eq!(decoded(&lax, b"9"), text("9"));
    }

    #[test]
    fn error_and_system_call_numbers_have_names() {
        let errno = Decoder::Errno(CodeNames::errno());
        assert_eq!((decoded(&errno, b"32"), decoded(&errno, b"0")), (text("EPIPE"), text("unknown:0")));
        assert!(matches!(decoded(&errno, b"-1"), Err(Refused::Unknown(_))));
        let syscall = |architecture| Decoder::Syscall(CodeNames::syscalls(architecture, SyscallNames::Kernel).unwrap());
        assert_eq!(decoded(&syscall("x86_64"), b"59"), text("execve"));
        assert_eq!(decoded(&syscall("aarch64"), b"221"), text("execve"));
        assert_eq!(decoded(&syscall("aarch64"), b"9999"), text("unknown_syscall:9999"));
    }
}
